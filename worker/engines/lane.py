"""The engine's lane: one job at a time, which may pause while others use the same model."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

from worker.session.job import LATER, Job, Later
from worker.session.lane import Lane, Method
from worker.system.log import Log


class EngineLane(Lane):
    """A lane whose job pauses, when the front asks, at the next point that its engine allows.

    A paused job keeps its thread; another thread serves the jobs that come meanwhile. Those may
    pause too, and the last one paused is the first to go on. The front makes sure that only one
    works at a time.
    """

    def __init__(self, methods: Mapping[str, Method], log: Log) -> None:
        super().__init__({**methods, "resume": self._resume}, log)
        self._asked = threading.Event()
        self._paused: list[tuple[Job, threading.Event]] = []

    def pause(self, params: bytes) -> bytes:
        """Ask the job that works to pause. If none does, the next one pauses in vain."""
        self._asked.set()
        return b"null"

    def submit(self, job: Job) -> None:
        """Queue a job."""
        job.yield_hook = partial(self._yield, job)
        super().submit(job)

    def _yield(self, job: Job) -> float:
        if not self._asked.is_set():
            return 0.0
        self._asked.clear()
        began = time.monotonic()
        resumed = threading.Event()
        try:
            self.hand_over()
        except RuntimeError:  # no thread is left for the others: they wait
            return 0.0
        self._paused.append((job, resumed))
        job.pause()
        resumed.wait()
        return time.monotonic() - began

    def _resume(self, job: Job) -> Later:
        paused, resumed = self._paused.pop()
        paused.adopt_request(job)
        resumed.set()
        return LATER
