"""A model manager: one model, the engine process that holds it, and the work queued for it.

The strategy is that of ollama's scheduler. A model is unloaded, loading, idle or busy; jobs hold
leases to it. The first work that needs the model loads it, and all work queued behind shares that
load. Only the end of a process reliably returns its memory to the system, so to unload a model is
to end its engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from protocol.errors import CancelledBy, ErrorObject, RpcError
from protocol.progress import ProgressReport
from worker.managers.callers import SharedCaller
from worker.managers.model import Model
from worker.managers.work_queue import OVERTAKING, WorkItem, WorkQueue
from worker.session.job import Caller, Json
from worker.system import heap
from worker.system.log import Log

if TYPE_CHECKING:
    from protocol.values import Priority
    from worker.engines.contract import FetchParams, LoadResult
    from worker.managers.engine_process import EngineProcess

_CLOSE_SECONDS: Final = 0.5
"""How long a killed engine may take to disappear."""
_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
"""How long an idle engine may take to answer a ping, on a machine that is busy."""


class Hooks(NamedTuple):
    """What a manager needs from the outside."""

    start: Callable[[Model], EngineProcess]
    """Start an engine process for a model."""
    admit: Callable[[ModelManager, Caller, bool], bool]
    """Make room for the manager's model, or raise `RpcError`. The last argument is
    `may_evict_leased`: if False, return False where another job's model would have to leave."""
    fetch: Callable[[Caller, FetchParams], object]
    """Download a model into the hub's cache."""
    on_work_finished: Callable[[ModelManager], None]
    """Called after each work item, and after a lease was given back."""


class _Failure(NamedTuple):
    """A load that failed."""

    at: float
    error: ErrorObject
    """Not the exception, whose traceback keeps alive all that took part, and earlier failures."""
    download: bool

    def concerns(self, item: WorkItem[Any]) -> bool:
        """Whether `item` waited for this load, and would only have repeated it."""
        return item.queued_at < self.at and (self.download or not item.download)


