"""Child processes side by side, each for a limited time; however one ends, that is an outcome."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Final, NamedTuple

from protocol.errors import RpcError
from worker.probe.redaction import Redactor
from worker.probe.surroundings import token_files
from worker.system.child_environment import QUIET
from worker.system.cpu import available_threads
from worker.system.scratch import Scratch

_SIDE_BY_SIDE: Final = 4
"""Imports at once, at most: several of them take a GB each."""
_POLL_SECONDS: Final = 0.1
_READ_BYTES: Final = 64 * 1024
_LAST_WORDS_SECONDS: Final = 1.0
"""For a child that was told to abort, to write its stack."""
_TAIL_BYTES: Final = 1024 * 1024
"""That are kept of what a child writes."""


class Ended(NamedTuple):
    """How a child ended, and the end of what it wrote, secrets and all."""

    code: int | None
    """Exit code or negative signal; None when it was given up."""
    output: str
    errors: str


class Children:
    """Runs children; use it as a context manager, at whose end none is left.

    `environment` comes on top of our own. `check` is called often while children run; what it
    raises ends them all.
    """

    def __init__(
        self, environment: Mapping[str, str], timeout: float, check: Callable[[], None]
    ) -> None:
        self._environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **QUIET, **environment}
        self.redactor = Redactor(self._environment, token_files(self._environment))
        self._timeout = timeout
        self._check = check
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._scratch: Scratch | None = None
        try:  # what a child leaves behind that was ended, goes with this
            self._scratch = Scratch("probe")
        except RpcError:  # that there is no room for it is a finding of its own
            return
        place = str(self._scratch.path)
        self._environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), place)

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_all()
        if self._scratch:
            self._scratch.remove()

    def _end_all(self) -> None:
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _kill(process)

    def side_by_side(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run `tasks`, each of which runs a child, in threads."""
        if not tasks:
            return
        limit = min(available_threads(), _SIDE_BY_SIDE, len(tasks))
        pool = ThreadPoolExecutor(limit, thread_name_prefix="probe")
        futures = [pool.submit(task) for task in tasks]
        waiting: set[Future[None]] = set(futures)
        try:
            while waiting:
                self._check()
                _, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
        except BaseException:
            self._end_all()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        for future in futures:
            future.result()

    def run(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Ended:
        """Run a command to its end. Raises `OSError` when it cannot be started."""
        with self._lock:
            if self._closed:
                return Ended(None, "", "")
            process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment | dict(environment or {}),
                **_NEW_GROUP,
            )
            self._running.add(process)
        output, errors = _Tail(process.stdout), _Tail(process.stderr)
        try:
            process.wait(self._timeout)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            code = None
            _abort(process)
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
        return Ended(code, output.text(), errors.text())


class _Tail:
    """Reads a pipe to its end from a thread of its own, and keeps the last of it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = bytearray()
        self._cut = False
        self._thread = threading.Thread(target=self._read, name="probe tail", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """What was read. A process that the child left behind may hold the pipe open."""
        self._thread.join(_LAST_WORDS_SECONDS)
        kept = bytes(self._kept)
        if self._cut:  # not within a line, where a secret could be left in part
            kept = kept.partition(b"\n")[2]
        return kept.decode("utf-8", "backslashreplace")

    def _read(self) -> None:
        with self._pipe:
            while data := self._pipe.read(_READ_BYTES):
                self._kept += data
                if len(self._kept) > 2 * _TAIL_BYTES:
                    del self._kept[:-_TAIL_BYTES]
                    self._cut = True


if sys.platform == "win32":
    _NEW_GROUP: Final[dict[str, Any]] = {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    }

    def _abort(process: subprocess.Popen[bytes]) -> None:
        """Nothing there makes a process tell where it hangs."""

    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.kill()
            _bury(process)

else:
    _NEW_GROUP: Final[dict[str, Any]] = {"process_group": 0}

    def _abort(process: subprocess.Popen[bytes]) -> None:
        """End a process that hangs; its last words are where it did."""
        process.send_signal(signal.SIGABRT)
        _bury(process)

    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _bury(process)


def _bury(process: subprocess.Popen[bytes]) -> None:
    """Wait a little for the end of a process: one that is stuck in a driver cannot be ended."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WORDS_SECONDS)
