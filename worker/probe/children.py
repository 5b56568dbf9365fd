"""Runs child processes in parallel, each with a time limit, and returns how each one ended.

A child may crash, hang or fill its pipes without harming the probe: threads drain its pipes and
keep only their end, a hanging child is aborted so that it writes its stack, and leaving the context
kills every child that remains.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import IO, Final, NamedTuple

from protocol.errors import RpcError
from worker.probe.redaction import Redactor
from worker.probe.surroundings import token_files
from worker.system import child
from worker.system.child_environment import QUIET
from worker.system.cpu import available_threads
from worker.system.scratch import Scratch

_SIDE_BY_SIDE: Final = 4
"""At most this many imports at once: several of them take a GB each."""
_POLL_SECONDS: Final = 0.1
_READ_BYTES: Final = 64 * 1024
_END_SECONDS: Final = 1.0
"""How long to wait for a child that was killed, or was aborted and writes its stack."""
_TAIL_BYTES: Final = 1024 * 1024
"""How much of a child's output is kept."""


class Ended(NamedTuple):
    """How a child ended, and the end of its output, secrets not yet redacted."""

    code: int | None
    """Exit code or negative signal; None if it hung and was aborted."""
    output: str
    errors: str


class Children:
    """Runs children; a context manager that kills the remaining ones on exit.

    `environment` extends this process's environment. `check` is called often while children run; if
    it raises, all of them are killed.
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
        try:
            self._scratch = Scratch("probe")
        except RpcError:  # a full disk is a finding of its own
            pass

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
            _end(process)

    def side_by_side(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run `tasks`, each of which runs one child, in parallel threads."""
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
        """Run a command until it ends or times out. Raises `OSError` if it cannot start."""
        with self._lock:
            if self._closed:
                return Ended(None, "", "")
            process = child.start(
                command,
                self._environment | dict(environment or {}),
                self._scratch.path if self._scratch else None,
                stdin=subprocess.DEVNULL,
            )
            self._running.add(process)
        output, errors = _Tail(process.stdout), _Tail(process.stderr)
        try:
            process.wait(self._timeout)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            code = None
            child.abort(process)
            child.reap(process, _END_SECONDS)
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
        return Ended(code, output.text(), errors.text())


class _Tail:
    """Reads a pipe to its end in its own thread, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = bytearray()
        self._cut = False
        self._thread = threading.Thread(target=self._read, name="probe tail", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The kept text. Does not wait for long: a grandchild may hold the pipe open."""
        self._thread.join(_END_SECONDS)
        kept = bytes(self._kept)
        if self._cut:  # drop the partial line: half a secret could not be redacted
            kept = kept.partition(b"\n")[2]
        return kept.decode("utf-8", "backslashreplace")

    def _read(self) -> None:
        with self._pipe:
            while data := self._pipe.read(_READ_BYTES):
                self._kept += data
                if len(self._kept) > 2 * _TAIL_BYTES:
                    del self._kept[:-_TAIL_BYTES]
                    self._cut = True


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        child.kill_group(process)
        child.reap(process, _END_SECONDS)
