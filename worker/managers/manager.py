"""A model manager: one model, the engine process that holds it, and the work that waits for it.

After ollama's scheduler. A model is unloaded, loading, idle or busy; jobs hold leases to it. It is
loaded by the first work that needs it, and those who wait share that load. Freed memory returns to
the system with the process alone, so that to unload is to end the engine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import msgspec

from protocol.errors import CancelledBy, ErrorObject, RpcError
from protocol.progress import ProgressReport
from worker.managers.callers import Shared
from worker.managers.model import TASKS, Model
from worker.managers.work_queue import OVERTAKING, WorkItem, WorkQueue
from worker.session.job import LATER, Caller, Job, Json, Later
from worker.session.lane import failure
from worker.system import heap
from worker.system.log import Log

if TYPE_CHECKING:
    from protocol.models import LoadedModel
    from protocol.values import Notice, Priority
    from worker.engines.contract import FetchParams, LoadResult
    from worker.managers.engine_process import EngineProcess

T = TypeVar("T")

_CLOSE_SECONDS: Final = 0.5
"""How long an engine that was killed may take to be gone."""
_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 10.0
"""How long an engine that has nothing to do may take to say so, on a machine that is busy."""


class Host(Protocol):
    """What a manager asks of those above it."""

    def start(self, model: Model) -> EngineProcess:
        """Start an engine process for the model."""

    def admit(self, manager: ModelManager, caller: Caller, *, polite: bool) -> bool:
        """Make room for the model, or raise `RpcError`; a polite one rather goes without."""

    def fetch(self, caller: Caller, source: FetchParams) -> None:
        """Have a model in the hub's cache, whole."""

    def rested(self, manager: ModelManager) -> None:
        """A turn has ended, or the last lease was given back."""

    def describe(self, manager: ModelManager, *, after_turn: bool) -> LoadedModel:
        """What is known of the model in memory."""


class _Failure(NamedTuple):
    """A load that failed."""

    at: float
    error: ErrorObject
    """Not as it was raised: a traceback keeps all that took part, earlier failures too."""
    download: bool

    def concerns(self, turn: WorkItem[object]) -> bool:
        """Whether somebody waited for this load, and would have done nothing else."""
        return turn.asked_at < self.at and (self.download or not turn.download)


