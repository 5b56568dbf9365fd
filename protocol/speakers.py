"""Params and result of `speakers/enroll`, which makes a voice known.

A voice print is biometric data. It is in one file, which belongs to the client: the worker keeps no
copy, and deleting the file forgets the voice.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from protocol.control import Params, Result
from protocol.diarization import DEFAULT_DIARIZATION_MODEL
from protocol.values import (
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


class VoiceSample(Params, kw_only=True):
    """A recording, or a part of one, in which the person speaks alone."""

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Use only this channel (from 0); without it, all channels are mixed."""
    track: Track | None = None
    """Which audio track, if there are several: its index (from 0), or a language tag such as `en`.
    """
    start: Seconds = 0.0
    """Seconds into the recording."""
    end: Seconds | None = None
    on_damage: OnDamage = "warn"
    """If the recording is damaged: use what is good of it with a warning, or fail the request."""


class EnrollParams(TorchModelParams, kw_only=True):
    """Params of `speakers/enroll`."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    """What the speaker will be called."""
    recordings: Annotated[list[VoiceSample], Meta(min_length=1)]
    """Ten seconds of speech are enough; several recordings make the voice easier to recognise. Of
    each, the first two minutes are used."""
    output: NonEmptyStr
    """Path of the file for the voice print, which only its owner can read."""
    overwrite: bool = False
    """Replace that file if it exists; if false, it is an error."""
    model: NonEmptyStr = DEFAULT_DIARIZATION_MODEL
    """The pyannote pipeline that will recognise the voice: its embedding model is used."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long the model stays loaded afterwards, in seconds; the worker's default when null."""
    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class EnrollResult(Result, kw_only=True):
    """Result of `speakers/enroll`."""

    name: str
    path: str
    seconds: float
    """Of speech in the voice print."""
    model: str
    warnings: list[Notice] = field(default_factory=list)
    timings: Timings
