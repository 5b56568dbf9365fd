"""Loads a pyannote.audio pipeline, from the hub's cache or a directory."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Final

from protocol.errors import RpcError
from worker.engines.common import pickles, torch_device
from worker.engines.common.batch_threads import BatchThreads
from worker.engines.contract import LoadDiarizationParams
from worker.engines.diarization.patching import patched
from worker.engines.hub import cache as hub_cache
from worker.models import catalogue
from worker.models.pipeline_config import ONNX_SUFFIX, other_models

_CONFIG: Final = "config.yaml"
_MODEL: Final = "$model/"
_CLASSES: Final = (
    "pyannote.audio.pipelines.SpeakerDiarization",
    "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization",
)
"""The names of the pipeline that this engine runs."""
_NEEDS_TRUTH: Final = "OracleClustering"
_NEEDS_PLDA: Final = "VBxClustering"
"""The only clustering that uses a PLDA, and pyannote's default."""
_WEIGHTS: Final = {
    "segmentation": ("pytorch_model.bin",),
    "embedding": ("pytorch_model.bin",),
    "plda": ("plda.npz", "xvec_transform.npz"),
}
"""The files of each part of a pipeline."""


def load(params: LoadDiarizationParams) -> Any:
    """Load a `pyannote.audio.Pipeline` and move it to its device. Raises `RpcError`."""
    _silence_telemetry()
    directory = resolve(params)
    device = torch_device.choose(params.device, params.device_index)
    parts = _read_config(directory)
    for repository, revision in other_models(Path(directory, _CONFIG).read_bytes()):
        hub_cache.snapshot(repository, revision)
    from pyannote.audio import Pipeline
    from pyannote.audio.pipelines import speaker_diarization

    try:
        with (
            pickles.only_tensors(params.allow_pickle, directory),
            patched(speaker_diarization, _replacements(directory, parts)),
        ):
            pipeline: Any = Pipeline.from_pretrained(directory)
        return pipeline.to(device)
    except RpcError:
        raise
    except Exception as error:  # damaged weights can raise anything
        raise torch_device.load_error(error, directory, "The pipeline", device) from None


def _replacements(directory: str, parts: dict[str, Any]) -> dict[str, Any]:
    """What to replace in pyannote.audio for ONNX embeddings and pipelines without a PLDA.

    pyannote treats an embedding as ONNX only if its name contains "wespeaker" but not "pyannote",
    and never in `$model/`. If the configuration names no PLDA, it fetches one from the hub, even
    for a clustering that needs none.
    """
    ours: dict[str, Any] = {}
    if file := _onnx_file(directory, parts.get("embedding")):
        from worker.engines.diarization.onnx_embedding import OnnxEmbedding

        ours["PretrainedSpeakerEmbedding"] = lambda *_, **__: OnnxEmbedding(file)
    if not parts.get("plda") and parts.get("clustering", _NEEDS_PLDA) != _NEEDS_PLDA:
        ours["get_plda"] = lambda *_, **__: None
    return ours


def batch_threads(pipeline: Any) -> list[BatchThreads]:
    """Split the batches of those of the pipeline's models that run on the CPU and allow it."""
    from pyannote.audio import Model

    from worker.engines.diarization.onnx_embedding import OnnxEmbedding

    segmentation = getattr(getattr(pipeline, "_segmentation", None), "model", None)
    embedding = getattr(pipeline, "_embedding", None)
    return [
        BatchThreads(model)
        for model in (segmentation, getattr(embedding, "model_", embedding))
        if isinstance(model, Model | OnnxEmbedding) and model.device.type == "cpu"
    ]


def _silence_telemetry() -> None:
    """Switch off pyannote.audio's telemetry, which version 4 sends by default."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    # It need not open files: it gets samples.
    warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
    from pyannote.audio.telemetry import set_telemetry_metrics

    set_telemetry_metrics(False)


def resolve(params: LoadDiarizationParams) -> str:
    """Find the pipeline's directory. Raises `RpcError`."""
    name = params.model
    if Path(name).is_dir():
        return name
    return hub_cache.snapshot(
        catalogue.repository("diarization", name), params.revision, _missing_anything
    )


def _missing_anything(directory: str) -> list[str]:
    try:
        _read_config(directory)
    except RpcError as error:
        missing: list[str] = error.data.get("missing", [])
        return missing
    return []


def _read_config(directory: str) -> dict[str, Any]:
    """The pipeline's parts by its configuration.

    Raises model_invalid if a file is missing, or for a class that is not pyannote.audio's own:
    loading it would import whatever module the file names.
    """
    import yaml

    path = Path(directory, _CONFIG)
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        name: str = config["pipeline"]["name"]
        parts: dict[str, Any] = config["pipeline"]["params"]
        unknown = [
            *([name] if name not in _CLASSES else []),
            *(each for each in (parts.get("clustering"),) if each == _NEEDS_TRUTH),
            *config.get("preprocessors", ()),
        ]
        missing = [
            file for part, value in parts.items() for file in _missing_files(directory, part, value)
        ]
    except FileNotFoundError:
        raise hub_cache.incomplete(directory, [_CONFIG]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise RpcError(
            "model_invalid",
            f"{path} does not describe a pyannote pipeline.",
            remedy="Name a pipeline of pyannote.audio: a hub id, or a directory with config.yaml.",
            path=str(path),
        ) from None
    if unknown:
        raise RpcError(
            "model_invalid",
            f"{path} names {', '.join(map(str, unknown))}, which this program does not run.",
            remedy=f"Use the pipeline {_CLASSES[0]}, without preprocessors, and a clustering that "
            "needs nothing but the audio.",
            path=str(path),
        )
    if missing:
        raise hub_cache.incomplete(directory, missing)
    return parts


def _missing_files(directory: str, part: str, value: Any) -> list[str]:
    """The missing files of a part, if `value` says where they should be."""
    if not isinstance(value, str):
        return []
    path = value.removeprefix(_MODEL)
    if part == "embedding" and (file := _onnx_file(directory, value)):
        return [] if file.is_file() else [path]
    if not value.startswith(_MODEL):
        return []
    files = [str(Path(path, file)) for file in _WEIGHTS.get(part, ())]
    return [file for file in files if not Path(directory, file).is_file()]


def _onnx_file(directory: str, embedding: Any) -> Path | None:
    """The ONNX file that an embedding names, whether it exists or not; None if it names no such.

    A name with that suffix is a path, absolute or relative to the pipeline's directory; `$model/…`
    without it may be a directory with one ONNX file and no other weights.
    """
    if not isinstance(embedding, str):
        return None
    path = Path(directory, embedding.removeprefix(_MODEL))
    if path.suffix == ONNX_SUFFIX:
        return path
    if not embedding.startswith(_MODEL):
        return None
    files = list(path.glob(f"*{ONNX_SUFFIX}"))
    weights = any((path / file).is_file() for file in _WEIGHTS["embedding"])
    return files[0] if len(files) == 1 and not weights else None


def sources(params: LoadDiarizationParams) -> list[str]:
    """The paths that a pipeline's results depend on: its directory, named files and models."""
    directory = resolve(params)
    parts = _read_config(directory)
    named = [parts[part] for part in _WEIGHTS if isinstance(parts.get(part), str)]
    paths = [Path(directory, name.removeprefix(_MODEL)) for name in named]
    others = other_models(Path(directory, _CONFIG).read_bytes())
    return [
        directory,
        *(str(path) for path in paths if not path.is_relative_to(directory) and path.exists()),
        *(hub_cache.snapshot(repository, revision) for repository, revision in others),
    ]
