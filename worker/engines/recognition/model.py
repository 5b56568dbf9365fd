"""Loads a Whisper model: finds its directory, chooses where it runs, and explains failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from protocol.errors import RpcError
from protocol.values import Notice
from worker.engines.common.notices import memory_saved
from worker.engines.contract import LoadParams
from worker.engines.hub import cache as hub_cache
from worker.models import catalogue
from worker.system import cuda
from worker.system.cpu import available_threads

_NEEDED_FILES: Final = ("config.json", "model.bin", "tokenizer.json")
# cuBLAS and thrust say the last three when the device has no memory for them.
_NO_MEMORY: Final = (
    *("out of memory", "bad_alloc", "failed to allocate memory"),
    *("cublas_status_alloc_failed", "cublas_status_not_initialized", "cudaerrorinvaliddevice"),
)
_VOCABULARIES: Final = ("vocabulary.json", "vocabulary.txt")

_AUTO: Final = {"cpu": "int8_float32", "cuda": "float16"}
"""Compute type for `auto` if the device supports it. On CPUs int8 takes three quarters of
float32's time and makes no more errors; 3 % of the words differ (benchmarks/real)."""

_Load = Callable[[LoadParams], tuple[Any, list[Notice]]]


def load(params: LoadParams, make: Callable[..., Any] | None = None) -> tuple[Any, list[Notice]]:
    """Load the model with `make`, by default faster-whisper's `WhisperModel`; return warnings too.

    With device `auto`, fall back to the CPU if CUDA fails, and warn.
    """
    path = resolve(params)
    device = params.device
    warnings: list[Notice] = []
    if device in ("auto", "cuda"):
        import ctranslate2

        try:
            devices = ctranslate2.get_cuda_device_count()
        except RuntimeError:  # a driver without a device, or too old
            devices = 0
        if params.device_index >= devices:
            if device == "cuda":
                raise RpcError(
                    "device_unavailable",
                    f"There is no CUDA device {params.device_index}; {devices} can be used.",
                )
            device = "cpu"
    if device != "cpu":
        try:
            _require_libraries()
            return _load_on("cuda", path, params, make), warnings
        except RpcError as error:
            if params.device == "cuda" or error.kind != "device_unavailable":
                raise
            warnings.append(
                Notice(kind="device_fallback", message=f"Running on the CPU: {error.message}")
            )
    return _load_on("cpu", path, params, make), warnings


def load_saving_memory(params: LoadParams, load_with: _Load) -> tuple[Any, list[Notice]]:
    """Load the model with `load_with`; if it does not fit into memory, as int8."""
    try:
        return load_with(params)
    except RpcError as error:
        if error.kind != "out_of_memory" or params.compute_type.startswith("int8"):
            raise
    return load_as_int8(params, load_with)


def load_as_int8(params: LoadParams, load_with: _Load) -> tuple[Any, list[Notice]]:
    """Load the model as int8, and say so."""
    params.compute_type = "int8"
    model, warnings = load_with(params)
    return model, [*warnings, memory_saved("computeType", "loaded the model as int8")]


def resolve(params: LoadParams) -> str:
    """Find the model's directory. Raises `RpcError` of the kinds model_*."""
    name = params.model
    if Path(name).is_dir():
        check_directory(name)
        return name
    path = hub_cache.snapshot(catalogue.repository("recognition", name), params.revision)
    check_directory(path)
    return path


def check_directory(path: str) -> None:
    """Raise model_invalid if a file is missing.

    Otherwise faster-whisper would search the hub for a missing tokenizer.
    """
    present = {file.name for file in Path(path).iterdir()}
    missing = [name for name in _NEEDED_FILES if name not in present]
    if not present.intersection(_VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        raise hub_cache.incomplete(path, missing)


def _require_libraries() -> None:
    """Raise device_unavailable for missing libraries now, not when the model first multiplies."""
    cuda.preload()
    if missing := cuda.missing():
        raise RpcError(
            "device_unavailable",
            f"The CUDA device cannot be used: {', '.join(missing)} cannot be loaded.",
            remedy='Use device "cpu", or install CUDA 12; `diagnose` says how.',
        )


def _load_on(device: str, path: str, params: LoadParams, make: Callable[..., Any] | None) -> Any:
    import ctranslate2
    from faster_whisper import WhisperModel

    index = params.device_index if device == "cuda" else 0
    what = f"The model in {path} cannot be loaded"
    try:
        supported = ctranslate2.get_supported_compute_types(device, index)
    except RuntimeError as error:  # a device with no memory left
        raise native_error(error, "device_unavailable", what) from None
    if params.compute_type not in {"default", "auto", *supported}:
        raise RpcError(
            "compute_type_unsupported",
            f"{device} does not support {params.compute_type} on this machine, only "
            f"{', '.join(sorted(supported))}.",
            supported=sorted(supported),
        )
    compute_type: str = params.compute_type
    if compute_type == "auto" and _AUTO[device] in supported:
        compute_type = _AUTO[device]
    try:
        model = (make or WhisperModel)(
            path,
            device=device,
            device_index=index,
            compute_type=compute_type,
            cpu_threads=params.threads or available_threads(),
            local_files_only=True,
        )
        if device == "cuda":
            _warm_up(model)
    except Exception as error:
        raise native_error(error, "model_invalid", what) from None
    return model


def _warm_up(model: Any) -> None:
    """Encode silence, so that first-use costs and failures come now.

    The driver compiles the kernels that CTranslate2 does not bring for this device, and the CUDA
    libraries allocate their memory: when they cannot, they end the process in the middle of work.
    """
    import numpy as np

    model.encode(np.zeros((model.model.n_mels, model.feature_extractor.nb_max_frames), np.float32))


def check_language(model: Any, language: str) -> None:
    """Raise language_unsupported for a language that the model does not know."""
    token_of = model.hf_tokenizer.token_to_id
    known = sorted(
        code for code in model.supported_languages if token_of(f"<|{code}|>") is not None
    )
    if language not in known:
        raise RpcError(
            "language_unsupported",
            f"The model does not know the language {language}.",
            remedy="Omit language to detect it, or give one that the model knows.",
            known=known,
        )


def native_error(error: Exception, kind: str, what: str) -> RpcError:
    """Classify an exception of CTranslate2 by its text; `kind` if that says nothing."""
    text = str(error)
    folded = text.lower()
    if isinstance(error, MemoryError) or any(words in folded for words in _NO_MEMORY):
        kind = "out_of_memory"
    elif "cuda" in folded or "cublas" in folded or "cudnn" in folded:
        kind = "device_unavailable"
    elif "unable to open file" in folded:  # deleted since the model was first loaded
        kind = "model_invalid"
    return RpcError(kind, f"{what}: {text or type(error).__name__}.")
