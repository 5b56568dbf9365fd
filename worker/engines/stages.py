"""How long each stage of a request took, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from protocol.progress import Stage
from protocol.values import StageTime, Timings


class StageClock:
    """Times stages; from any thread, for they may run side by side.

    Times count from the acceptance of the client's request: `queue_seconds` of waiting, then
    `load_seconds` of loading, then now.
    """

    def __init__(self, queue_seconds: float, load_seconds: float = 0.0) -> None:
        before = queue_seconds + load_seconds
        self._origin = time.monotonic() - before
        self._lock = threading.Lock()
        self._spans: dict[Stage, tuple[float, float]] = {
            "queue": (0.0, queue_seconds),
            "load": (queue_seconds, before),
        }

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage; one that comes back lasts from its first begin to its last end."""
        begin = self._now()
        try:
            yield
        finally:
            with self._lock:
                first = min(begin, self._spans.get(name, (begin, begin))[0])
                self._spans[name] = (first, self._now())

    def seconds(self, *names: Stage) -> float:
        """For how long at least one of these stages ran."""
        total, last = 0.0, 0.0
        for begin, end in sorted(self._spans[name] for name in names if name in self._spans):
            total += max(0.0, end - max(begin, last))
            last = max(last, end)
        return total

    def timings(self) -> Timings:
        """What the result tells of it."""
        stages: dict[str, StageTime] = {
            name: StageTime(begin=begin, end=end) for name, (begin, end) in self._spans.items()
        }
        seconds = {name: end - begin for name, (begin, end) in self._spans.items()}
        return Timings(total=self._now(), stages=stages, **seconds)

    def _now(self) -> float:
        return time.monotonic() - self._origin