class ModelManager:
    """Does the work that needs one model, on one thread, one work item at a time.

    The thread lives as long as the engine: an engine that is told to die with its parent dies when
    the *thread* that started it ends. `changed` guards all state, and all managers share it.
    """

    def __init__(self, model: Model, hooks: Hooks, changed: threading.Condition, log: Log) -> None:
        self.model = model
        self.hooks: Final = hooks
        self.engine: EngineProcess | None = None
        self.loaded = False
        self.placement: LoadResult | None = None
        """Where the engine put the model."""
        self.running = False
        """A work item is being done, or the engine is being ended."""
        self.leaving = False
        """The engine is being ended."""
        self.claims = 0
        """Models that wait for this one's memory: until they have it, it takes no further work."""
        self.reserved = 0
        """Bytes that were granted and may not be used yet."""
        self.leases = 0
        self.loads = 0
        self.idle_since = time.monotonic()
        self.keep_alive: float | None = None
        """Seconds that the last job wished the model to stay; None for the default."""
        self.stale = False
        """The next load must start a new process."""
        self.changed = changed
        self.log = log
        self._queue: WorkQueue[WorkItem[Any]] = WorkQueue()
        self._current: WorkItem[Any] | None = None
        self._thread: threading.Thread | None = None
        self._loading: tuple[Caller, SharedCaller] | None = None
        """Who began the load that is under way, and the caller that stands for all who wait."""
        self._failure: _Failure | None = None
        self._crashes = 0
        self._crashed_at = 0.0

    @property
    def wanted(self) -> bool:
        """Whether a job holds a lease, or waits for the model."""
        return self.leases > 0 or len(self._queue) > 0

    @property
    def busy(self) -> bool:
        """Whether it works, or is wanted."""
        return self.running or self.wanted

    @property
    def idle(self) -> bool:
        """Whether it has an engine that nobody uses or waits for."""
        return self.engine is not None and not self.busy

    @property
    def present(self) -> bool:
        """Whether it takes memory, or is about to."""
        return self.engine is not None or self.reserved > 0

    def load(self, caller: Caller, *, download: bool, may_evict_leased: bool = True) -> float:
        """Load the model unless it is loaded; return the seconds. Only within a work item.

        With `download`, it is fetched if it is not cached, or damaged. With `may_evict_leased`
        False, the load is given up without an error where another job's model would have to leave.
        """
        began = time.monotonic()
        if self._usable(caller):
            return time.monotonic() - began
        self._discard()
        shared = SharedCaller(lambda: self._waiting(caller, listeners=True), preliminary=True)
        with self.changed:
            self._loading = (caller, shared)
        caller.on_cancel(self.stop_unwanted_load)
        try:
            if self.hooks.admit(self, shared, may_evict_leased):
                self._backoff(shared)
                self._start(shared, download)
        except RpcError as error:
            if error.kind != "cancelled":
                self._failure = _Failure(time.monotonic(), error.to_object(), download)
            raise
        finally:
            with self.changed:
                self._loading = None
                self.reserved = 0
            caller.on_cancel(None)
        caller.raise_if_cancelled()
        return time.monotonic() - began

    def call(
        self, caller: Caller, method: str, params: bytes, timeout: float | None = None
    ) -> Json:
        """Call the engine, which holds the model. Only within a work item.

        An engine that does not answer within `timeout` seconds is ended: engine_crashed.
        """
        engine = self.engine
        assert engine
        try:
            result = engine.call(method, params, caller, self._let_overtake, timeout)
        except RpcError as error:
            if error.kind == "engine_crashed":
                self._crashes += 1
                self._crashed_at = time.monotonic()
            raise
        if method not in ("load", "ping"):
            self._crashes = 0
        return result

    def submit(self, item: WorkItem[Any], priority: Priority) -> None:
        """Queue work. Interactive work also interrupts work of a batch."""
        item.priority = priority
        with self.changed:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="manager", daemon=True)
                thread.start()
                self._thread = thread
            self._queue.put(item, priority)
            overtaken = self.engine if self._overtakes(priority) else None
            self.changed.notify_all()
        if overtaken:
            overtaken.pause()

    def stop_unwanted_load(self, by: CancelledBy) -> None:
        """Stop a load if every caller that waits for it was cancelled; after one of them was."""
        with self.changed:
            loading = self._loading
        if loading and not self._waiting(loading[0]):
            loading[1].stop(by)

    def leave(self) -> None:
        """Take no more work, and let nobody else end the engine: `end` follows. Under the lock."""
        self.running = self.leaving = True

    def end(self) -> None:
        """End the engine, so that its memory is free, after `leave`."""
        self._discard()
        heap.trim()  # returns what this process kept for the engine's work
        with self.changed:
            self.running = self.leaving = False
            self.changed.notify_all()

    def close(self) -> None:
        """End the engine and its children; from any thread."""
        engine = self.engine
        if engine:
            engine.stop(_CLOSE_SECONDS)

    def _usable(self, caller: Caller) -> bool:
        """Whether the engine holds the model, and answers."""
        if not self.loaded or self.stale or not self.engine or not self.engine.alive:
            return False
        try:
            # A killed process counts as alive for a moment, and one may hang.
            self.call(caller, "ping", b"{}", timeout=_ANSWER_SECONDS)
        except RpcError as error:
            if error.kind != "engine_crashed":
                raise
            return False
        return True

    def _discard(self) -> None:
        """End the engine, if there is one."""
        engine = self.engine
        if engine:
            engine.stop()
        with self.changed:
            self.engine = None
            self.loaded = self.stale = False

    def _start(self, shared: SharedCaller, download: bool) -> None:
        """Start an engine and load the model."""
        self.engine = self.hooks.start(self.model)
        try:
            if not self.model.helper:
                self._load_model(shared, download)
        except BaseException:
            self._discard()
            raise
        self.loaded = True
        self.loads += 1

    def _load_model(self, shared: SharedCaller, download: bool) -> None:
        from worker.engines.contract import LoadResult

        model = self.model
        shared.report(ProgressReport(stage="load", message=model.name))
        try:
            placement = self.call(shared, "load", model.params)
        except RpcError as error:
            healable = error.kind in ("model_not_cached", "model_invalid")
            if not (healable and download and model.source):
                raise
            self.log.info(f"{model.name}: {error.message} Fetching it.")
            self.hooks.fetch(shared, model.source)
            shared.report(ProgressReport(stage="load", message=model.name))
            placement = self.call(shared, "load", model.params)
        self.placement = msgspec.json.decode(b"".join(placement), type=LoadResult)

    def _backoff(self, caller: Caller) -> None:
        """After repeated crashes, wait before the next start; longer each time."""
        if self._crashes < 2:
            return
        pause = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (self._crashes - 2))
        until = self._crashed_at + pause
        while (left := until - time.monotonic()) > 0:
            caller.raise_if_cancelled()
            time.sleep(min(left, _POLL_SECONDS))

    def _waiting(self, first: Caller, *, listeners: bool = False) -> list[Caller]:
        """The callers for whom `first` loads the model: itself, and those queued behind it.

        `listeners` leaves out those that do not hear of the load: jobs that have not begun.
        """
        with self.changed:
            queued = [each for each in self._queue if each.hears_of_load or not listeners]
        callers = [first, *(each.caller for each in queued)]
        return [caller for caller in callers if not caller.cancelled]

    def _work(self) -> None:
        while True:
            with self.changed:
                while self.running or self.claims or not self._queue:
                    if not (self.engine or self.running or self._queue):
                        self._thread = None
                        return
                    self.changed.wait()
                item = self._queue.get()
                self.running = True
            self._do(item)
            with self.changed:
                self.running = False
                self.changed.notify_all()
            item.settle()
            self.hooks.on_work_finished(self)

    def _do(self, item: WorkItem[Any]) -> None:
        """Do an item, which may be while that of a batch pauses."""
        outer, self._current = self._current, item
        failed, self._failure = self._failure, None
        if failed and failed.concerns(item):
            self._failure = failed
            item.error = RpcError.from_object(failed.error)
        else:
            item.do()
        if self.engine and not self.engine.alive:
            self._discard()
        self._current = outer

    def _overtakes(self, priority: Priority) -> bool:
        """Whether work of this priority goes before the current item. Under the lock."""
        batch = self._current is not None and self._current.priority == "batch"
        return batch and not self.claims and priority == "interactive"

    def _let_overtake(self) -> None:
        """While work of a batch pauses: do some of the interactive work that waits."""
        for _ in range(OVERTAKING):
            with self.changed:
                overtakes = self._overtakes("interactive")
                item = self._queue.get_interactive() if overtakes else None
            if item is None:
                return
            self._do(item)
            item.settle()
            self.hooks.on_work_finished(self)
        with self.changed:
            engine = self.engine if self._queue.interactive else None
        if engine:
            engine.pause()  # as soon as the batch has come one step further
