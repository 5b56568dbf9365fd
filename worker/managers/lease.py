"""A lease: one job's claim to a model, and the way by which it uses the model's engine.

A job queues its work with `answer` or `run`. The work itself runs on the manager's thread, when
its turn has come, and only there may it load the model and call the engine: with `perform`, or
with `load` and `call` where something has to happen between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec

from worker.managers.work_queue import WorkItem
from worker.session.job import LATER, Json, Later
from worker.session.lane import failure

if TYPE_CHECKING:
    from protocol.errors import CancelledBy
    from protocol.models import LoadedModel
    from protocol.values import Notice, Priority
    from worker.engines.contract import EngineParams
    from worker.managers.manager import ModelManager
    from worker.session.job import Caller, Job
    from worker.system.log import Log

T = TypeVar("T")


class Lease:
    """While a job holds a lease, the model does not expire.

    Use it as a context manager, or let `answer` give it back.
    """

    def __init__(
        self,
        manager: ModelManager,
        priority: Priority,
        keep_alive: float | None,
        describe: Callable[[], LoadedModel],
        *,
        download: bool,
    ) -> None:
        self.describe = describe
        """Returns the model in memory, as it will be when the present work has ended."""
        self.download = download
        """The worker may fetch the model."""
        self._manager = manager
        self._priority = priority
        self._keep_alive = keep_alive
        self._held = True

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def answer(self, job: Job, work: Callable[[], Json]) -> Later:
        """Queue `work`; what it returns or raises answers `job`, and ends the lease."""
        item = _AnsweringItem(job, work, self, self._manager.log)
        job.on_cancel(self._manager.stop_unwanted_load)
        self._manager.submit(item, self._priority)
        return LATER

    def run(self, caller: Caller, work: Callable[[], T]) -> T:
        """Queue `work` and wait for its result; from any thread but the manager's."""
        item = WorkItem(caller, work, download=self.download)

        def withdraw(by: CancelledBy) -> None:
            item.withdraw(by)
            self._manager.stop_unwanted_load(by)

        caller.on_cancel(withdraw)
        self._manager.submit(item, self._priority)
        return item.outcome()

    def perform(self, caller: Caller, method: str, request: EngineParams) -> Json:
        """Load the model unless it is in memory, then call `method`. Only within queued work.

        The engine gets `request` with `load_seconds` set to the seconds that the load took. The
        times in its answer begin `queue_seconds` before this call: first the queue, then the load,
        then the work. A caller that leaves `queue_seconds` at 0 reads them as seconds since it
        called `perform`. Raises what `load` and `call` raise.
        """
        filled = msgspec.structs.replace(request, load_seconds=self.load(caller))
        return self.call(caller, method, msgspec.json.encode(filled))

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory, as far as the manager knows."""
        return self._manager.loaded

    @property
    def warnings(self) -> list[Notice]:
        """What the client should know about where the engine put the model."""
        placement = self._manager.placement
        return placement.warnings if placement else []

    def load(self, caller: Caller) -> float:
        """Load the model unless it is in memory; return the seconds. Only within queued work."""
        return self._manager.load(caller, download=self.download)

    def preload(self, caller: Caller) -> float:
        """Like `load`, but give up where another job's model would have to leave memory."""
        return self._manager.load(caller, download=self.download, may_evict_leased=False)

    def call(self, caller: Caller, method: str, params: bytes) -> Json:
        """Call the engine, which holds the model. Only within queued work."""
        return self._manager.call(caller, method, params)

    def notify(self, method: str, params: bytes) -> None:
        """Send the engine a notification, if it runs; from any thread."""
        engine = self._manager.engine
        if engine:
            engine.notify(method, params)

    def kill(self) -> None:
        """Kill the engine, if it runs: what it works on fails with engine_crashed."""
        engine = self._manager.engine
        if engine:
            engine.kill()

    def release(self) -> None:
        """Give the lease back; a second time does no harm."""
        if self.give_back():
            self._manager.hooks.on_work_finished(self._manager)

    def give_back(self) -> bool:
        """Give the lease back, and leave what follows from that to the end of the work."""
        manager = self._manager
        with manager.changed:
            if not self._held:
                return False
            self._held = False
            manager.leases -= 1
            manager.keep_alive = self._keep_alive
            manager.idle_since = time.monotonic()
            manager.changed.notify_all()
            return True


class _AnsweringItem(WorkItem[Json]):
    """Work whose result answers a job. No thread waits for it, and it begins the job itself."""

    hears_of_load = False

    def __init__(self, job: Job, work: Callable[[], Json], lease: Lease, log: Log) -> None:
        super().__init__(job, work, download=lease.download)
        self._job = job
        self._lease = lease
        self._log = log

    def do(self) -> None:
        """Do the work, unless the job was cancelled."""
        if not self._job.finished:
            super().do()

    def settle(self) -> None:
        """Answer the job. The lease goes back first: a client that has its reply finds it free."""
        self._lease.give_back()
        if self.error:
            self._job.fail(failure(self.error, self._job.method, self._log))
        elif self.result:
            self._job.succeed(self.result[0])
