"""`$/progress` notifications: opted into by `progressToken` and `partialResultToken`.

With a `progressToken`, values are `begin`, any number of `report`, then `end`, which comes before
the reply. With a `partialResultToken`, values hold the parts of the result that are new; a segment
whose `id` came before replaces it: first comes its text, then its words' times, then speakers.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from protocol.control import Result

Stage = Literal[
    "queue",
    "download",
    "load",
    "decode",
    "speechDetection",
    "recognition",
    "alignment",
    "diarization",
    "assignment",
    "probe",
]


class ProgressBegin(Result, tag_field="kind", tag="begin"):
    """The request was taken up."""

    title: str


class ProgressReport(Result, tag_field="kind", tag="report", omit_defaults=True):
    """How far the request is. Seconds are of audio; `percentage` (0-100) never goes back.

    Bytes and files are of the model that is being downloaded, which `message` names.

    `percentage` is of the whole request. Where several stages run side by side, `stages` has the
    percentage of each one that has begun.
    """

    stage: Stage
    percentage: float | None = None
    audio_done: float | None = None
    audio_total: float | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    files_done: int | None = None
    files_total: int | None = None
    message: str | None = None
    stages: dict[str, float] | None = None


class ProgressEnd(Result, tag_field="kind", tag="end"):
    """The request is over, however it ended; the reply says how."""


REPORT_MARK = b',"value":{"kind":"report"'
"""Stands in every report behind the token, as `progress_line` writes it."""


def progress_line(token: bytes, value: bytes) -> bytes:
    """The line of a progress notification; `token` and `value` are JSON."""
    return b'{"jsonrpc":"2.0","method":"$/progress","params":{"token":%b,"value":%b}}\n' % (
        token,
        value,
    )


def encode_value(value: msgspec.Struct) -> bytes:
    """A progress value as JSON."""
    return msgspec.json.encode(value)


class _Params(msgspec.Struct):
    token: msgspec.Raw
    value: msgspec.Raw


class _Notification(msgspec.Struct):
    params: _Params


def read_progress(line: bytes) -> tuple[bytes, bytes]:
    """Token and value, as JSON, of a line that `progress_line` wrote."""
    params = msgspec.json.decode(line, type=_Notification).params
    return bytes(params.token), bytes(params.value)
