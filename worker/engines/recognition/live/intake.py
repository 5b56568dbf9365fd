"""The input of a stream: bytes in chunks, and what there is to hear of them.

A short hole is filled with silence. A long one is not: it ends the utterance in any case, and only
moves the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.audio import SAMPLE_RATE
from worker.engines.recognition.live.clock import StreamClock
from worker.engines.recognition.live.samples import Format, Resampler, SampleReader

if TYPE_CHECKING:
    from worker.audio import Samples

_LONG_HOLE: Final = 2.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A long time without audio, in samples at 16 kHz."""

    samples: int


class Intake:
    """Raises `RpcError` of kind invalid_params for a rate or a time that cannot be."""

    def __init__(self, format_: Format, rate: int) -> None:
        self._rate = rate
        self._reader = SampleReader(format_)
        self._resampler = Resampler(rate)
        self._given = 0
        """Samples at 16 kHz that were returned, and in holes."""
        self.clock = StreamClock(rate)

    @property
    def repaired(self) -> int:
        """Samples that were no number, or beyond -1 and 1."""
        return self._reader.repaired

    def append(self, data: bytes, at: float | None = None) -> list[Samples | Hole]:
        """What a chunk adds; `at` is the time of its first sample, if the client knows that."""
        import numpy as np

        if not self.clock.follows(at):
            self._reader.forget()
        samples = self._reader.read(data)
        place = self.clock.place(len(samples), at)
        fresh = samples[place.known :]
        if place.missing <= _LONG_HOLE * self._rate:
            silence = np.zeros(place.missing, np.float32)
            return [self._count(self._resampler.convert(np.concatenate([silence, fresh])))]
        before = self._count(self._resampler.flush())
        begins = self.clock.now - len(fresh) / self._rate
        hole = Hole(round(begins * SAMPLE_RATE) - self._given)
        self._given += hole.samples
        return [before, hole, self._count(self._resampler.convert(fresh))]

    def finish(self) -> Samples:
        """What is left at the end."""
        return self._count(self._resampler.flush())

    def _count(self, samples: Samples) -> Samples:
        self._given += len(samples)
        return samples
