"""The methods of the contract: one row each, with its types and the errors to expect.

A row names its types and does not import them, so that a worker that only answers `ping` never
builds the structs of `transcribe`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

import msgspec


class Method(msgspec.Struct, frozen=True):
    """A method: `params` and `result` are `module:name`; a notification has no result."""

    name: str
    summary: str
    params: str
    result: str | None = None
    errors: tuple[str, ...] = ()
    """Kinds to expect, beside those of `COMMON_ERRORS`."""

    @property
    def params_type(self) -> type[Any]:
        """The struct of the params."""
        return _load(self.params)

    @property
    def result_type(self) -> type[Any] | None:
        """The struct of the result; None for null."""
        return _load(self.result) if self.result else None


def _load(name: str) -> type[Any]:
    module, _, attribute = name.partition(":")
    return cast("type[Any]", getattr(import_module(module), attribute))


_NONE: Final = "protocol.control:NoParams"

COMMON_ERRORS: Final = (
    *("parse_error", "line_too_long", "invalid_request", "batch_too_large"),
    *("shutting_down", "method_not_found", "internal_error"),
)
"""Kinds that any request may be answered with."""

_CONTROL: Final = ("invalid_params",)
_WORK: Final = ("invalid_params", "busy", "cancelled")
_ENGINE: Final = (
    *(*_WORK, "engine_crashed", "engine_start_failed", "engine_unavailable", "out_of_memory"),
)
_RECORDING: Final = (
    *(*_ENGINE, "audio_not_found", "audio_not_readable", "audio_empty", "audio_invalid"),
    *("audio_no_stream", "audio_no_track", "audio_no_channel"),
    *("audio_too_long", "audio_too_large"),
    *("clip_out_of_range", "storage_failed"),
)
_HUB: Final = (
    *("model_not_found", "model_not_cached", "model_download_failed", "model_invalid"),
    *("model_gated", "disk_full", "token_missing", "token_invalid"),
)
_MODEL: Final = (*_HUB, "model_needs_pickle", "model_does_not_fit", "device_unavailable")
_OPTIONS: Final = ("compute_type_unsupported", "language_unsupported")
_FILES: Final = ("export_exists", "export_failed")

_WHOLE: Final = (
    *(*_RECORDING, *_MODEL, *_FILES, *_OPTIONS),
    *("transcript_invalid", "speakers_unsatisfiable", "voice_invalid"),
)
_ALIGN: Final = (*_RECORDING, *_MODEL, "language_unsupported", "transcript_invalid")
_DIARIZE: Final = (*_RECORDING, *_MODEL, "speakers_unsatisfiable", "voice_invalid")
_ENROLL: Final = (*_RECORDING, *_MODEL, *_FILES, "voice_too_short")
_DETECT: Final = (*_RECORDING, *_MODEL, *_OPTIONS)
_LIVE: Final = (
    *(*_ENGINE, *_MODEL, *_FILES, *_OPTIONS),
    *("storage_failed", "live_stream_exists", "voice_invalid"),
)
_APPEND: Final = (*_CONTROL, "live_stream_unknown", "live_stream_finished", "live_overrun")
_STREAM: Final = (*_CONTROL, "live_stream_unknown")
_EXPORT: Final = (*_WORK, *_FILES)
_DOWNLOAD: Final = (*_ENGINE, *_HUB, "language_unsupported")
_LOAD: Final = (*_ENGINE, *_MODEL, *_OPTIONS)
_UNLOAD: Final = (*_WORK, "model_busy")
_REMOVE: Final = (
    *(*_ENGINE, "model_not_found", "model_not_cached", "model_busy", "language_unsupported"),
)
_WHOAMI: Final = (*_ENGINE, "token_missing", "token_invalid", "hub_unreachable")


# Name; module in `protocol` and the names of its types, without `Params` and `Result`; errors;
# summary. A method without types has no params; its result is an object ("") or null (None).
_ROWS: Final = (
    ("initialize", "control:Initialize", _CONTROL, "Agree on limits, logs and a process to watch."),
    ("ping", "", _CONTROL, "Answer {} at once, even while the engines work."),
    ("rpc.discover", "", _CONTROL, "Describe every method: an OpenRPC document."),
    ("jobs/list", "jobs:ListJobs", _CONTROL, "List the jobs that wait or run."),
    ("shutdown", None, _CONTROL, "Accept no new requests; finish open jobs."),
    ("transcribe", "transcription:Transcribe", _WHOLE, "Transcribe a recording; stream segments."),
    ("align", "alignment:Align", _ALIGN, "Find when each word of a transcript is said."),
    ("diarize", "diarization:Diarize", _DIARIZE, "Find who speaks when."),
    ("speakers/enroll", "speakers:Enroll", _ENROLL, "Make a voice known by its name."),
    ("detectSpeech", "detection:DetectSpeech", _RECORDING, "Find the speech in a recording."),
    ("detectLanguage", "detection:DetectLanguage", _DETECT, "Find which language is spoken."),
    ("live/transcribe", "live:LiveTranscribe", _LIVE, "Open a stream: transcribe while it comes."),
    ("live/append", "live:LiveAppend", _APPEND, "Send a stream its next audio."),
    ("live/commit", "live:LiveStream", _STREAM, "End the utterance that goes on in a stream."),
    ("live/finish", "live:LiveStream", _STREAM, "End the input of a stream."),
    ("export", "transcript:Export", _EXPORT, "Write a transcript as subtitles, tables and more."),
    ("models/list", "models:ListModels", _ENGINE, "List known, cached and loaded models."),
    ("models/download", "models:DownloadModel", _DOWNLOAD, "Download and verify a model."),
    ("models/load", "models:LoadModel", _LOAD, "Load a model before it is needed."),
    ("models/unload", "models:UnloadModel", _UNLOAD, "Free the memory of one model, or of all."),
    ("models/remove", "models:RemoveModel", _REMOVE, "Delete a model from the cache."),
    ("environment/probe", "environment:Probe", _WORK, "Check this machine and suggest remedies."),
    ("environment/devices", "environment:Devices", _WORK, "List compute devices."),
    ("hub/whoami", "models:WhoAmI", _WHOAMI, "Ask the hub whose token the worker has."),
)
REQUESTS: Final = {
    name: Method(
        name,
        summary,
        f"protocol.{types}Params" if types else _NONE,
        f"protocol.{types}Result" if types else None if types is None else "builtins:dict",
        errors,
    )
    for name, types, errors, summary in _ROWS
}

NOTIFICATIONS: Final = {
    row.name: row
    for row in (
        Method("initialized", "The client has the answer to initialize.", _NONE),
        Method("exit", "Cancel and answer the open jobs, then end.", _NONE),
        Method(
            "$/cancelRequest",
            "Cancel a request; it is still answered, with code -32800.",
            "protocol.control:CancelParams",
        ),
    )
}
