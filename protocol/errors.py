"""Every error a client can meet: a stable kind, its code, and the usual remedy.

`error.data.kind` is the name to program against; codes group kinds for generic clients. Codes
-32700 to -32600 are JSON-RPC's own, -32800 is LSP's RequestCancelled.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REQUEST_CANCELLED: Final = -32800

CancelledBy = Literal["client", "signal", "shutdown", "stage"]
"""Who cancelled: the `client`, by `$/cancelRequest`; a `signal` to the worker, SIGTERM or SIGINT;
its `shutdown`, as by `exit`; or a failed `stage` of the same job. The last never leaves the worker:
the answer is what was wrong with that stage."""


class ErrorKind(msgspec.Struct, frozen=True):
    """A row of the error table."""

    name: str
    code: int
    summary: str
    remedy: str | None = None


def _table(*kinds: ErrorKind) -> dict[str, ErrorKind]:
    return {kind.name: kind for kind in kinds}


KINDS: Final = _table(
    # JSON-RPC itself
    ErrorKind("parse_error", PARSE_ERROR, "The line is not valid JSON in UTF-8."),
    ErrorKind(
        "line_too_long",
        PARSE_ERROR,
        "The line is longer than the limit and was skipped.",
        "Send shorter lines, or ask for a larger maxLineBytes in initialize.",
    ),
    ErrorKind("invalid_request", INVALID_REQUEST, "The message is not a JSON-RPC 2.0 request."),
    ErrorKind(
        "batch_too_large",
        INVALID_REQUEST,
        "The batch has more members than the limit.",
        "Send it in smaller batches.",
    ),
    ErrorKind(
        "shutting_down",
        INVALID_REQUEST,
        "The worker is shutting down and takes no new requests.",
        "Start a new worker.",
    ),
    ErrorKind("method_not_found", METHOD_NOT_FOUND, "There is no such method."),
    ErrorKind("invalid_params", INVALID_PARAMS, "The params do not fit the method."),
    ErrorKind(
        "internal_error",
        INTERNAL_ERROR,
        "The worker failed in a way it did not foresee.",
        "The worker's stderr has the details; please report them.",
    ),
    ErrorKind("cancelled", REQUEST_CANCELLED, "The request was cancelled."),
    # The worker and its engines
    ErrorKind(
        "busy",
        -32000,
        "Too many requests are waiting.",
        "Wait for some to be answered, then send again.",
    ),
    ErrorKind(
        "engine_crashed",
        -32001,
        "The engine process ended while it worked on the request.",
        "Send the request again; if it crashes again, try another compute type or device.",
    ),
    ErrorKind(
        "engine_start_failed",
        -32002,
        "The engine process could not be started.",
        "The stderr tail says why.",
    ),
    ErrorKind(
        "engine_unavailable",
        -32003,
        "A package that the engine needs is not installed here.",
        "Install it, or use a build of the worker that contains it.",
    ),
    ErrorKind(
        "out_of_memory",
        -32004,
        "Memory ran out.",
        "Use a smaller model, a smaller batchSize, or computeType int8.",
    ),
    ErrorKind(
        "model_does_not_fit",
        -32005,
        "The model does not fit into the memory that is left for it.",
        "Use a smaller model or computeType int8, end other programs, or start the worker with a "
        "larger --memory-budget.",
    ),
    ErrorKind(
        "model_busy",
        -32006,
        "The model is in use.",
        'Wait for its jobs, cancel them, or ask with "whenBusy": "wait".',
    ),
    # Audio
    ErrorKind("audio_not_found", -32010, "There is no file at the path.", "Check the path."),
    ErrorKind(
        "audio_not_readable",
        -32011,
        "The file cannot be opened.",
        "Check that it is a file and that the worker may read it.",
    ),
    ErrorKind("audio_empty", -32012, "The file holds no audio samples."),
    ErrorKind(
        "audio_invalid",
        -32013,
        "The file is not audio or video that can be decoded, or it is damaged.",
        "Play it in a media player to check it, or convert it to WAV or FLAC.",
    ),
    ErrorKind("audio_no_stream", -32014, "The file has no audio stream."),
    ErrorKind(
        "audio_no_channel",
        -32015,
        "The audio has no such channel.",
        "Channels count from 0; leave channel out to mix all of them.",
    ),
    ErrorKind(
        "clip_out_of_range",
        -32016,
        "The clip lies outside of the recording.",
        "Give start and end within the recording's duration, in seconds.",
    ),
    ErrorKind(
        "audio_too_long",
        -32017,
        "The recording lasts longer than the limit.",
        "Give end to take a part of it, or start the worker with a larger --max-audio-duration.",
    ),
    ErrorKind(
        "audio_too_large",
        -32018,
        "The file is larger than the limit.",
        "Give a file with the sound alone, or start the worker with a larger --max-audio-size.",
    ),
    # Models
    ErrorKind(
        "model_not_found",
        -32020,
        "There is no such model.",
        "Give a known name, a hub id (owner/name) or the path of a model directory.",
    ),
    ErrorKind(
        "model_not_cached",
        -32021,
        "The model is not on this machine and downloading was not asked for.",
        'Set "download": true in the request.',
    ),
    ErrorKind(
        "model_download_failed",
        -32022,
        "The model could not be downloaded.",
        "Check the network, or give the path of a local model directory.",
    ),
    ErrorKind(
        "model_invalid",
        -32023,
        "The model directory lacks a file or holds a damaged one.",
        "Download or convert the model again.",
    ),
    ErrorKind(
        "device_unavailable",
        -32024,
        "The device cannot be used on this machine.",
        'Use device "cpu" or "auto".',
    ),
    ErrorKind(
        "compute_type_unsupported",
        -32025,
        "The device does not support this compute type.",
        'Use computeType "auto".',
    ),
    ErrorKind("language_unsupported", -32026, "The model does not know this language."),
    ErrorKind(
        "model_gated",
        -32027,
        "The model's makers want their terms accepted before it can be fetched.",
        "Accept the terms on the model's page and give a token of that account: hfToken in "
        "initialize, the variable HF_TOKEN, or the hub's own login.",
    ),
    ErrorKind(
        "model_needs_pickle",
        -32028,
        "The model's weights are stored in a form that can run code while it is read.",
        'If you trust its makers, ask with "allowPickle": true.',
    ),
    ErrorKind(
        "disk_full",
        -32063,
        "There is not enough space on the disk for the model.",
        "Free some space, remove models with models/remove, or set HF_HOME to another disk.",
    ),
    ErrorKind(
        "hub_unreachable",
        -32066,
        "The hub cannot be reached.",
        "Check the network, HF_ENDPOINT and the proxy settings, or try again later.",
    ),
    ErrorKind(
        "token_missing",
        -32064,
        "There is no token for the hub.",
        "Give one as hfToken in initialize, set the variable HF_TOKEN, or use the hub's own login.",
    ),
    ErrorKind(
        "token_invalid",
        -32065,
        "The hub does not accept the token.",
        "Make a new token on the hub's settings page.",
    ),
    # Alignment and speakers
    ErrorKind(
        "transcript_invalid",
        -32030,
        "The transcript cannot be aligned as it is.",
        "Give segments with text, and times within the audio or none.",
    ),
    ErrorKind(
        "speakers_unsatisfiable",
        -32031,
        "So many speakers cannot be told apart in this audio.",
        "Ask for fewer, or leave the number out.",
    ),
    # Files
    ErrorKind(
        "storage_failed",
        -32062,
        "A temporary file could not be written.",
        "Free some space on the disk, or set TMPDIR (TEMP on Windows) to another place.",
    ),
    ErrorKind(
        "export_failed",
        -32060,
        "A file could not be written.",
        "Check outputDir, or leave it out to have the texts in the result.",
    ),
    ErrorKind(
        "export_exists",
        -32061,
        "A file of that name is there already.",
        'Give another name, or set "overwrite": true.',
    ),
)


class ErrorObject(msgspec.Struct, omit_defaults=True):
    """The `error` member of a reply."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class RpcError(Exception):
    """An error with a kind of the table; `details` become members of `error.data`.

    The message is one plain sentence that a user can act on. A remedy that is given replaces the
    table's.
    """

    def __init__(
        self, kind: str, message: str | None = None, *, remedy: str | None = None, **details: Any
    ) -> None:
        row = KINDS[kind]
        self.kind = kind
        self.code = row.code
        self.message = message or row.summary
        self.data: dict[str, Any] = {"kind": kind}
        if remedy or row.remedy:
            self.data["remedy"] = remedy or row.remedy
        self.data.update(details)
        super().__init__(self.message)

    @classmethod
    def from_object(cls, error: ErrorObject) -> RpcError:
        """Rebuild an error that an engine sent."""
        data = dict(error.data or {})
        kind = data.pop("kind", "internal_error")
        return cls(
            kind if kind in KINDS else "internal_error",
            error.message,
            remedy=data.pop("remedy", None),
            **data,
        )

    def to_object(self) -> ErrorObject:
        """The `error` member of the reply."""
        return ErrorObject(self.code, self.message, self.data)


class CancelledData(msgspec.Struct):
    """The `data` of an error of the kind `cancelled`."""

    kind: Literal["cancelled"]
    by: CancelledBy


def cancelled(by: CancelledBy, message: str | None = None) -> RpcError:
    """The error that answers a cancelled request: the only way to make one."""
    return RpcError("cancelled", message, by=by)
