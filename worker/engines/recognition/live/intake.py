"""The input of a stream: bytes in chunks, and what there is to hear of them.

A short hole is filled with silence. A long one is not: it ends the utterance in any case, and only
moves the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocol.values import Notice
from worker.audio import SAMPLE_RATE
from worker.engines.recognition.live.samples import Resampler, SampleReader

if TYPE_CHECKING:
    from protocol.live import SampleFormat
    from worker.audio import Samples

_LONG_HOLE: Final = 2.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A long time without audio, in samples at 16 kHz."""

    samples: int


class Intake:
    """Converts what comes to samples at 16 kHz, as many as there is time at the stream's rate."""

    def __init__(self, format_: SampleFormat, rate: int) -> None:
        self._rate = rate
        self._reader = SampleReader(format_)
        self._resampler = Resampler(rate)
        self._taken = 0
        """Samples that came, and in holes."""
        self._given = 0
        """Samples at 16 kHz that were returned, and in holes."""

    def append(self, data: bytes, missing: int = 0) -> list[Samples | Hole]:
        """What a chunk of whole samples adds, before which some are missing."""
        import numpy as np

        samples = self._reader.read(data)
        self._taken += missing + len(samples)
        if missing <= _LONG_HOLE * self._rate:
            silence = np.zeros(missing, np.float32)
            return [self._count(self._resampler.convert(np.concatenate([silence, samples])))]
        before = self._count(self._resampler.flush())
        begins = (self._taken - len(samples)) * SAMPLE_RATE / self._rate
        hole = Hole(round(begins) - self._given)
        self._given += hole.samples
        return [before, hole, self._count(self._resampler.convert(samples))]

    def finish(self) -> Samples:
        """What is left at the end."""
        return self._count(self._resampler.flush())

    def notices(self) -> list[Notice]:
        """What was strange about the samples."""
        found = []
        if self._reader.repaired:
            message = (
                f"{self._reader.repaired} samples were no numbers, or beyond -1 and 1: the worker "
                "took 0, or the nearest of the two."
            )
            found.append(Notice(kind="samples_repaired", message=message))
        if self._reader.is_stereo:
            message = (
                "Every second sample equals the one before it, as if stereo was sent as one "
                "channel. Send one channel only: otherwise speech sounds half as fast."
            )
            found.append(Notice(kind="stereo_suspected", message=message))
        return found

    def _count(self, samples: Samples) -> Samples:
        self._given += len(samples)
        return samples
