"""`$/progress` notifications, which a request asks for by its tokens.

With a `progressToken`, the values are `begin`, any number of `report`, and `end`, which comes
before the reply. With a `partialResultToken`, the values are the new parts of the result. A segment
replaces an earlier one with the same `id`: its text comes first, then word times, then speakers.
Where its speaker changes, it ends, and new segments have the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

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
    "ready",
    "speech",
]


class ProgressBegin(Result, tag_field="kind", tag="begin"):
    """The work on the request begins."""

    title: str


class ProgressReport(Result, tag_field="kind", tag="report", omit_defaults=True):
    """How far the request is.

    `percentage` (0-100) is of the whole request and never decreases. If several stages run in
    parallel, `stages` has the percentage of each one that has begun. `audioDone` and `audioTotal`
    are seconds of audio. Bytes and files are those of a model download; `message` names the model.
    A live stream is `ready` once its model is loaded. At the stage `speech`, `speech` says whether
    somebody started or ended to speak, and `at` when, in seconds of the stream.
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
    speech: Literal["started", "ended"] | None = None
    at: float | None = None


class ProgressEnd(Result, tag_field="kind", tag="end"):
    """The work on the request has ended; the reply says how."""


def progress_lines(token: bytes, values: Iterable[bytes]) -> bytes:
    """Encode one notification per value; all of them are JSON."""
    begin = b'{"jsonrpc":"2.0","method":"$/progress","params":{"token":%b,"value":' % token
    return begin + (b"}}\n" + begin).join(values) + b"}}\n"
