"""Params and result of `align`: when each word of a known text is said."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

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

Aligner = Literal["batched", "whisperx"]


class AlignmentOptions(TorchModelParams, kw_only=True):
    """How to align. The model is a wav2vec2 CTC model that knows the language's letters."""

    model: NonEmptyStr | None = None
    """A torchaudio bundle's name, a hub id or a directory; whisperX's choice for the language."""
    aligner: Aligner = "batched"
    """`batched`: forward passes over many segments, alignment by torchaudio. `whisperx`: the
    whisperx package's own, a segment at a time, for comparison."""
    batch_size: Count = 8
    """Segments in a forward pass of the batched aligner."""
    characters: bool = False
    """Also give the times of characters."""
    interpolation: Literal["nearest", "linear"] = "nearest"
    """How whisperX's aligner gives times to words that it cannot align."""


class SegmentText(Struct, rename="camel", kw_only=True):
    """A stretch of text to align, and roughly where it is said. Other members are passed over."""

    text: str
    start: float | None = None
    end: float | None = None
    id: int | None = None
    """Comes back with the aligned segment; its place in the list without it."""


class AlignParams(AlignmentOptions, kw_only=True):
    """Params of `align`: audio, and the transcript as segments or as one text."""

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Take this channel alone (from 0); all are mixed without it."""
    start: Seconds = 0.0
    """Seconds into the recording."""
    end: Seconds | None = None
    """Only the part between `start` and `end`; times stay those of the recording."""
    segments: list[SegmentText] | None = None
    """Segments without times are placed between their neighbours' or over the whole audio."""
    text: NonEmptyStr | None = None
    """In place of segments: one text, said somewhere in the audio."""
    language: Annotated[str, Meta(min_length=2)]
    """Code such as `en`."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    progress_token: Token | None = None
    """Send `$/progress` notifications with this token; none are sent without it."""
    partial_result_token: Token | None = None
    """Send parts of the result as they come, with this token."""


class Character(Result, kw_only=True):
    """A character of a word; without times where it cannot be aligned."""

    char: str
    start: float | None = None
    end: float | None = None
    score: float | None = None


class Word(Result, kw_only=True):
    """A word with the space before it: the words of a segment join to its text.

    `probability` is the decoder's, or the mean over the word's frames where it was aligned.
    """

    start: float
    end: float
    word: str
    probability: float | None
    interpolated: bool | UnsetType = UNSET
    """True for a word that could not be aligned, such as a number: its times are estimates."""
    speaker: str | UnsetType = UNSET
    characters: list[Character] | UnsetType = UNSET


class AlignedSegment(Result, kw_only=True):
    """A segment from its first word's start to its last word's end."""

    id: int
    start: float
    end: float
    text: str
    words: list[Word]


class PartialAlignment(Result, kw_only=True):
    """Value of a partial result: the segments that are new."""

    segments: list[AlignedSegment]


class AlignResult(Result, kw_only=True):
    """Result of `align`: every segment that was given, in its order."""

    language: str
    segments: list[AlignedSegment]
    model: str
    aligner: str
    device: str
    duration: float
    """Seconds of audio that was decoded."""
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
