"""Downloads: each in a process of its own; requests for the same model share one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.errors import CancelledBy, RpcError
from worker.managers import memory
from worker.managers.callers import SharedCaller
from worker.session.job import Caller, Json

if TYPE_CHECKING:
    from worker.engines.contract import FetchParams
    from worker.managers.engine_process import EngineProcess

_SIDE_BY_SIDE: Final = 2
_POLL_SECONDS: Final = 0.1

_Key = tuple[str, str, str | None]


class Downloads:
    """Runs a few at a time. Ending a process loses nothing: a later download continues."""

    def __init__(self, start: Callable[[], EngineProcess]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._open: dict[_Key, _Download] = {}
        self._free = threading.Semaphore(_SIDE_BY_SIDE)

    def fetch(self, caller: Caller, source: FetchParams) -> Json:
        """Download and verify a model; return the hub engine's answer.

        If the same model is already being downloaded, wait for that download.
        """
        key = (source.task, source.repository, source.revision)
        with self._lock:
            download = self._open.get(key)
            if not download or not download.join(caller):
                download = _Download(source)
                download.join(caller)
                threading.Thread(
                    target=self._run, args=(key, download), name="download", daemon=True
                ).start()
                self._open[key] = download
        return download.outcome(caller)

    def fetching(self, repository: str) -> bool:
        """Whether a repository is being downloaded."""
        with self._lock:
            return any(key[1] == repository for key in self._open)

    def resident(self) -> int:
        """Resident memory of the download processes, in bytes."""
        with self._lock:
            return sum(download.resident() for download in self._open.values())

    def close(self) -> None:
        """End all downloads; a later one continues with the bytes that have arrived."""
        with self._lock:
            downloads = list(self._open.values())
        for download in downloads:
            download.close()

    def _run(self, key: _Key, download: _Download) -> None:
        try:
            while not self._free.acquire(timeout=_POLL_SECONDS):
                download.shared.raise_if_cancelled()
            try:
                download.run(self._start)
            finally:
                self._free.release()
        except BaseException as error:
            download.fail(error)
        finally:
            with self._lock:
                if self._open.get(key) is download:
                    del self._open[key]


class _Download:
    """One download, and the callers that wait for it."""

    def __init__(self, source: FetchParams) -> None:
        self.shared = SharedCaller(self._waiting)
        self._source = source
        self._callers: list[Caller] = []
        self._engine: EngineProcess | None = None
        self._changed = threading.Condition()
        self._result: Json | None = None
        self._error: BaseException | None = None

    def join(self, caller: Caller) -> bool:
        """Add a caller; False when the download is over, or being stopped."""
        with self._changed:
            if self._result or self._error or self.shared.cancelled:
                return False
            self._callers.append(caller)
            return True

    def run(self, start: Callable[[], EngineProcess]) -> None:
        """Download in a process of its own, on the thread that the process dies with."""
        self.shared.raise_if_cancelled()
        self._engine = engine = start()
        try:
            result = engine.call("download", msgspec.json.encode(self._source), self.shared)
        finally:
            engine.stop()
        with self._changed:
            self._result = result
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Give the waiting callers an error."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def outcome(self, caller: Caller) -> Json:
        """Wait for the result or error; a cancelled caller alone gets the error cancelled."""
        caller.on_cancel(self._reconsider)
        try:
            with self._changed:
                while not (self._result or self._error or caller.cancelled):
                    self._changed.wait()
            caller.raise_if_cancelled()
            if isinstance(self._error, RpcError):
                raise RpcError.from_object(self._error.to_object())
            if self._error:
                raise self._error
            assert self._result
            return self._result
        finally:
            caller.on_cancel(None)

    def resident(self) -> int:
        """Resident memory of the process, in bytes."""
        engine = self._engine
        return memory.resident(engine.pid) if engine and engine.alive else 0

    def close(self) -> None:
        """End the process."""
        if self._engine:
            self._engine.stop(_POLL_SECONDS)

    def _waiting(self) -> list[Caller]:
        with self._changed:
            return [caller for caller in self._callers if not caller.cancelled]

    def _reconsider(self, by: CancelledBy) -> None:
        """A caller was cancelled: stop if it was the last."""
        with self._changed:
            if not self._waiting():
                self.shared.stop(by)
            self._changed.notify_all()
