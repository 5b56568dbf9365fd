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

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.handler import failure
from worker.jobs import LATER, Caller, Job, Json, Later
from worker.log import Log
from worker.managers.models import TASKS, Model
from worker.managers.part import Shared
from worker.managers.turns import Turn, Turns

if TYPE_CHECKING:
    from protocol.values import Priority
    from worker.engines.contract import FetchParams
    from worker.engines.process import EngineProcess

T = TypeVar("T")

_CLOSE_SECONDS: Final = 0.5
"""How long an engine that was killed may take to be gone."""
_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_POLL_SECONDS: Final = 0.1


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


class _Failure(NamedTuple):
    """A load that failed."""

    at: float
    error: RpcError
    download: bool

    def concerns(self, turn: Turn[object]) -> bool:
        """Whether somebody waited for this load, and would have done nothing else."""
        return turn.asked_at < self.at and (self.download or not turn.download)


class ModelManager:
    """Does the work that needs one model, on one thread, a turn at a time.

    The thread lives as long as the engine: an engine that dies with its parent, does so when the
    *thread* that started it ends. All state is guarded by `changed`, which managers share.
    """

    def __init__(
        self, model: Model, host: Host, changed: threading.Condition, log: Log
    ) -> None:
        self.model = model
        self.engine: EngineProcess | None = None
        self.loaded = False
        self.running = False
        """A turn is being taken, or the engine is being ended."""
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
        self._turns: Turns[Turn[object]] = Turns()
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
    def busy(self) -> bool:
        """Whether a job uses it, or waits for it."""
        return self.running or self.leases > 0 or len(self._turns) > 0

    @property
    def present(self) -> bool:
        """Whether it takes memory, or will at once."""
        return self.engine is not None or self.reserved > 0

    def load(self, caller: Caller, *, download: bool, polite: bool = False) -> float:
        """Have the engine hold the model; return the seconds that took. Only within a turn.

        With `download`, it is fetched when it is not cached, or damaged. A polite one gives up, without an error, where another job's model would have to go.
        """
        began = time.monotonic()
        if self._usable(caller):
            return time.monotonic() - began
        shared = Shared(lambda: self._interested(caller))
        with self.changed:
            self._sharing = (caller, shared)
        caller.on_cancel(self._reconsider)
        try:
            if self.host.admit(self, shared, polite=polite):
                self._backoff(shared)
                self._load(shared, download)
        except RpcError as error:
            if error.kind != "cancelled":
                self._failure = _Failure(time.monotonic(), error, download)
            raise
        finally:
            with self.changed:
                self._sharing = None
                self.reserved = 0
            caller.on_cancel(None)
        caller.raise_if_cancelled()
        return time.monotonic() - began

    def call(self, caller: Caller, method: str, params: bytes) -> Json:
        """Call the engine; only within a turn."""
        if not self.engine or not self.engine.alive:
            self.engine = self.host.start(self.model)
            self.loaded = self.stale = False
        try:
            result = self.engine.call(method, params, caller)
        except RpcError as error:
            if error.kind == "engine_crashed":
                self._crashes += 1
                self._crashed_at = time.monotonic()
            raise
        if method not in ("load", "ping"):
            self._crashes = 0
        return result

    def submit(self, turn: Turn[T], priority: Priority) -> None:
        """Let work wait for its turn."""
        with self.changed:
            self._turns.put(turn, priority)  # type: ignore[arg-type]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="manager", daemon=True)
                self._thread.start()
            self.changed.notify_all()

    def withdrawn(self) -> None:
        """Somebody who waited does so no more."""
        self._reconsider()

    def end(self) -> None:
        """End the engine, so that its memory is free; whoever calls has set `running`."""
        if self.engine:
            self.engine.stop()
        with self.changed:
            self.engine = None
            self.loaded = self.running = False
            self.changed.notify_all()

    def close(self) -> None:
        """End the engine and what it would leave behind; from any thread."""
        if self.engine:
            self.engine.stop(_CLOSE_SECONDS)

    def _usable(self, caller: Caller) -> bool:
        """Whether the engine holds the model, and lives."""
        if self.engine and self.stale:
            self.engine.stop()
        if not self.engine or not self.engine.alive:
            return False
        if not self.loaded:
            return self.helper
        try:
            # The system takes a moment to tell of a process that was killed.
            self.engine.call("ping", b"{}", caller)
        except RpcError as error:
            if error.kind != "engine_crashed":
                raise
            return False
        return True

    def _load(self, shared: Shared, download: bool) -> None:
        model = self.model
        if not model.params:
            self.engine = self.host.start(model)
            self.stale = False
            return
        shared.report(ProgressReport(stage="load", message=model.name))
        try:
            self.call(shared, "load", model.params)
        except RpcError as error:
            healable = error.kind in ("model_not_cached", "model_invalid")
            if not (healable and download and model.source):
                raise
            self.log.info(f"{model.name}: {error.message} Fetching it.")
            self.host.fetch(shared, model.source)
            shared.report(ProgressReport(stage="load", message=model.name))
            self.call(shared, "load", model.params)
        self.loaded = True
        self.loads += 1

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

    def _reconsider(self) -> None:
        """Stop a load that nobody waits for any more."""
        with self.changed:
            sharing = self._sharing
        if sharing and not self._interested(sharing[0]):
            sharing[1].stop()

    def _work(self) -> None:
        while True:
            with self.changed:
                while self.running or not self._turns:
                    if not self.engine and not self.running:
                        self._thread = None
                        return
                    self.changed.wait()
                turn = self._turns.get()
                self.running = True
            failed, self._failure = self._failure, None
            if failed and failed.concerns(turn):
                self._failure = failed
                turn.fail(RpcError.from_object(failed.error.to_object()))
            else:
                turn.take()
            with self.changed:
                self.running = False
                self.idle_since = time.monotonic()
                self.changed.notify_all()
            self.host.rested(self)


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
        self._manager = manager
        self._download = download
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

        def take_turn() -> None:
            try:
                if not job.finished:
                    job.succeed(work())
            except BaseException as error:
                job.fail(failure(error, job.method, self._manager.log))
            finally:
                self.release()

        turn = _AnsweringTurn(job, take_turn, self.release, self._download)
        job.on_cancel(self._manager.withdrawn)
        self._manager.submit(turn, self._priority)
        return LATER

    def run(self, caller: Caller, work: Callable[[], T]) -> T:
        """Do `work` when its turn comes, and wait for it; from any thread but the manager's."""
        turn = Turn(caller, work, download=self._download)

        def withdraw() -> None:
            turn.withdraw()
            self._manager.withdrawn()

        caller.on_cancel(withdraw)
        self._manager.submit(turn, self._priority)
        return turn.outcome()

    def load(self, caller: Caller) -> float:
        """Have the model loaded; return the seconds that took. Only within work."""
        return self._manager.load(caller, download=self._download)

    def preload(self, caller: Caller) -> float:
        """Load the model early, unless that takes memory that another job's model has."""
        return self._manager.load(caller, download=self._download, polite=True)

    def call(self, caller: Caller, method: str, params: bytes) -> Json:
        """Call the engine; only within work."""
        return self._manager.call(caller, method, params)

    def release(self) -> None:
        """Give it back; more than once does no harm."""
        manager = self._manager
        with manager.changed:
            if not self._held:
                return
            self._held = False
            manager.leases -= 1
            manager.keep_alive = self._keep_alive
            manager.idle_since = time.monotonic()
            manager.changed.notify_all()
        manager.host.rested(manager)


class _AnsweringTurn(Turn[None]):
    """A turn that nobody waits for: what comes of it answers a job."""

    def __init__(
        self, job: Job, work: Callable[[], None], release: Callable[[], None], download: bool
    ) -> None:
        super().__init__(job, work, download=download)
        self._job = job
        self._release = release

    def fail(self, error: RpcError) -> None:
        """Answer with an error in place of the work."""
        self._job.fail(error)
        self._release()
