"""Loads an alignment model: wav2vec2 with a CTC head, from torchaudio or Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from worker.engines.common import pickles, torch_device
from worker.engines.contract import LoadAlignmentParams
from worker.engines.hub import cache as hub_cache
from worker.models import catalogue

if TYPE_CHECKING:
    import torch

_PROCESSOR_FILES: Final = ("config.json", "preprocessor_config.json", "vocab.json")
_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")

HOP: Final = 320
"""Samples between two frames: 20 ms, in every wav2vec2 model."""
SHORTEST: Final = 400
"""The fewest samples that make one frame."""


class AlignmentModel:
    """A model with its dictionary of labels; turns samples into log-probabilities of labels."""

    def __init__(
        self,
        name: str,
        path: str,
        model: Any,
        dictionary: dict[str, int],
        device: torch.device,
        *,
        kind: str,
        normalize: bool,
    ) -> None:
        self.name = name
        self.path = path
        self.model = model
        self.dictionary = dictionary
        """Label of each lower-case character; `|` stands for the space."""
        self.device = device
        self.kind = kind
        """`torchaudio` or `huggingface`, as whisperx calls them."""
        self.blank = max(
            (label for char, label in dictionary.items() if char in ("[pad]", "<pad>")), default=0
        )
        self._normalize = normalize

    def emissions(self, samples: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (batch, frames, labels) of samples (batch, n) of equal length."""
        import torch

        with torch.inference_mode():
            batch = samples.to(self.device)
            if self._normalize:  # as the model's own feature extractor does
                mean, variance = batch.mean(-1, keepdim=True), batch.var(-1, keepdim=True)
                batch = (batch - mean) / (variance + 1e-7).sqrt()
            if self.kind == "torchaudio":
                scores, _ = self.model(batch)
            else:
                scores = self.model(batch).logits
            return torch.log_softmax(scores.float(), dim=-1).cpu()


def load(params: LoadAlignmentParams) -> AlignmentModel:
    """Load the model; raises `RpcError` of the kinds model_* and others."""
    import torchaudio

    name = params.model
    assert name
    device = torch_device.choose(params.device, params.device_index)
    if name in torchaudio.pipelines.__all__:
        return _load_torchaudio(name, params, device)
    return _load_hugging_face(name, params, device)


def _load_torchaudio(
    name: str, params: LoadAlignmentParams, device: torch.device
) -> AlignmentModel:
    import torch
    import torchaudio

    bundle = getattr(torchaudio.pipelines, name)
    if not hasattr(bundle, "get_labels"):
        raise RpcError(
            "model_invalid",
            f"torchaudio's {name} has no labels for letters: it cannot align.",
            remedy="Name a model that writes letters, such as WAV2VEC2_ASR_BASE_960H.",
        )
    # torchaudio keeps its weights in torch.hub's cache.
    file = Path(torch.hub.get_dir(), "checkpoints", Path(bundle._path).name)
    if not file.is_file():
        raise hub_cache.not_cached(name, f"{hub_cache.TORCHAUDIO}{name}")
    try:
        how = {"progress": False, "weights_only": not params.allow_pickle}
        with pickles.only_tensors(params.allow_pickle, str(file)):
            model = bundle.get_model(dl_kwargs=how).eval().to(device)
    except RpcError:
        raise
    except Exception as error:
        raise torch_device.load_error(error, str(file), "The model", device) from None
    dictionary = {char.lower(): label for label, char in enumerate(bundle.get_labels())}
    return AlignmentModel(
        name,
        str(file),
        model,
        dictionary,
        device,
        kind="torchaudio",
        normalize=False,  # the bundle's model normalizes by itself
    )


def _load_hugging_face(
    name: str, params: LoadAlignmentParams, device: torch.device
) -> AlignmentModel:
    directory = _resolve(name, params)
    from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

    try:
        processor: Any = Wav2Vec2Processor
        processor = processor.from_pretrained(directory, local_files_only=True)
        with pickles.only_tensors(params.allow_pickle, directory):
            model = Wav2Vec2ForCTC.from_pretrained(
                directory, local_files_only=True, weights_only=not params.allow_pickle
            )
        model = model.eval().to(device)
    except RpcError:
        raise
    except Exception as error:  # damaged weights can raise anything
        raise torch_device.load_error(error, directory, "The model", device) from None
    vocabulary: dict[str, int] = processor.tokenizer.get_vocab()
    return AlignmentModel(
        name,
        directory,
        model,
        {char.lower(): label for char, label in vocabulary.items()},
        device,
        kind="huggingface",
        normalize=bool(processor.feature_extractor.do_normalize),
    )


def _resolve(name: str, params: LoadAlignmentParams) -> str:
    if Path(name).is_dir():
        directory = name
    else:
        directory = hub_cache.snapshot(catalogue.repository("alignment", name), params.revision)
    if missing := _missing(directory):
        raise hub_cache.incomplete(directory, missing)
    return directory


def _missing(directory: str) -> list[str]:
    present = {file.name for file in Path(directory).iterdir()}
    missing = [file for file in _PROCESSOR_FILES if file not in present]
    if not present.intersection(_WEIGHTS):
        missing.append(_WEIGHTS[0])
    return missing
