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

REQUESTS: Final = {
    method.name: method
    for method in (
        Method(
            "initialize",
            "Open a session: agree on limits, ask for logs, name the process to watch. Optional.",
            "control",
            "protocol.control:InitializeParams",
            "protocol.control:InitializeResult",
        ),
        Method("ping", "Answer {} at once, whatever the engines do.", "control", _NONE),
        Method(
            "jobs/list",
            "List the jobs that wait or run.",
            "control",
            "protocol.jobs:ListJobsParams",
            "protocol.jobs:ListJobsResult",
        ),
        Method("shutdown", "Take no new requests; those running go on.", "control", _NONE),
        Method(
            "transcribe",
            "Transcribe a recording; segments and progress stream to whoever asked.",
            "work",
            "protocol.transcription:TranscribeParams",
            "protocol.transcription:TranscribeResult",
        ),
        Method(
            "align",
            "Find when each word of a transcript is said.",
            "work",
            "protocol.alignment:AlignParams",
            "protocol.alignment:AlignResult",
        ),
        Method(
            "diarize",
            "Find who speaks when.",
            "work",
            "protocol.diarization:DiarizeParams",
            "protocol.diarization:DiarizeResult",
        ),
        Method(
            "export",
            "Write a transcript as subtitles, tables or annotations; as files or as texts.",
            "work",
            "protocol.transcript:ExportParams",
            "protocol.transcript:ExportResult",
        ),
        Method(
            "models/list",
            "List the models that are known, cached or loaded.",
            "work",
            "protocol.models:ListModelsParams",
            "protocol.models:ListModelsResult",
        ),
        Method(
            "models/download",
            "Have a model in the cache, whole.",
            "work",
            "protocol.models:DownloadModelParams",
            "protocol.models:DownloadModelResult",
        ),
        Method(
            "models/load",
            "Load a model before it is needed.",
            "work",
            "protocol.models:LoadModelParams",
            "protocol.models:LoadModelResult",
        ),
        Method(
            "models/unload",
            "Free the memory of a model, or of all.",
            "work",
            "protocol.models:UnloadModelParams",
            "protocol.models:UnloadModelResult",
        ),
        Method(
            "models/remove",
            "Delete a model from the cache.",
            "work",
            "protocol.models:RemoveModelParams",
            "protocol.models:RemoveModelResult",
        ),
        Method(
            "environment/probe",
            "Try all that the worker needs of this machine, and say what to do.",
            "work",
            "protocol.environment:ProbeParams",
            "protocol.environment:ProbeResult",
        ),
        Method(
            "environment/devices",
            "Tell what there is to compute on, and what can use it.",
            "work",
            "protocol.environment:DevicesParams",
            "protocol.environment:DevicesResult",
        ),
        Method(
            "hub/whoami",
            "Ask the hub whose token the worker has.",
            "work",
            "protocol.models:WhoAmIParams",
            "protocol.models:WhoAmIResult",
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
