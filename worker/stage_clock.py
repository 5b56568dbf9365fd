"""Measures the stages of a request: when each ran, how long it worked, and what it waited for."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from msgspec.structs import fields

from protocol.progress import Stage
from protocol.values import StageTime, Timings


class StageClock:
    """Times stages, which may run in parallel threads.

    Times count from when the worker accepted the request: `queue_seconds` of waiting, then
    `load_seconds` of loading the model, then now.
    """

    def __init__(self, queue_seconds: float, load_seconds: float = 0.0) -> None:
        before = queue_seconds + load_seconds
        self._origin = time.monotonic() - before
        self._lock = threading.Lock()
        self._stages: dict[Stage, StageTime] = {
            "queue": StageTime(begin=0.0, end=queue_seconds, busy=queue_seconds),
            "load": StageTime(begin=queue_seconds, end=before, busy=load_seconds),
        }
        self._inner: dict[int, list[float]] = defaultdict(list)
        """By thread, for each stage that runs there: seconds of the stages within it."""

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage; if it runs several times, it lasts from its first begin to its last end.

        The time of a stage within another is not part of the outer stage's busy time.
        """
        inner = self._inner[threading.get_ident()]
        begin = self.now()
        inner.append(0.0)
        try:
            yield
        finally:
            end = self.now()
            busy = end - begin - inner.pop()
            if inner:
                inner[-1] += end - begin
            self._count(name, begin, end, busy)

    @contextmanager
    def waiting(self, name: Stage, what: Stage) -> Iterator[None]:
        """Time how long a stage waits for another."""
        begin = self.now()
        try:
            yield
        finally:
            self.waited(name, what, self.now() - begin)

    def waited(self, name: Stage, what: Stage, seconds: float, *, busy: bool = False) -> None:
        """Add seconds that a stage waited for another; `busy`: they were timed as its work."""
        if not seconds:
            return
        with self._lock:
            stage = self._stage(name)
            stage.waits[what] = stage.waits.get(what, 0.0) + seconds
            if busy:
                stage.busy = max(0.0, stage.busy - seconds)

    def adopt(self, timings: Timings, offset: float, *names: Stage) -> None:
        """Add the stages that an engine timed; its request began at `offset` seconds of ours."""
        for name in names:
            if stage := timings.stages.get(name):
                self._count(name, stage.begin + offset, stage.end + offset, stage.busy)
                for what, seconds in stage.waits.items():
                    self.waited(name, cast("Stage", what), seconds)

    def _count(self, name: Stage, begin: float, end: float, busy: float) -> None:
        with self._lock:
            stage = self._stage(name)
            ran = stage.end > 0.0
            stage.begin = min(stage.begin, begin) if ran else begin
            stage.end = max(stage.end, end)
            stage.busy += busy

    def timings(self, audio: Mapping[Stage, float]) -> Timings:
        """The timings for the result; `audio` gives the seconds of audio that a stage processed."""
        with self._lock:
            for name, seconds in audio.items():
                if (stage := self._stages.get(name)) and seconds:
                    stage.audio = seconds
                    stage.real_time_factor = stage.busy / seconds
            # A stage that waited for another, and then was not needed, never ran.
            stages: dict[str, StageTime] = {
                name: stage
                for name, stage in self._stages.items()
                if stage.end or name in ("queue", "load")
            }
        timings = Timings(total=self.now(), stages=stages)
        for field in fields(Timings):
            if span := stages.get(field.encode_name):
                setattr(timings, field.name, span.end - span.begin)
        return timings

    def seconds(self, *names: Stage) -> float:
        """Seconds during which at least one of these stages ran."""
        total, last = 0.0, 0.0
        spans = (self._stages[name] for name in names if name in self._stages)
        for begin, end in sorted((span.begin, span.end) for span in spans):
            total += max(0.0, end - max(begin, last))
            last = max(last, end)
        return total

    def _stage(self, name: Stage) -> StageTime:
        """The times of a stage, which may not have begun. Call it with the lock held."""
        return self._stages.setdefault(name, StageTime(begin=0.0, end=0.0, busy=0.0))

    def now(self) -> float:
        """Seconds since the worker accepted the request."""
        return time.monotonic() - self._origin
