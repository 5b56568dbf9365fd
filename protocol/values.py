"""Values that several methods share. Times are seconds from the start of the recording."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from protocol.control import Params, Result

Seconds = Annotated[float, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
NonEmptyStr = Annotated[str, Meta(min_length=1)]
Token = int | str
KeepAlive = Seconds | Literal["forever"]
"""How long a model stays loaded when nobody uses it."""
Priority = Literal["interactive", "batch"]
"""Interactive requests overtake those of a batch."""

TorchDevice = Literal["auto", "cpu", "cuda", "mps"]


class JobParams(Params, kw_only=True):
    """What every work request takes: tokens for progress and for parts of the result."""

    progress_token: Token | None = None
    """Send `$/progress` notifications with this token; none are sent without it."""
    partial_result_token: Token | None = None
    """Send parts of the result as they come, with this token."""


class TorchModelParams(Params, kw_only=True):
    """Where a model that torch runs comes from, and where it runs."""

    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""
    download: bool | None = None
    """Fetch the model when it is not cached. Within `transcribe`, null means as there."""
    device: TorchDevice = "auto"
    """`auto` is a CUDA device where there is one that can be used, else the CPU."""
    device_index: NonNegativeInt = 0
    """Which of several devices, from 0."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 takes as many as this process may run on, less beside other stages."""
    allow_pickle: bool = False
    """Read weights that can run code while they are read. Only for makers whom you trust."""


class Notice(Result, kw_only=True):
    """Something that the caller should know but that was no failure.

    Of kind `stage_failed`, `error` is what the stage would have answered: code, message and data.
    """

    kind: str
    message: str
    option: str | None = None
    error: dict[str, Any] | UnsetType = UNSET


class StageTime(Result, kw_only=True, omit_defaults=True):
    """When a stage ran, in seconds since the request came in, and what it did in that time."""

    begin: float
    end: float
    busy: float
    """Seconds of it in which the stage worked, and another one did not within it."""
    audio: float | UnsetType = UNSET
    """Seconds of audio that it worked on."""
    real_time_factor: float | UnsetType = UNSET
    """Seconds of work per second of audio."""
    waits: dict[str, float] = field(default_factory=dict)
    """Seconds that it waited, by the stage that it waited for; `queue` is other requests."""


class Timings(Result, kw_only=True):
    """Seconds of wall time from each stage's begin to its end.

    `load` is near 0 for models already in memory. `stages` says when each ran: those that do not
    need each other run side by side.
    """

    queue: float = 0.0
    load: float = 0.0
    decode: float = 0.0
    speech_detection: float = 0.0
    recognition: float = 0.0
    alignment: float = 0.0
    diarization: float = 0.0
    assignment: float = 0.0
    total: float = 0.0
    stages: dict[str, StageTime]