class ModelManager:
    """Does the work that needs one model, on one thread, a turn at a time.

    The thread lives as long as the engine: an engine that dies with its parent, does so when the
    *thread* that started it ends. All state is guarded by `changed`, which managers share.
    """

    def __init__(self, model: Model, host: Host, changed: threading.Condition, log: Log) -> None:
        self.model = model
        self.engine: EngineProcess | None = None
        self.loaded = False
        self.placement: LoadResult | None = None
        """Where the engine put the model."""
        self.running = False
        """A turn is being taken, or the engine is being ended."""
        self.leaving = False
        """The engine is being ended."""
        self.claims = 0
        """Others that wait for its memory: before they have had it, no further turn is taken."""
        self.reserved = 0
        """Bytes that were granted and may not be used yet."""
        self.leases = 0
        self.loads = 0
        self.idle_since = time.monotonic()
        self.keep_alive: float | None = None
        """In seconds, as whoever used it last wished; None for the default."""
        self.stale = False
        """The next load is to be by a new process."""
        self.host = host
        self.changed = changed
        self.log = log
        self._turns: WorkQueue[WorkItem[object]] = WorkQueue()
        self._turn: WorkItem[object] | None = None
        """The one that is being taken."""
        self._thread: threading.Thread | None = None
        self._sharing: tuple[Caller, Shared] | None = None
        self._failure: _Failure | None = None
        self._crashes = 0
        self._crashed_at = 0.0

    @property
    def helper(self) -> bool:
        """Whether its engine holds no model."""
        return self.model.kind not in TASKS

    @property
    def wanted(self) -> bool:
        """Whether a job lays claim to it, or waits for it."""
        return self.leases > 0 or len(self._turns) > 0

    @property
    def busy(self) -> bool:
        """Whether it is at work, or wanted."""
        return self.running or self.wanted

    @property
    def idle(self) -> bool:
        """Whether it has an engine that nobody uses or waits for."""
        return self.engine is not None and not self.busy

    @property
    def present(self) -> bool:
        """Whether it takes memory, or will at once."""
        return self.engine is not None or self.reserved > 0

    def load(self, caller: Caller, *, download: bool, polite: bool = False) -> float:
        """Have the engine hold the model; return the seconds that took. Only within a turn.

        With `download`, it is fetched when it is not cached, or damaged. A polite load is given
        up, without an error, where another job's model would have to go.
        """
        began = time.monotonic()
        if self._usable(caller):
            return time.monotonic() - began
        self._discard()
        shared = Shared(lambda: self._told(caller), preliminary=True)
        with self.changed:
            self._sharing = (caller, shared)
        caller.on_cancel(self.withdrawn)
        try:
            if self.host.admit(self, shared, polite=polite):
                self._backoff(shared)
                self._load(shared, download)
        except RpcError as error:
            if error.kind != "cancelled":
                self._failure = _Failure(time.monotonic(), error.to_object(), download)
            raise
        finally:
            with self.changed:
                self._sharing = None
                self.reserved = 0
            caller.on_cancel(None)
        caller.raise_if_cancelled()
        return time.monotonic() - began

    def call(
        self, caller: Caller, method: str, params: bytes, patience: float | None = None
    ) -> Json:
        """Call the engine, which was loaded; only within a turn.

        One that does not answer within `patience` seconds is ended: engine_crashed.
        """
        engine = self.engine
        assert engine
        try:
            result = engine.call(method, params, caller, self._give_way, patience)
        except RpcError as error:
            if error.kind == "engine_crashed":
                self._crashes += 1
                self._crashed_at = time.monotonic()
            raise
        if method not in ("load", "ping"):
            self._crashes = 0
        return result

    def submit(self, turn: WorkItem[T], priority: Priority) -> None:
        """Let work wait for its turn; interactive work also interrupts that of a batch."""
        turn.priority = priority
        with self.changed:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="manager", daemon=True)
                thread.start()
                self._thread = thread
            self._turns.put(turn, priority)  # type: ignore[arg-type]
            overtaken = self.engine if self._overtakes(priority) else None
            self.changed.notify_all()
        if overtaken:
            overtaken.pause()

    def withdrawn(self, by: CancelledBy) -> None:
        """Somebody who waited does so no more: stop a load that nobody waits for."""
        with self.changed:
            sharing = self._sharing
        if sharing and not self._interested(sharing[0]):
            sharing[1].stop(by)

    def leave(self) -> None:
        """Take no turn any more, and no other claim: `end` follows. With the lock held."""
        self.running = self.leaving = True

    def end(self) -> None:
        """End the engine, so that its memory is free, after `leave`."""
        self._discard()
        heap.trim()  # what was kept here of its work is free as well
        with self.changed:
            self.running = self.leaving = False
            self.changed.notify_all()

    def close(self) -> None:
        """End the engine and what it would leave behind; from any thread."""
        engine = self.engine
        if engine:
            engine.stop(_CLOSE_SECONDS)

    def _usable(self, caller: Caller) -> bool:
        """Whether the engine holds the model, and answers."""
        if not self.loaded or self.stale or not self.engine or not self.engine.alive:
            return False
        try:
            # The system takes a moment to tell of a process that was killed, and one may hang.
            self.call(caller, "ping", b"{}", patience=_ANSWER_SECONDS)
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

    def _load(self, shared: Shared, download: bool) -> None:
        model = self.model
        self.engine = self.host.start(model)
        try:
            if not self.helper:
                self._load_model(shared, download)
        except BaseException:
            self._discard()
            raise
        self.loaded = True
        self.loads += 1

    def _load_model(self, shared: Shared, download: bool) -> None:
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
            self.host.fetch(shared, model.source)
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

    def _interested(self, first: Caller) -> list[Caller]:
        """Those for whom a load is under way: who began it, and who waits."""
        with self.changed:
            callers = [first, *(turn.caller for turn in self._turns)]
        return [caller for caller in callers if not caller.cancelled]

    def _told(self, first: Caller) -> list[Caller]:
        """Those of them who are told of it: a job that was not taken up yet is told nothing."""
        with self.changed:
            callers = [first, *(turn.caller for turn in self._turns if turn.told)]
        return [caller for caller in callers if not caller.cancelled]

    def _work(self) -> None:
        while True:
            with self.changed:
                while self.running or self.claims or not self._turns:
                    if not (self.engine or self.running or self._turns):
                        self._thread = None
                        return
                    self.changed.wait()
                turn = self._turns.get()
                self.running = True
            self._take(turn)
            with self.changed:
                self.running = False
                self.changed.notify_all()
            turn.settle()
            self.host.rested(self)

    def _take(self, turn: WorkItem[object]) -> None:
        """Give a turn, which may be within that of a batch."""
        outer, self._turn = self._turn, turn
        failed, self._failure = self._failure, None
        if failed and failed.concerns(turn):
            self._failure = failed
            turn.error = RpcError.from_object(failed.error)
        else:
            turn.take()
        if self.engine and not self.engine.alive:
            self._discard()
        self._turn = outer

    def _overtakes(self, priority: Priority) -> bool:
        """Whether such work goes before what is being done. With the lock held."""
        at_work = self._turn is not None and self._turn.priority == "batch" and not self.claims
        return at_work and priority == "interactive"

    def _give_way(self) -> None:
        """Work of a batch stands back: take some of the interactive turns that wait."""
        for _ in range(OVERTAKING):
            with self.changed:
                overtakes = self._overtakes("interactive")
                turn = self._turns.get_interactive() if overtakes else None
            if turn is None:
                return
            self._take(turn)
            turn.settle()
            self.host.rested(self)
        with self.changed:
            engine = self.engine if self._turns.interactive else None
        if engine:
            engine.pause()  # as soon as the batch has come a step further


