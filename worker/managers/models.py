"""The models that requests name, as the managers know them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from worker.engines.contract import LoadAlignmentParams, LoadDiarizationParams, LoadParams
from worker.managers.manager import Model

if TYPE_CHECKING:
    from protocol.alignment import AlignmentOptions
    from protocol.diarization import DiarizationOptions
    from protocol.transcription import TranscribeParams

_KINDS = {"faster-whisper": "whisper", "whisperx": "whisperx"}


def recognition_model(params: TranscribeParams) -> Model:
    """The Whisper model that `transcribe` names."""
    load = LoadParams(
        model=absolute(params.model),
        revision=params.revision,
        device=params.device,
        device_index=params.device_index,
        compute_type=params.compute_type,
        threads=params.threads,
    )
    return _model(_KINDS[params.engine], params.model, load, params.download)


def alignment_model(options: AlignmentOptions, language: str, download: bool) -> Model:
    """The model that aligns `language`; `download` holds where the options leave it open."""
    load = LoadAlignmentParams(
        language=language,
        model=None if options.model is None else absolute(options.model),
        revision=options.revision,
        device=options.device,
        device_index=options.device_index,
    )
    name = options.model or f"alignment model for {language}"
    return _model("alignment", name, load, _either(options.download, download))


def diarization_model(options: DiarizationOptions, download: bool) -> Model:
    """The diarization pipeline; `download` holds where the options leave it open."""
    load = LoadDiarizationParams(
        model=absolute(options.model),
        revision=options.revision,
        device=options.device,
        device_index=options.device_index,
    )
    return _model("diarization", options.model, load, _either(options.download, download))


def absolute(name: str) -> str:
    """A directory as an absolute path; any other name as it is."""
    path = Path(name)
    return str(path.absolute()) if path.is_dir() else name


def _either(given: bool | None, otherwise: bool) -> bool:
    return otherwise if given is None else given


def _model(
    kind: str,
    name: str,
    load: LoadParams | LoadAlignmentParams | LoadDiarizationParams,
    download: bool,
) -> Model:
    # Whether it may be downloaded does not make it another model.
    load.download = False
    key = msgspec.json.encode(load)
    load.download = download
    return Model(kind, name, key, msgspec.json.encode(load))
