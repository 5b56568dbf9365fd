"""Params and results of `detectSpeech` and `detectLanguage`."""

from __future__ import annotations

from msgspec import field

from protocol.control import Result
from protocol.transcription import ModelParams, VadParameters
from protocol.values import (
    Count,
    JobParams,
    KeepAlive,
    NonEmptyStr,
    NonNegativeInt,
    Notice,
    OnDamage,
    Priority,
    Seconds,
    Timings,
    Token,
    Track,
)


class DetectSpeechParams(JobParams, kw_only=True):
    """Params of `detectSpeech`. Only `audio` is required, and no model."""

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
    vad_parameters: VadParameters = field(default_factory=VadParameters)
    """As in `transcribe`."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long its engine stays afterwards, in seconds: 30 at most."""


class SpeechSpan(Result, kw_only=True):
    """Speech without a pause of `minSilenceDuration`."""

    start: float
    end: float
    probability: float
    """Mean of Silero VAD's probabilities of speech, before padding."""


class DetectSpeechResult(Result, kw_only=True):
    """Result of `detectSpeech`. For silence, `speech` is empty."""

    speech: list[SpeechSpan]
    speech_duration: float
    """Seconds of speech, including padding."""
    duration: float
    """Seconds of examined audio."""
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings


class DetectLanguageParams(ModelParams, kw_only=True):
    """Params of `detectLanguage`. Only `audio` is required; the model is a multilingual Whisper."""

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
    windows: Count = 5
    """Maximum number of 30 s windows to use, spread over the speech in the recording."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long the model stays loaded afterwards, in seconds; the worker's default when null."""
    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class LanguageProbability(Result, kw_only=True):
    """A language, and how probable it is."""

    language: str
    probability: float


class LanguageWindow(LanguageProbability, kw_only=True):
    """The likeliest language of one window."""

    start: float
    end: float


class DetectLanguageResult(Result, kw_only=True):
    """Result of `detectLanguage`."""

    language: str | None
    """The likeliest, weighing each window by its seconds of speech; null without speech."""
    probability: float
    languages: list[LanguageProbability]
    """The five likeliest."""
    windows: list[LanguageWindow]
    """The windows used: their languages differ if the recording has several."""
    speech_duration: float
    """Seconds of speech found."""
    duration: float
    """Seconds of examined audio."""
    model: str
    device: str
    compute_type: str
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
