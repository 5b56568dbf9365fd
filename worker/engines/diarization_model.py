"""Loading a pyannote.audio pipeline, from the hub or a directory."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Final

from protocol.errors import RpcError
from worker import catalogue
from worker.engines import hub_cache, pickles, torch_device
from worker.engines.batch_threads import BatchThreads
from worker.engines.contract import LoadDiarizationParams

_CONFIG: Final = "config.yaml"
_MODEL: Final = "$model/"
_WEIGHTS: Final = {
    "segmentation": ("pytorch_model.bin",),
    "embedding": ("pytorch_model.bin",),
    "plda": ("plda.npz", "xvec_transform.npz"),
}
"""Files that each part of a pipeline is made of."""


def load(params: LoadDiarizationParams) -> Any:
    """Load the pipeline; return pyannote's, on its device. Raises `RpcError`."""
    _silence_telemetry()
    directory = resolve(params)
    device = torch_device.choose(params.device, params.device_index)
    _read_config(directory)
    for repository, revision in other_models(Path(directory, _CONFIG).read_bytes()):
        hub_cache.snapshot(repository, revision)
    from pyannote.audio import Pipeline

    try:
        with pickles.tensors_alone(params.allow_pickle, directory):
            pipeline: Any = Pipeline.from_pretrained(directory)
        return pipeline.to(device)
    except RpcError:
        raise
    except Exception as error:  # a damaged checkpoint raises whatever its bytes lead to
        raise torch_device.load_error(error, directory, "The pipeline", device) from None


def batch_threads(pipeline: Any) -> list[BatchThreads]:
    """Have the models of a pipeline share batches out; none where it has others than pyannote's."""
    segmentation = getattr(getattr(pipeline, "_segmentation", None), "model", None)
    embedding = getattr(getattr(pipeline, "_embedding", None), "model_", None)
    if segmentation is None or embedding is None:
        return []
    return [BatchThreads(segmentation), BatchThreads(embedding)]


def _silence_telemetry() -> None:
    """pyannote.audio 4 tells its makers what it is used for, unless told not to."""
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    # That it cannot open files by itself is well: it is given samples.
    warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
    from pyannote.audio.telemetry import set_telemetry_metrics

    set_telemetry_metrics(False)


def resolve(params: LoadDiarizationParams) -> str:
    """The directory of the pipeline."""
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
    """The pipeline's configuration; raises model_invalid when it, or a file it names, is not
    there."""
    import yaml

    path = Path(directory, _CONFIG)
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts: dict[str, Any] = config["pipeline"]["params"]
    except FileNotFoundError:
        raise hub_cache.incomplete(directory, [_CONFIG]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise RpcError(
            "model_invalid", f"{path} does not describe a pyannote pipeline.", path=str(path)
        ) from None
    missing = [
        str(Path(value.removeprefix(_MODEL), file))
        for part, value in parts.items()
        if isinstance(value, str) and value.startswith(_MODEL)
        for file in _WEIGHTS.get(part, ())
        if not Path(directory, value.removeprefix(_MODEL), file).is_file()
    ]
    if missing:
        raise hub_cache.incomplete(directory, missing)
    return config


def other_models(config: bytes) -> list[tuple[str, str | None]]:
    """The models that a pipeline of version 3 is made of; later ones bring their parts along."""
    import yaml

    try:
        values = list(yaml.safe_load(config)["pipeline"]["params"].values())
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []  # loading it will tell
    named = [value.partition("@") for value in values if isinstance(value, str)]
    models = {
        (repository, revision or None)
        for repository, _, revision in named
        if catalogue.is_hub_id(repository)
    }
    return sorted(models, key=str)
