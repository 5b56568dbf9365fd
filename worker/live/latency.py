"""How long after it was said each word comes: shown for the first time, and final."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from protocol.live import Delay, LiveLatency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.live import LiveSegment


class Latency:
    """Knows when audio arrived; times are seconds of the stream."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._arrivals: list[float] = []
        """When the audio up to each of the ends had arrived, on the monotonic clock."""
        self._shown = array("f")
        self._final = array("f")
        self._segment = -1
        self._counted = (0, 0)
        """Words of that segment that were shown, and final."""

    def arrived(self, end: float) -> None:
        """Audio up to `end` is here."""
        self._ends.append(end)
        self._arrivals.append(time.monotonic())

    def since(self, at: float) -> float:
        """Seconds since the audio at a time arrived."""
        place = min(bisect_left(self._ends, at), len(self._ends) - 1)
        return time.monotonic() - self._arrivals[place] if place >= 0 else 0.0

    def told(self, segments: Sequence[LiveSegment]) -> None:
        """Count the words that are new in these segments."""
        for segment in segments:
            if segment.id != self._segment:
                self._segment, self._counted = segment.id, (0, 0)
            shown, final = self._counted
            finals = sum(word.final for word in segment.words)
            self._shown.extend(self.since(word.end) for word in segment.words[shown:])
            self._final.extend(self.since(word.end) for word in segment.words[final:finals])
            self._counted = max(shown, len(segment.words)), max(final, finals)

    def forget(self, before: float) -> None:
        """Drop arrivals of audio before a time."""
        count = min(bisect_left(self._ends, before), len(self._ends) - 1)
        if count > 0:
            del self._ends[:count], self._arrivals[:count]

    def summary(self) -> LiveLatency | None:
        """The delays of all words; None if there were none."""
        if not self._final:
            return None
        return LiveLatency(shown=_delay(self._shown), final=_delay(self._final))


def _delay(values: Sequence[float]) -> Delay:
    ordered = sorted(values)

    def percentile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return Delay(p50=percentile(0.5), p95=percentile(0.95))
