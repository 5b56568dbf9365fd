"""Every error that a client can receive: one table of kinds, each with its code and usual remedy.

Clients program against `error.data.kind`, which never changes; codes group kinds for generic
clients. Codes -32700 to -32600 are JSON-RPC's own, -32800 is LSP's RequestCancelled.
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
"""Who cancelled: the `client`, with `$/cancelRequest`; a `signal` to the worker, SIGTERM or SIGINT;
the worker's `shutdown`, for example by `exit`; or a failed `stage` of the same job. Clients never
receive `stage`: they receive that stage's error."""


class ErrorKind(msgspec.Struct, frozen=True):
    """One row of the error table."""

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
        "The line is longer than the limit; the worker skipped it.",
        "Send shorter lines, or request a larger maxLineBytes in initialize.",
    ),
    ErrorKind("invalid_request", INVALID_REQUEST, "The message is not a JSON-RPC 2.0 request."),
    ErrorKind(
        "batch_too_large",
        INVALID_REQUEST,
        "The batch has more members than the limit allows.",
        "Split it into smaller batches.",
    ),
    ErrorKind(
        "shutting_down",
        INVALID_REQUEST,
        "The worker is shutting down and accepts no new requests.",
        "Start a new worker.",
    ),
    ErrorKind("method_not_found", METHOD_NOT_FOUND, "The method does not exist."),
    ErrorKind("invalid_params", INVALID_PARAMS, "The params do not match the method."),
    ErrorKind(
        "internal_error",
        INTERNAL_ERROR,
        "The worker failed unexpectedly.",
        "Please report the details that the worker wrote to stderr.",
    ),
    ErrorKind("cancelled", REQUEST_CANCELLED, "The request was cancelled."),
    # The worker and its engines
    ErrorKind(
        "busy",
        -32000,
        "Too many requests are waiting.",
        "Wait until some are answered, then send the request again.",
    ),
    ErrorKind(
        "engine_crashed",
        -32001,
        "The engine process ended while it was working on the request.",
        "Send the request again; if the engine crashes again, try another device, model or "
        "recording, to see which of them it cannot stand.",
    ),
    ErrorKind(
        "engine_start_failed",
        -32002,
        "The engine process did not start.",
        "Read the engine's error output, in stderrTail and on the worker's stderr.",
    ),
    ErrorKind(
        "engine_unavailable",
        -32003,
        "A package that the engine needs is not installed.",
        "Install the package, or use a build of the worker that contains it.",
    ),
    ErrorKind(
        "out_of_memory",
        -32004,
        "Memory ran out.",
        "Close other programs, or use a smaller model or batchSize; for recognition, computeType "
        "int8.",
    ),
    ErrorKind(
        "model_does_not_fit",
        -32005,
        "The model does not fit into the available memory.",
        "Use a smaller model, for recognition computeType int8, close other programs, or start the "
        "worker with a larger --memory-budget.",
    ),
    ErrorKind(
        "model_busy",
        -32006,
        "The model is in use.",
        'Wait for its jobs, cancel them, or set "whenBusy": "wait".',
    ),
    # Audio
    ErrorKind("audio_not_found", -32010, "The file does not exist.", "Check the path."),
    ErrorKind(
        "audio_not_readable",
        -32011,
        "The worker cannot open the file.",
        "Check that the path names a file and that the worker has permission to read it.",
    ),
    ErrorKind("audio_empty", -32012, "The file contains no audio samples."),
    ErrorKind(
        "audio_invalid",
        -32013,
        "The file is damaged, or it is not audio or video that the worker can decode.",
        "Play it in a media player. If it does not play, get an intact copy; if it does, save it "
        "anew in a common format.",
    ),
    ErrorKind("audio_no_stream", -32014, "The file has no audio stream."),
    ErrorKind(
        "audio_no_channel",
        -32015,
        "The recording does not have that channel.",
        "Count channels from 0, or omit channel to mix all of them.",
    ),
    ErrorKind(
        "clip_out_of_range",
        -32016,
        "The clip lies outside the recording.",
        "Choose start and end, in seconds, within the recording's duration.",
    ),
    ErrorKind(
        "audio_too_long",
        -32017,
        "The recording is longer than the limit.",
        "Set end to use part of it, or start the worker with a larger --max-audio-duration (or "
        "TRANSCRIPTION_WORKER_MAX_AUDIO_DURATION).",
    ),
    ErrorKind(
        "audio_too_large",
        -32018,
        "The file is larger than the limit.",
        "Compress it, of a video only the audio track, or start the worker with a larger "
        "--max-audio-size (or TRANSCRIPTION_WORKER_MAX_AUDIO_SIZE).",
    ),
    ErrorKind(
        "audio_no_track",
        -32019,
        "The recording does not have that audio track.",
        "Choose a track that the message names, or omit track.",
    ),
    # Models
    ErrorKind(
        "model_not_found",
        -32020,
        "The model does not exist.",
        "Use a known name, a hub id (owner/name) or the path of a model directory.",
    ),
    ErrorKind(
        "model_not_cached",
        -32021,
        "The model is not cached, and the request does not allow downloading it.",
        'Set "download": true in the request.',
    ),
    ErrorKind(
        "model_download_failed",
        -32022,
        "The worker could not download the model.",
        "Check the network, or use the path of a local model directory.",
    ),
    ErrorKind(
        "model_invalid",
        -32023,
        "A file of the model is missing or damaged.",
        "Download or convert the model again.",
    ),
    ErrorKind(
        "device_unavailable",
        -32024,
        "The worker cannot use the device on this machine.",
        'Use device "cpu" or "auto".',
    ),
    ErrorKind(
        "compute_type_unsupported",
        -32025,
        "The device does not support this compute type.",
        'Use computeType "auto".',
    ),
    ErrorKind("language_unsupported", -32026, "The model does not support this language."),
    ErrorKind(
        "model_gated",
        -32027,
        "The model is gated: its authors require that you accept their terms first.",
        "Accept the terms on the model's page, then provide a token of that account: hfToken in "
        "initialize, the environment variable HF_TOKEN, or the hub's own login.",
    ),
    ErrorKind(
        "model_needs_pickle",
        -32028,
        "The model's weights are a pickle, which can run code when loaded.",
        'If you trust the authors, set "allowPickle": true.',
    ),
    ErrorKind(
        "disk_full",
        -32063,
        "The disk does not have enough free space for the model.",
        "Free some space, delete models with models/remove, or point HF_HOME to another disk.",
    ),
    ErrorKind(
        "hub_unreachable",
        -32066,
        "The worker cannot reach the hub.",
        "Check the network, HF_ENDPOINT and the proxy settings, or try again later.",
    ),
    ErrorKind(
        "token_missing",
        -32064,
        "The worker has no token for the hub.",
        "Provide one: hfToken in initialize, the environment variable HF_TOKEN, or the hub's own "
        "login.",
    ),
    ErrorKind(
        "token_invalid",
        -32065,
        "The hub rejected the token.",
        "Create a new token on the hub's settings page.",
    ),
    # Alignment and speakers
    ErrorKind(
        "transcript_invalid",
        -32030,
        "The transcript has more text than the worker can align at once.",
        "Split the text into segments with rough times.",
    ),
    ErrorKind(
        "speakers_unsatisfiable",
        -32031,
        "The audio does not contain that many distinguishable speakers.",
        "Request fewer speakers, or omit the number.",
    ),
    ErrorKind(
        "voice_too_short",
        -32032,
        "The recordings contain too little speech of one person.",
        "Give recordings in which the person speaks for ten seconds or longer.",
    ),
    ErrorKind(
        "voice_invalid",
        -32033,
        "The file is not a voice print that this model can use.",
        "Make one with speakers/enroll and the same diarization model.",
    ),
    # Live streams
    ErrorKind(
        "live_stream_exists",
        -32040,
        "A stream of that name is open.",
        "Choose another name for the new stream, or end the open one with live/finish.",
    ),
    ErrorKind(
        "live_stream_unknown",
        -32041,
        "No stream of that name is open.",
        "Open one with live/transcribe. It ends when that request is answered.",
    ),
    ErrorKind(
        "live_stream_finished",
        -32042,
        "The input of the stream has ended: it takes no more audio.",
        "Open another stream with live/transcribe.",
    ),
    ErrorKind(
        "live_overrun",
        -32043,
        "The worker is too far behind to take more audio now.",
        "Send it again when backlog is smaller, use a smaller model, or a larger maxBacklog.",
    ),
    # Files
    ErrorKind(
        "storage_failed",
        -32062,
        "The worker could not write a temporary file.",
        "Free some disk space, or set TMPDIR (TEMP on Windows) to another folder.",
    ),
    ErrorKind(
        "export_failed",
        -32060,
        "The worker could not write a file.",
        "Check outputDir, or omit it to receive the texts in the result.",
    ),
    ErrorKind(
        "export_exists",
        -32061,
        "A file of that name already exists.",
        'Choose another name, or set "overwrite": true.',
    ),
)


class ErrorObject(msgspec.Struct, omit_defaults=True):
    """The `error` member of a reply."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class RpcError(Exception):
    """An error of a kind in the table; `details` become members of `error.data`.

    The message is one plain sentence for the user. `message` and `remedy` replace the table's.
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
        """Rebuild an error that another process sent."""
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
    """The error that answers a cancelled request; nothing else constructs that kind."""
    return RpcError("cancelled", message, by=by)
