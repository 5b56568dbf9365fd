"""Params and result of `align`, which finds when each word of a known text is spoken."""

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
    OnDamage,
    Priority,
    Seconds,
    Timings,
    Token,
    TorchModelParams,
    Track,
)

Aligner = Literal["batched", "whisperx"]


class AlignmentOptions(TorchModelParams, kw_only=True):
    """How to align. The model is a wav2vec2 CTC model with the letters of the language."""

    model: NonEmptyStr | None = None
    """A torchaudio bundle, a hub id or a directory; defaults to whisperX's for the language."""
    aligner: Aligner = "batched"
    """`batched` runs many segments per forward pass and aligns with torchaudio. `whisperx` is the
    whisperx package's aligner, one segment at a time, for comparison."""
    batch_size: Count = 8
    """Segments per forward pass of the batched aligner."""
    characters: bool = False
    """Also return the times of characters."""
    interpolation: Literal["nearest", "linear"] = "nearest"
    """How whisperX's aligner estimates times for words that it cannot align."""


class SegmentText(Struct, rename="camel", kw_only=True):
    """A segment to align, and roughly when it is spoken. Other members are ignored."""

    text: str
    start: float | None = None
    end: float | None = None
    id: int | None = None
    """Returned with the aligned segment; defaults to its position in the list."""
    language: Annotated[str, Meta(min_length=2)] | None = None
    """Its language, if not that of the params: its own model aligns it."""


class AlignParams(AlignmentOptions, kw_only=True):
    """Params of `align`: audio, and the transcript as segments or as one text."""

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
    segments: list[SegmentText] | None = None
    """A segment without times is searched for between its neighbours, or in the whole audio."""
    text: NonEmptyStr | None = None
    """Instead of segments: one text, spoken somewhere in the audio."""
    language: Annotated[str, Meta(min_length=2)] | None = None
    """Code such as `en`. It may be null if each segment has its own. Each language is aligned by
    its default model, one after another, unless `model` names one for all."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class Character(Result, kw_only=True):
    """A character of a word; without times if it could not be aligned."""

    char: str
    start: float | None = None
    end: float | None = None
    score: float | None = None


class Word(Result, kw_only=True):
    """A word with the space before it: a segment's words, joined, are its text.

    `probability` is the decoder's, or, for an aligned word, the mean over its frames.
    """

    start: float
    end: float
    word: str
    probability: float | None
    interpolated: bool | UnsetType = UNSET
    """True if the word could not be aligned (a number, for example): its times are estimates."""
    speaker: str | UnsetType = UNSET
    characters: list[Character] | UnsetType = UNSET


class AlignedSegment(Result, kw_only=True):
    """A segment from its first word's start to its last word's end."""

    id: int
    start: float
    end: float
    text: str
    language: str | UnsetType = UNSET
    """With `align`: its language."""
    words: list[Word]


class PartialAlignment(Result, kw_only=True):
    """Value of a partial result: the new segments."""

    segments: list[AlignedSegment]


class AlignResult(Result, kw_only=True):
    """Result of `align`: every segment of the request, in the same order."""

    language: str
    """With several languages: that of the most segments; `model` is its model."""
    segments: list[AlignedSegment]
    model: str
    models: dict[str, str] | UnsetType = UNSET
    """With several languages: the model of each."""
    aligner: str
    device: str
    duration: float
    """Seconds of decoded audio."""
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
