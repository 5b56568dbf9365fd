"""The audio of a stream that is still needed: what is not heard yet, and the present utterance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.audio import Samples

_LEAST: Final = 1 << 16
"""Samples that there is always room for."""


class LiveAudio:
    """Positions are samples from the start of the stream; `first` is the first one kept."""

    def __init__(self) -> None:
        import numpy as np

        self._room: Samples = np.zeros(_LEAST, np.float32)
        self._unused = 0
        """Samples of the room before the first one kept."""
        self.first = 0
        self.end = 0

    def append(self, samples: Samples) -> None:
        """Add samples at the end."""
        if self._stop + len(samples) > len(self._room):
            self._move(self.end - self.first + len(samples))
        self._room[self._stop : self._stop + len(samples)] = samples
        self.end += len(samples)

    def read(self, first: int, stop: int) -> Samples:
        """A copy of the samples between two positions, which must be there."""
        assert self.first <= first <= stop <= self.end
        place = self._unused - self.first
        return self._room[first + place : stop + place].copy()

    def forget(self, before: int) -> None:
        """Drop the samples before a position."""
        count = max(0, before - self.first)
        self._unused += count
        self.first += count

    @property
    def _stop(self) -> int:
        return self._unused + self.end - self.first

    def _move(self, needed: int) -> None:
        """Make a room for so many samples, twice as large so that this is rare."""
        import numpy as np

        kept = self._room[self._unused : self._stop]
        self._room = np.zeros(max(_LEAST, 2 * needed), np.float32)
        self._room[: len(kept)] = kept
        self._unused = 0
