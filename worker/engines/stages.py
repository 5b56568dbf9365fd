"""How long each stage of a request took, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.progress import Stage
from protocol.values import StageTime, Timings


class StageClock:
    """Times the stages that run in this process, after those that ran before the request came.

    Times count from the acceptance of the client's request: `queue_seconds` of waiting, then
    `load_seconds` of loading, then now.
    """

    def __init__(self, queue_seconds: float, load_seconds: float) -> None:
        before = queue_seconds + load_seconds
        self._origin = time.monotonic() - before
        self._spans: dict[Stage, tuple[float, float]] = {
            "queue": (0.0, queue_seconds),
            "load": (queue_seconds, before),
        }

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage; one that comes back is counted from its first begin to its last end."""
        begin = self._now()
        try:
            yield
        finally:
            first = self._spans[name][0] if name in self._spans else begin
            self._spans[name] = (first, self._now())

    def seconds(self, *names: Stage) -> float:
        """How long these stages took together."""
        return sum(end - begin for name in names for begin, end in [self._spans[name]])

    def timings(self) -> Timings:
        """What the result tells of it."""
        stages: dict[str, StageTime] = {
            name: StageTime(begin=begin, end=end) for name, (begin, end) in self._spans.items()
        }
        seconds = {name: end - begin for name, (begin, end) in self._spans.items()}
        return Timings(total=self._now(), stages=stages, **seconds)

    def _now(self) -> float:
        return time.monotonic() - self._origin
