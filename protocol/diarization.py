"""Params and result of `diarize`, which finds who speaks when."""

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
    OnDamage,
    Priority,
    Probability,
    Seconds,
    Timings,
    Token,
    TorchModelParams,
    Track,
)

DEFAULT_DIARIZATION_MODEL = "pyannote/speaker-diarization-community-1"

Assignment = Literal["nearest", "whisperx"]


class DiarizationOptions(TorchModelParams, kw_only=True):
    """How to separate the speakers. Set the number of speakers if you know it."""

    model: NonEmptyStr = DEFAULT_DIARIZATION_MODEL
    """A pyannote pipeline: a hub id or a directory."""
    num_speakers: Count | None = None
    """Exact number of speakers. Prefer `maxSpeakers`: pyannote divides a voice, or makes one of a
    noise, to reach the number."""
    min_speakers: Count | None = None
    """Minimum number of speakers."""
    max_speakers: Count | None = None
    """Maximum number of speakers."""
    batch_size: Count | None = None
    """Windows per forward pass; defaults to the pipeline's own setting."""
    embeddings: bool = False
    """Also return a voice embedding, a vector, for each speaker."""

    def __post_init__(self) -> None:
        least, most = self.min_speakers or 1, self.max_speakers
        if most is not None and least > most:
            raise ValueError(f"minSpeakers ({least}) is more than maxSpeakers ({most})")
        number = self.num_speakers
        if number is not None and not least <= number <= (most or number):
            raise ValueError(f"numSpeakers ({number}) is not between minSpeakers and maxSpeakers")


class NamingOptions(DiarizationOptions, kw_only=True):
    """Diarization that calls known speakers by their names."""

    voices: list[NonEmptyStr] = field(default_factory=list)
    """Paths of files that `speakers/enroll` wrote. A speaker whose voice is in one of them gets its
    name; others stay SPEAKER_00 …"""
    voice_folder: NonEmptyStr | None = None
    """Path of a folder that keeps the voices of unknown speakers: so they have the same SPEAKER_nn
    in all recordings that are diarized with it. Created if it does not exist; the client deletes
    it."""
    voice_threshold: Probability = 0.5
    """How probable a match has to be. Of single turns of real meetings, with CAM++ embeddings, 0.5
    recognises 27 of 28 whose speaker is enrolled, and takes 1 in 100 for a given other voice;
    whole recordings are easier. Embeddings of other models may need another threshold."""


class SpeakerOptions(NamingOptions, kw_only=True):
    """Diarization within `transcribe`, which assigns a speaker to each word and segment."""

    assignment: Assignment = "nearest"
    """The speaker of a word outside every turn: with `nearest`, that of the nearest turn; with
    `whisperx`, none, as in the whisperx package."""


class DiarizeParams(NamingOptions, kw_only=True):
    """Params of `diarize`."""

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Use only this channel (from 0); without it, all channels are mixed."""
    track: Track | None = None
    """Which audio track, if there are several: its index (from 0), or a language tag such as `en`.
    Null means the one marked as default, or else the one with the most channels."""
    start: Seconds = 0.0
    """Seconds into the recording."""
    end: Seconds | None = None
    """Use only the part from `start` to `end`; returned times still refer to the recording."""
    on_damage: OnDamage = "warn"
    """If the recording is damaged: use what is good of it with a warning, or fail the request."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class Turn(Result, kw_only=True):
    """One stretch of speech by one speaker."""

    start: float
    end: float
    speaker: str


class NamedSpeaker(Result, kw_only=True):
    """A speaker whose voice is known."""

    name: str
    label: str
    """What the speaker would have been called otherwise, such as SPEAKER_00."""
    score: float
    """How probable it is that this is the same voice, from 0 to 1."""


class DiarizeResult(Result, kw_only=True):
    """Result of `diarize`. Without speech, `turns` and `speakers` are empty."""

    turns: list[Turn]
    """Turns of different speakers overlap where they speak at the same time."""
    exclusive_turns: list[Turn]
    """Turns without overlap, one speaker at a time, for assigning speakers to words."""
    speakers: list[str]
    """In the order of their first turn."""
    embeddings: dict[str, list[float]] | UnsetType = UNSET
    embedding_model: str | UnsetType = UNSET
    """With `embeddings`: which model computed them. Those of different models do not compare."""
    voices: list[NamedSpeaker] | UnsetType = UNSET
    """With `voices`: the speakers that were recognised."""
    model: str
    device: str
    duration: float
    """Seconds of decoded audio."""
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
