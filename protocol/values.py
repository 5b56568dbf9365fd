"""Types that several methods share. Times are seconds from the start of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from protocol.control import Params, Result

Seconds = Annotated[float, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
NonEmptyStr = Annotated[str, Meta(min_length=1)]
Token = int | str
KeepAlive = Seconds | Literal["forever"]
"""How long an unused model stays loaded, in seconds; the worker's default when null."""
Priority = Literal["interactive", "batch"]
"""Interactive requests overtake batch requests."""

Track = NonNegativeInt | NonEmptyStr
"""An audio track: its index, from 0, or a language tag such as `en`."""
OnDamage = Literal["warn", "fail"]

TorchDevice = Literal["auto", "cpu", "cuda", "mps"]


class JobParams(Params, kw_only=True):
    """Params of every work request: tokens for progress and for partial results."""

    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class TorchModelParams(Params, kw_only=True):
    """Where a torch model comes from, and where it runs."""

    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""
    download: bool | None = None
    """Download the model if it is not cached. Within `transcribe`, null follows its `download`."""
    device: TorchDevice = "auto"
    """`auto` chooses a usable CUDA device, or else the CPU."""
    device_index: NonNegativeInt = 0
    """Index of the device, from 0."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 uses every CPU that this process may use, fewer while other stages run."""
    allow_pickle: bool = False
    """Load pickled weights, which can run code when loaded. Only for authors whom you trust."""


class AudioTrack(Result, kw_only=True):
    """An audio track of a recording; `index` counts from 0, `language` is the container's tag."""

    index: int
    language: str | None
    title: str | None
    channels: int


class TimeSpan(Result, kw_only=True):
    """A part of the recording, and the text that it is about, if any."""

    start: float
    end: float
    text: str | UnsetType = UNSET


class Notice(Result, kw_only=True):
    """Something that the caller should know although the request succeeded.

    With the kind `stage_failed`, `error` is the failed stage's error: code, message and data. The
    level `info` says that nothing needs to be done.
    """

    kind: str
    message: str
    option: str | None = None
    level: Literal["info"] | UnsetType = UNSET
    spans: list[TimeSpan] | UnsetType = UNSET
    """Which parts of the recording it is about, the first 100 of them."""
    tracks: list[AudioTrack] | UnsetType = UNSET
    """With the kind `several_tracks`: the recording's audio tracks."""
    error: dict[str, Any] | UnsetType = UNSET


_MOST_SPANS: Final = 100


def notice_about(
    kind: str, message: str, spans: Sequence[TimeSpan], *, info: bool = False
) -> Notice:
    """A notice that lists the first of the spans that it is about; `info` is its level."""
    level: Literal["info"] | UnsetType = "info" if info else UNSET
    return Notice(kind=kind, message=message, level=level, spans=list(spans[:_MOST_SPANS]))


def option_ignored(option: str, reason: str) -> Notice:
    """The warning for an option that has no effect."""
    return Notice(
        kind="option_ignored", option=option, message=f"{option} has no effect: {reason}."
    )


class StageTime(Result, kw_only=True, omit_defaults=True):
    """When a stage ran, in seconds since the request arrived, and how it spent that time."""

    begin: float
    end: float
    busy: float
    """Seconds of work, excluding the work of stages nested in this one."""
    audio: float | UnsetType = UNSET
    """Seconds of audio that the stage processed."""
    real_time_factor: float | UnsetType = UNSET
    """Seconds of work per second of audio."""
    waits: dict[str, float] = field(default_factory=dict)
    """Seconds spent waiting, by the stage waited for; `queue` stands for other requests."""


class Timings(Result, kw_only=True):
    """Wall-clock seconds from each stage's begin to its end.

    `load` is near 0 for models already in memory. `stages` says when each ran: stages that do not
    depend on each other run in parallel.
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
