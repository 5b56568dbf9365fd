"""The engine's lane: one job at a time, which may stand back while others are served."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

from worker.session.job import LATER, Job, Later
from worker.session.lane import Lane, Method
from worker.system.log import Log


class EngineLane(Lane):
    """A lane whose job can be asked to pause, at the next point at which its engine allows that.

    It keeps its thread, and another serves those that come meanwhile; they may pause as well, and
    who paused last goes on first. The front sees to it that only one works.
    """

    def __init__(self, methods: Mapping[str, Method], log: Log) -> None:
        super().__init__({**methods, "resume": self._resume}, log)
        self._asked = threading.Event()
        self._paused: list[tuple[Job, threading.Event]] = []

    def pause(self, params: bytes) -> bytes:
        """Have the job that works pause, or the next that could: one in vain costs little."""
        self._asked.set()
        return b"null"

    def submit(self, job: Job) -> None:
        """Queue a job."""
        job.stand_back = partial(self._stand_back, job)
        super().submit(job)

    def _stand_back(self, job: Job) -> float:
        if not self._asked.is_set():
            return 0.0
        self._asked.clear()
        began = time.monotonic()
        resumed = threading.Event()
        try:
            self.hand_over()
        except RuntimeError:  # there is no thread for others: they wait
            return 0.0
        self._paused.append((job, resumed))
        job.pause()
        resumed.wait()
        return time.monotonic() - began

    def _resume(self, job: Job) -> Later:
        paused, resumed = self._paused.pop()
        paused.resume_as(job)
        resumed.set()
        return LATER