class Lease:
    """A job's claim to a model: as long as it is held, the model is not left to expire.

    Use it as a context manager, or let `answer` give it back.
    """

    def __init__(
        self,
        manager: ModelManager,
        priority: Priority,
        keep_alive: float | None,
        *,
        download: bool,
    ) -> None:
        self.download = download
        """The model may be fetched."""
        self._manager = manager
        self._priority = priority
        self._keep_alive = keep_alive
        self._held = True

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def answer(self, job: Job, work: Callable[[], Json]) -> Later:
        """Do `work` when its turn comes, and answer `job` with what it returns or raises.

        The lease ends with that.
        """

        turn = _AnsweringItem(job, work, self, self._manager.log)
        job.on_cancel(self._manager.withdrawn)
        self._manager.submit(turn, self._priority)
        return LATER

    def run(self, caller: Caller, work: Callable[[], T]) -> T:
        """Do `work` when its turn comes, and wait for it; from any thread but the manager's."""
        turn = WorkItem(caller, work, download=self.download)

        def withdraw(by: CancelledBy) -> None:
            turn.withdraw(by)
            self._manager.withdrawn(by)

        caller.on_cancel(withdraw)
        self._manager.submit(turn, self._priority)
        return turn.outcome()

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory, as far as is known."""
        return self._manager.loaded

    @property
    def warnings(self) -> list[Notice]:
        """What the caller should know of where the model was put."""
        placement = self._manager.placement
        return placement.warnings if placement else []

    def describe(self) -> LoadedModel:
        """What is known of the model in memory, as it is when this turn is over."""
        return self._manager.host.describe(self._manager, after_turn=True)

    def load(self, caller: Caller) -> float:
        """Have the model loaded; return the seconds that took. Only within work."""
        return self._manager.load(caller, download=self.download)

    def preload(self, caller: Caller) -> float:
        """Load the model early, unless that takes memory that another job's model has."""
        return self._manager.load(caller, download=self.download, polite=True)

    def call(self, caller: Caller, method: str, params: bytes) -> Json:
        """Call the engine; only within work."""
        return self._manager.call(caller, method, params)

    def release(self) -> None:
        """Give it back; more than once does no harm."""
        if self.give_back():
            self._manager.host.rested(self._manager)

    def give_back(self) -> bool:
        """Give it back, and leave what follows from it to the end of the turn."""
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
    """A turn that nobody waits for: what comes of it answers a job, which begins with it."""

    told = False

    def __init__(self, job: Job, work: Callable[[], Json], lease: Lease, log: Log) -> None:
        super().__init__(job, work, download=lease.download)
        self._job = job
        self._lease = lease
        self._log = log

    def take(self) -> None:
        """Do it, unless the job was cancelled."""
        if not self._job.finished:
            super().take()

    def settle(self) -> None:
        """Answer; whoever reads that finds the model free already."""
        self._lease.give_back()
        if self.error:
            self._job.fail(failure(self.error, self._job.method, self._log))
        elif self.result:
            self._job.succeed(self.result[0])
