"""The pipelines that run, and those that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from worker.managers.work_queue import WorkQueue
from worker.pipeline.pipeline import Pipeline
from worker.session.job import LATER, Job, Later
from worker.session.lane import failure
from worker.system.log import Log

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.managers.pool import ModelPool

_SIDE_BY_SIDE: Final = 3
"""So that one decodes and one diarizes while one is recognised; each keeps its audio on disk."""


_Waiting = tuple[Job, "TranscribeParams"]


class Pipelines:
    """Runs a few at a time: interactive ones first, each kind in the order it came.

    Where a batch has taken every place, there is one more for interactive ones.
    """

    def __init__(self, managers: ModelPool, log: Log) -> None:
        self._managers = managers
        self._log = log
        self._lock = threading.Lock()
        self._waiting: WorkQueue[_Waiting] = WorkQueue()
        self._free = _SIDE_BY_SIDE
        self._overtaking = False

    def start(self, job: Job, params: TranscribeParams) -> Later:
        """Answer `job` when its turn has come and its work is done."""
        with self._lock:
            if self._free:
                self._thread(self._work)
                self._free -= 1
            elif params.priority == "interactive" and not self._overtaking:
                self._thread(self._overtake)
                self._overtaking = True
            self._waiting.put((job, params), params.priority)
        return LATER

    def _work(self) -> None:
        """Run pipelines until none waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                job, params = self._waiting.get()
            self._serve(job, params)

    def _overtake(self) -> None:
        """Run interactive pipelines until none waits, or there is a place for them."""
        while True:
            with self._lock:
                waiting = None if self._free else self._waiting.get_interactive()
                if waiting is None:
                    self._overtaking = False
                    return
            self._serve(*waiting)

    def _serve(self, job: Job, params: TranscribeParams) -> None:
        if job.finished:
            return
        try:
            job.succeed(Pipeline(job, params, self._managers, self._log).run())
        except BaseException as error:
            job.fail(failure(error, job.method, self._log))

    def _thread(self, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name="pipeline", daemon=True).start()
