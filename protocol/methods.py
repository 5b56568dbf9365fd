"""The methods of the contract and the types of their params and results.

Types are named, not imported, so that a worker that only answers `ping` never builds the structs
of `transcribe`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, Literal, cast

import msgspec


class Method(msgspec.Struct, frozen=True):
    """A method: `params` and `result` are `module:name`; a notification has no result."""

    name: str
    summary: str
    lane: Literal["control", "work"]
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


_NONE = "protocol.control:NoParams"
_OBJECT = "builtins:dict"

COMMON_ERRORS: Final = (
    *("parse_error", "line_too_long", "invalid_request", "batch_too_large"),
    *("shutting_down", "method_not_found", "internal_error"),
)
"""Kinds that any request may be answered with."""

_CONTROL = ("invalid_params",)
_WORK = ("invalid_params", "busy", "cancelled")
_ENGINE = (*_WORK, "engine_crashed", "engine_start_failed", "engine_unavailable", "out_of_memory")
_AUDIO = (
    *("audio_not_found", "audio_not_readable", "audio_empty", "audio_invalid", "audio_no_stream"),
    *("audio_no_channel", "audio_too_long", "audio_too_large", "clip_out_of_range"),
    "storage_failed",
)
_HUB = (
    *("model_not_found", "model_not_cached", "model_download_failed", "model_invalid"),
    *("model_gated", "disk_full", "token_missing", "token_invalid"),
)
_MODEL = (*_HUB, "model_needs_pickle", "model_does_not_fit", "device_unavailable")
_EXPORT = ("export_exists", "export_failed")

REQUESTS: Final = {
    method.name: method
    for method in (
        Method(
            "initialize",
            "Open a session: agree on limits, ask for logs, name the process to watch. Optional.",
            "control",
            "protocol.control:InitializeParams",
            "protocol.control:InitializeResult",
            _CONTROL,
        ),
        Method(
            "ping",
            "Answer {} at once, whatever the engines do.",
            "control",
            _NONE,
            _OBJECT,
            _CONTROL,
        ),
        Method(
            "rpc.discover",
            "Describe every method: an OpenRPC document.",
            "control",
            _NONE,
            _OBJECT,
            _CONTROL,
        ),
        Method(
            "jobs/list",
            "List the jobs that wait or run.",
            "control",
            "protocol.jobs:ListJobsParams",
            "protocol.jobs:ListJobsResult",
            _CONTROL,
        ),
        Method(
            "shutdown",
            "Take no new requests; those running go on.",
            "control",
            _NONE,
            None,
            _CONTROL,
        ),
        Method(
            "transcribe",
            "Transcribe a recording; segments and progress stream to whoever asked.",
            "work",
            "protocol.transcription:TranscribeParams",
            "protocol.transcription:TranscribeResult",
            (
                *(*_ENGINE, *_AUDIO, *_MODEL, *_EXPORT, "compute_type_unsupported"),
                *("language_unsupported", "transcript_invalid", "speakers_unsatisfiable"),
            ),
        ),
        Method(
            "align",
            "Find when each word of a transcript is said.",
            "work",
            "protocol.alignment:AlignParams",
            "protocol.alignment:AlignResult",
            (*_ENGINE, *_AUDIO, *_MODEL, "language_unsupported", "transcript_invalid"),
        ),
        Method(
            "diarize",
            "Find who speaks when.",
            "work",
            "protocol.diarization:DiarizeParams",
            "protocol.diarization:DiarizeResult",
            (*_ENGINE, *_AUDIO, *_MODEL, "speakers_unsatisfiable"),
        ),
        Method(
            "export",
            "Write a transcript as subtitles, tables or annotations; as files or as texts.",
            "work",
            "protocol.transcript:ExportParams",
            "protocol.transcript:ExportResult",
            (*_WORK, *_EXPORT),
        ),
        Method(
            "models/list",
            "List the models that are known, cached or loaded.",
            "work",
            "protocol.models:ListModelsParams",
            "protocol.models:ListModelsResult",
            _ENGINE,
        ),
        Method(
            "models/download",
            "Have a model in the cache, whole.",
            "work",
            "protocol.models:DownloadModelParams",
            "protocol.models:DownloadModelResult",
            (*_ENGINE, *_HUB, "language_unsupported"),
        ),
        Method(
            "models/load",
            "Load a model before it is needed.",
            "work",
            "protocol.models:LoadModelParams",
            "protocol.models:LoadModelResult",
            (*_ENGINE, *_MODEL, "compute_type_unsupported", "language_unsupported"),
        ),
        Method(
            "models/unload",
            "Free the memory of a model, or of all.",
            "work",
            "protocol.models:UnloadModelParams",
            "protocol.models:UnloadModelResult",
            (*_WORK, "model_busy"),
        ),
        Method(
            "models/remove",
            "Delete a model from the cache.",
            "work",
            "protocol.models:RemoveModelParams",
            "protocol.models:RemoveModelResult",
            (*_ENGINE, "model_not_found", "model_not_cached", "model_busy", "language_unsupported"),
        ),
        Method(
            "environment/probe",
            "Try all that the worker needs of this machine, and say what to do.",
            "work",
            "protocol.environment:ProbeParams",
            "protocol.environment:ProbeResult",
            _WORK,
        ),
        Method(
            "environment/devices",
            "Tell what there is to compute on, and what can use it.",
            "work",
            "protocol.environment:DevicesParams",
            "protocol.environment:DevicesResult",
            _WORK,
        ),
        Method(
            "hub/whoami",
            "Ask the hub whose token the worker has.",
            "work",
            "protocol.models:WhoAmIParams",
            "protocol.models:WhoAmIResult",
            (*_ENGINE, "token_missing", "token_invalid", "hub_unreachable"),
        ),
    )
}

NOTIFICATIONS: Final = {
    method.name: method
    for method in (
        Method("initialized", "The client got the answer to initialize.", "control", _NONE),
        Method("exit", "Cancel what is running, answer it, and end.", "control", _NONE),
        Method(
            "$/cancelRequest",
            "Cancel a request; it is still answered, with code -32800.",
            "control",
            "protocol.control:CancelParams",
        ),
    )
}
