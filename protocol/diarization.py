"""Params and result of `diarize`: who speaks when."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType, field

from protocol.control import Result
from protocol.values import (
    Count,
    KeepAlive,
    NonEmptyStr,
    NonNegativeInt,
    Notice,
    Priority,
    Seconds,
    Timings,
    Token,
    TorchModelParams,
)

DEFAULT_DIARIZATION_MODEL = "pyannote/speaker-diarization-community-1"

Assignment = Literal["nearest", "whisperx"]


class DiarizationOptions(TorchModelParams, kw_only=True):
    """How to tell the speakers apart. Give the number of speakers where it is known."""

    model: NonEmptyStr = DEFAULT_DIARIZATION_MODEL
    """A pyannote pipeline: a hub id or a directory."""
    num_speakers: Count | None = None
    """Exactly so many."""
    min_speakers: Count | None = None
    """At least so many."""
    max_speakers: Count | None = None
    """At most so many."""
    batch_size: Count | None = None
    """Windows in a forward pass; the pipeline's own choice without it."""
    embeddings: bool = False
    """Also give a vector that stands for each speaker's voice."""

    def __post_init__(self) -> None:
        least, most = self.min_speakers or 1, self.max_speakers
        if most is not None and least > most:
            raise ValueError(f"minSpeakers ({least}) is more than maxSpeakers ({most})")
        number = self.num_speakers
        if number is not None and not least <= number <= (most or number):
            raise ValueError(f"numSpeakers ({number}) is not between minSpeakers and maxSpeakers")


class SpeakerOptions(DiarizationOptions, kw_only=True):
    """Diarization within `transcribe`, where words and segments get their speakers."""

    assignment: Assignment = "nearest"
    """`nearest`: a word that falls into no turn goes to the nearest one. `whisperx`: it stays
    without a speaker, as in the whisperx package."""


class DiarizeParams(DiarizationOptions, kw_only=True):
    """Params of `diarize`."""

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Take this channel alone (from 0); all are mixed without it."""
    start: Seconds = 0.0
    """Seconds into the recording."""
    end: Seconds | None = None
    """Only the part between `start` and `end`; times stay those of the recording."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    progress_token: Token | None = None
    """Send `$/progress` notifications with this token; none are sent without it."""
    partial_result_token: Token | None = None
    """Send parts of the result as they come, with this token."""


class Turn(Result, kw_only=True):
    """When a speaker speaks."""

    start: float
    end: float
    speaker: str


class DiarizeResult(Result, kw_only=True):
    """Result of `diarize`. Nobody speaking gives no turns and no speakers."""

    turns: list[Turn]
    """Turns of different speakers overlap where they speak at the same time."""
    exclusive_turns: list[Turn]
    """The same without overlap: one speaker at a time, for putting names to words."""
    speakers: list[str]
    """In the order of their first turn."""
    embeddings: dict[str, list[float]] | UnsetType = UNSET
    model: str
    device: str
    duration: float
    """Seconds of audio that was decoded."""
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
