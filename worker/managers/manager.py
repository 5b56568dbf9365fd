"""A model manager: one engine process with one model, and the work that waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.handler import failure
from worker.jobs import LATER, Caller, Job, Json, Later
from worker.log import Log

if TYPE_CHECKING:
    from worker.engines.process import EngineProcess

T = TypeVar("T")

_CLOSE_SECONDS: Final = 0.5
"""How long an engine that was killed may take to be gone."""


class Model(NamedTuple):
    """A model to load into an engine of `kind`."""

    kind: str
    name: str
    key: bytes
    """What tells it from others: two requests with the same key share the loaded model."""
    params: bytes
    """Params of the engine's `load`, as JSON."""


class ModelManager:
    """Does work that needs its engine on one thread, in the order it came.

    The thread lives as long as the process: an engine that dies with its parent, does so when the
    *thread* that started it ends.
    """

    def __init__(self, start: Callable[[], EngineProcess], log: Log) -> None:
        self._start = start
        self._log = log
        self._waiting: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._engine: EngineProcess | None = None
        self._loaded: bytes | None = None
        self._stale = False

    def answer(self, job: Job, work: Callable[[], Json]) -> Later:
        """Do `work` when its turn comes, and answer `job` with what it returns or raises."""

        def take_turn() -> None:
            if job.finished:
                return
            try:
                job.succeed(work())
            except BaseException as error:
                job.fail(failure(error, job.method, self._log))

        self._submit(take_turn)
        return LATER

    def run(self, caller: Caller, work: Callable[[], T]) -> T:
        """Do `work` when its turn comes, and wait for it; from any thread but the manager's."""
        turn = _Turn(work)
        caller.on_cancel(turn.withdraw)
        self._submit(turn.take)
        return turn.outcome()

    def load(self, caller: Caller, model: Model) -> float:
        """Have the engine hold `model`, and no other; return the seconds that took.

        Only within work. Freed memory returns to the system with the process alone: another model
        is for another process.
        """
        began = time.monotonic()
        if self._engine and (self._stale or self._loaded not in (model.key, None)):
            self._engine.stop()
        if self._loaded != model.key or not self._answers(caller):
            caller.report(ProgressReport(stage="load", message=model.name))
            self.call(caller, "load", model.params)
            self._loaded = model.key
        return time.monotonic() - began

    def call(self, caller: Caller, method: str, params: bytes) -> Json:
        """Call the engine; only within work."""
        if not self._ready():
            self._loaded = None
            self._stale = False
            self._engine = self._start()
        assert self._engine
        return self._engine.call(method, params, caller)

    def restart(self) -> None:
        """Use a new engine process from the next load on."""
        self._stale = True

    def close(self) -> None:
        """End the engine and what it would leave behind; from any thread."""
        if self._engine:
            self._engine.stop(_CLOSE_SECONDS)

    def _answers(self, caller: Caller) -> bool:
        """Whether the engine lives: the system takes a moment to tell of one that was killed."""
        if not self._ready():
            return False
        try:
            self.call(caller, "ping", b"{}")
        except RpcError as error:
            if error.kind != "engine_crashed":
                raise
            return False
        return True

    def _ready(self) -> bool:
        return self._engine is not None and self._engine.alive

    def _submit(self, work: Callable[[], None]) -> None:
        with self._wake:
            self._waiting.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="manager", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._waiting:
                    self._wake.wait()
                work = self._waiting.popleft()
            work()


class _Turn(Generic[T]):
    """Work that somebody waits for, and may take back until it has begun."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._begun = False
        self._done = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def take(self) -> None:
        """Do it, unless it was taken back."""
        with self._lock:
            if self._done.is_set():
                return
            self._begun = True
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error
        self._done.set()

    def withdraw(self) -> None:
        """Take it back: whoever waits is told that it was cancelled."""
        with self._lock:
            if not self._begun:
                self._error = RpcError("cancelled")
                self._done.set()

    def outcome(self) -> T:
        """Wait, and return or raise what came of it."""
        self._done.wait()
        if self._error:
            raise self._error
        return self._result[0]
