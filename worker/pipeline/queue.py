"""The jobs that run a pipeline of several engines, and those that wait for a place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from worker.managers.work_queue import WorkQueue
from worker.session.job import LATER, Job, Json, Later
from worker.session.lane import failure
from worker.system.log import Log

if TYPE_CHECKING:
    from protocol.values import Priority

_PLACES: Final = 3
"""So that one decodes and one diarizes while one recognises; each keeps its audio on disk."""


class Pipelines:
    """Runs a few pipelines at a time: interactive jobs first, each priority in order of arrival.

    While a batch occupies every place, interactive jobs have one more.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._waiting: WorkQueue[tuple[Job, Callable[[], Json]]] = WorkQueue()
        self._free = _PLACES
        self._overtaking = False

    def start(self, job: Job, priority: Priority, run: Callable[[], Json]) -> Later:
        """Queue `job`; what `run` returns or raises answers it."""
        with self._lock:
            if self._free:
                self._thread(self._run_all)
                self._free -= 1
            elif priority == "interactive" and not self._overtaking:
                self._thread(self._overtake)
                self._overtaking = True
            self._waiting.put((job, run), priority)
        return LATER

    def _run_all(self) -> None:
        """Run pipelines until no job waits."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                job, run = self._waiting.get()
            self._run(job, run)

    def _overtake(self) -> None:
        """Run pipelines of interactive jobs until none waits, or a place is free for them."""
        while True:
            with self._lock:
                waiting = None if self._free else self._waiting.get_interactive()
                if waiting is None:
                    self._overtaking = False
                    return
            self._run(*waiting)

    def _run(self, job: Job, run: Callable[[], Json]) -> None:
        if job.finished:
            return
        try:
            job.succeed(run())
        except BaseException as error:
            job.fail(failure(error, job.method, self._log))

    def _thread(self, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name="pipeline", daemon=True).start()
