"""Tracks: the mix of a recording, or its channels with a speaker each. Recognition takes them one
by one.

The decode stage publishes the mix before it decodes, because engines read the file while it grows.
It publishes channels afterwards, because it has to compare them first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

from protocol.errors import RpcError, cancelled
from protocol.transcription import LanguageSeconds
from protocol.values import Notice, TimeSpan, Timings
from worker.engines.contract import DecodeResult, Source

if TYPE_CHECKING:
    from protocol.progress import Stage
    from worker.stage_clock import StageClock


class Recognised(msgspec.Struct, rename="camel"):
    """The recognition engine's result without its segments, which came as partial results."""

    text: str
    language: str
    language_probability: float
    duration_after_vad: float
    model: str
    engine: str
    device: str
    compute_type: str
    warnings: list[Notice]
    timings: Timings
    languages: list[LanguageSeconds] | UnsetType = UNSET
    speech_seconds: float | UnsetType = UNSET
    lost_seconds: float | UnsetType = UNSET
    silences: list[TimeSpan] | UnsetType = UNSET


class Track:
    """Samples for the recognition engine. `speaker` is None if several may speak."""

    def __init__(self, source: Source, speaker: str | None = None) -> None:
        self.source = source
        self.speaker = speaker
        self.recognised: Recognised


class Tracks:
    """The tracks of a job: the decode stage publishes them, the others wait for them."""

    def __init__(self, clock: StageClock) -> None:
        self.duration: float | None = None
        """Seconds of audio: an estimate from the container until decoding has ended."""
        self._clock = clock
        self._tracks: list[Track] = []
        self._published = threading.Event()

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self._tracks)

    def index(self, track: Track) -> int:
        """The place of `track`, from 0."""
        return self._tracks.index(track)

    def publish(self, tracks: list[Track]) -> None:
        """Let the other stages begin."""
        self._tracks = tracks
        self._published.set()

    def release(self) -> None:
        """End every wait, because the job has failed or was cancelled."""
        self._published.set()

    def wait(self, stage: Stage) -> list[Track]:
        """Wait for the tracks. Raises `RpcError` if the job ends before that."""
        with self._clock.waiting(stage, "decode"):
            self._published.wait()
        if not self._tracks:
            raise cancelled("stage")  # the orchestrator already has the error that counts
        return self._tracks


def tracks_of_channels(
    sources: list[Source], decoded: DecodeResult, names: list[str] | None
) -> tuple[list[Track], list[Notice]]:
    """A track per channel, or a single one where the channels do not tell speakers apart.

    Raises `RpcError` when `names` does not name each channel.
    """
    if names is not None and len(names) != len(sources):
        raise RpcError(
            "invalid_params",
            f"channelSpeakers names {len(names)} speakers; the recording has "
            f"{len(sources)} channels.",
            path="$.channelSpeakers",
            channels=len(sources),
        )
    if len(sources) == 1:
        notice = _useless("mono", "The recording has one channel")
    elif decoded.alike:
        notice = _useless("dual_mono", "The channels of the recording are the same")
    else:
        names = names or [f"CHANNEL_{number:02}" for number in range(len(sources))]
        return [Track(*pair) for pair in zip(sources, names, strict=True)], []
    return [Track(sources[decoded.loudest])], [notice]


def _useless(kind: str, why: str) -> Notice:
    message = f"{why}: it does not tell speakers apart."
    return Notice(kind=kind, option="channelSpeakers", message=message)
