"""Where each chunk of a stream lies: by the time of its first sample, if the client tells that.

What was received before is discarded, and a hole becomes silence: so times in the transcript are
those of the client's clock, and no audio is lost without being told. A clock may be off by some
milliseconds, as that of a browser's audio is; only what exceeds them moves a chunk.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from protocol.errors import RpcError

TOLERANCE: Final = 0.02
"""Seconds by which a chunk's time may differ from the end of the one before."""
FURTHEST_BACK: Final = 30.0
"""Seconds that may be sent again; a time before that is another clock's."""
FURTHEST_AHEAD: Final = 3600.0
"""Seconds that may be missing."""


class Gap(NamedTuple):
    """Audio that never came: between two times in seconds."""

    start: float
    end: float


class Place(NamedTuple):
    """What to do with a chunk: both counts are of samples, and one of them is 0."""

    missing: int
    """Samples of silence to put before it."""
    known: int
    """Samples at its start to discard, because they came before."""


class StreamClock:
    """Counts the samples of a stream. `rate` is in Hz; the stream begins at 0 s."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.received = 0
        """Samples that came."""
        self.discarded = 0
        """Of these, those that came before."""
        self.missing = 0
        """Samples that never came."""
        self.gaps: list[Gap] = []

    @property
    def now(self) -> float:
        """The time of the next sample."""
        return (self.received - self.discarded + self.missing) / self._rate

    def follows(self, at: float | None) -> bool:
        """Whether a chunk of that time follows the one before; raises as `place` does."""
        return abs(self._ahead(at)) <= TOLERANCE

    def place(self, count: int, at: float | None) -> Place:
        """Place a chunk of `count` samples, the first of which is `at` that time.

        Raises `RpcError` of kind invalid_params for a time that cannot be one of this stream.
        """
        missing = known = 0
        if not self.follows(at):
            ahead = round(self._ahead(at) * self._rate)
            missing, known = max(0, ahead), min(count, max(0, -ahead))
        if missing:
            self.gaps.append(Gap(self.now, self.now + missing / self._rate))
        self.received += count
        self.discarded += known
        self.missing += missing
        return Place(missing, known)

    def _ahead(self, at: float | None) -> float:
        """Seconds by which a time is later than expected."""
        if at is None:
            return 0.0
        ahead = at - self.now
        if not (math.isfinite(at) and at >= 0 and -FURTHEST_BACK <= ahead <= FURTHEST_AHEAD):
            raise RpcError(
                "invalid_params",
                f"The audio cannot begin at {at} s: the stream is at {self.now:.3f} s. A chunk may "
                f"begin up to {FURTHEST_BACK:.0f} s earlier, or {FURTHEST_AHEAD:.0f} s later.",
                path="$.at",
                remedy="Give `at` in seconds from the start of the stream, or omit it.",
            )
        return ahead
