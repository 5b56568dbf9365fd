"""The pipelines that run, and those that wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from worker.handler import failure
from worker.jobs import LATER, Job, Json, Later
from worker.log import Log
from worker.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.managers.managers import Managers

_SIDE_BY_SIDE: Final = 3
"""So that one decodes and one diarizes while one is recognised; each keeps its audio on disk."""


class Pipelines:
    """Runs a few at a time, in the order they came."""

    def __init__(self, managers: Managers, log: Log) -> None:
        self._managers = managers
        self._log = log
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Job, TranscribeParams]] = deque()
        self._running: set[Pipeline] = set()
        self._free = _SIDE_BY_SIDE

    def start(self, job: Job, params: TranscribeParams) -> Later:
        """Answer `job` when its turn has come and its work is done."""
        with self._lock:
            self._waiting.append((job, params))
            if self._free:
                self._free -= 1
                threading.Thread(target=self._work, name="pipeline", daemon=True).start()
        return LATER

    def close(self) -> None:
        """Remove what the running ones would leave behind."""
        with self._lock:
            running = list(self._running)
        for pipeline in running:
            pipeline.abandon()

    def _work(self) -> None:
        """Run pipelines until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                job, params = self._waiting.popleft()
            if job.finished:
                continue
            try:
                job.succeed(self._run(job, params))
            except BaseException as error:
                job.fail(failure(error, job.method, self._log))

    def _run(self, job: Job, params: TranscribeParams) -> Json:
        pipeline = Pipeline(job, params, self._managers, self._log)
        with self._lock:
            self._running.add(pipeline)
        try:
            return pipeline.run()
        finally:
            with self._lock:
                self._running.remove(pipeline)
