"""An engine process seen from the front: it starts, takes calls, is cancelled, and ends.

The front sends JSON-RPC lines and reads frames (see `worker.session.frames`), whose payloads it
forwards as the bytes they are: a large result costs no parsing. Whatever an engine does, a call
ends with its answer or with one typed error. An engine that writes anything but frames, or that
answers what nobody asked, is killed: its next answer could not be found.
"""

from __future__ import annotations

import io
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from protocol import envelope
from protocol.errors import ErrorObject, RpcError
from worker.session.frames import PARTIAL, REPORT, RESULT, Frame, FrameReader
from worker.session.job import PAUSED, Caller, Json
from worker.system import child
from worker.system.log import LEVEL_VARIABLE, Log
from worker.system.program import program
from worker.system.scratch import Scratch
from worker.system.stdio import READ_SIZE

STDERR_TAIL_LINES: Final = 20
DEFAULT_CANCEL_GRACE: Final = 0.8
"""Seconds that an engine has to stop a cancelled job before it is killed."""

_ENDING: Final = ("cancelled", "shutting_down")
"""The errors of an engine that somebody told to stop its work, or to end."""
_kind_of: Final = itemgetter(0)


class _Pending:
    """A call that waits for its reply."""

    def __init__(self, number: int, caller: Caller) -> None:
        self.number = number
        self.caller = caller
        self.replied = threading.Event()
        self.reply: Frame | None = None
        """None when the engine ended first."""


class EngineProcess:
    """A child process that works on one call at a time; a paused call lets others go first.

    `command` is the engine's command line; it must speak as `worker.engines.host` does.
    `environment` comes on top of our own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Log,
        *,
        cancel_grace: float = DEFAULT_CANCEL_GRACE,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._log = log
        self._cancel_grace = cancel_grace
        self._calls = 0
        self._pending: _Pending | None = None
        self._sending = threading.Lock()
        self._settling = threading.Lock()
        """Held while a call is answered, or its engine is killed because it was not."""
        self._tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)
        self._scratch = Scratch("engine")
        try:
            self._process = child.start(
                command, {**environment, LEVEL_VARIABLE: log.finest}, self._scratch.path
            )
        except OSError as error:
            self._scratch.remove()
            raise RpcError("engine_start_failed", f"{name} could not start: {error}.") from None
        log.info(f"{name} started as process {self._process.pid}")
        self._ended = threading.Event()
        self._stderr_reader: threading.Thread | None = None
        try:
            self._thread(self._kill_descendants)
            self._stderr_reader = self._thread(self._read_stderr)
            self._thread(self._read_stdout)
        except RuntimeError as error:  # the system has no more threads
            self.kill()
            self._process.wait()
            self._close()
            raise RpcError("engine_start_failed", f"{name} could not start: {error}.") from None

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        pid: int = self._process.pid
        return pid

    @property
    def alive(self) -> bool:
        """Whether the engine takes calls. Asks the system: our own threads may learn it later."""
        return self._process.poll() is None and not self._ended.is_set()

    def call(
        self,
        method: str,
        params: bytes,
        caller: Caller,
        while_paused: Callable[[], None] = lambda: None,
        patience: float | None = None,
    ) -> Json:
        """Call `method` on behalf of `caller` and wait; return the result as JSON.

        The caller gets the progress that the engine reports meanwhile. When the call pauses,
        `while_paused` may make other calls before it goes on. An engine that does not answer within
        `patience` seconds is killed. Raises `RpcError`: what the engine answered, engine_crashed,
        or cancelled if the caller was.
        """
        caller.raise_if_cancelled()
        result = self._call(method, params, caller, patience)
        while result == PAUSED:
            while_paused()
            result = self._call("resume", b"{}", caller)
        return result

    def pause(self) -> None:
        """Ask the engine to pause the call that it works on, as soon as it can."""
        # On a thread: an engine that hangs may not read, and the caller must not wait for it.
        with suppress(RuntimeError):  # no thread is left: then others wait longer
            self._thread(lambda: self._send(envelope.notification("$/pause", b"{}")))

    def notify(self, method: str, params: bytes) -> None:
        """Send a notification. It waits while the engine does not read."""
        self._send(envelope.notification(method, params))

    def _call(
        self, method: str, params: bytes, caller: Caller, patience: float | None = None
    ) -> Json:
        self._calls += 1
        pending = self._pending = _Pending(self._calls, caller)
        try:
            if self._ended.is_set():  # before `_finish` could see this call
                raise self._exit_error(caller)
            self._send(envelope.request(b"%d" % pending.number, method, params))
            caller.on_cancel(lambda by: self._cancel(pending))
            if not pending.replied.wait(patience):
                self._log.error(f"{self.name} does not answer {method}: killing it")
                self.kill()
                pending.replied.wait()
        finally:
            caller.on_cancel(None)
            self._pending = None
        if not pending.reply:
            raise self._exit_error(caller)
        kind, _, payload = pending.reply
        if kind == RESULT:
            return Json(payload)
        error = RpcError.from_object(msgspec.json.decode(b"".join(payload), type=ErrorObject))
        if error.kind not in _ENDING:
            raise error
        caller.raise_if_cancelled()
        # We did not ask the engine to stop; another process did, and the job is not to blame.
        if not self._ended.wait(self._cancel_grace):
            self.stop()
        raise self._exit_error(caller)

    def kill(self) -> None:
        """Kill the process, and everything that it started, now."""
        if self._process.poll() is None:
            child.kill_group(self._process)

    def stop(self, timeout: float | None = None) -> None:
        """Kill the process and wait, for `timeout` seconds at most, until its memory is free."""
        self.kill()
        self._ended.wait(timeout)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._sending:
                self._process.stdin.write(line)
        except (OSError, ValueError):  # ValueError: closed already
            pass  # it has ended, and the reading thread tells the caller

    def _cancel(self, pending: _Pending) -> None:
        """Ask the engine to stop; kill it if it has not done so after the grace time."""

        def insist(grace: float = self._cancel_grace) -> None:
            pending.replied.wait(grace)
            with self._settling:  # so that it is never killed while it works on the next call
                if not pending.replied.is_set():
                    self._log.info(f"{self.name} did not stop in {grace} s: killing it")
                    self.kill()

        try:
            self._thread(insist)
        except RuntimeError:  # without a thread, nothing could kill it later
            insist(0)
        self._send(envelope.notification("$/cancelRequest", b'{"id":%d}' % pending.number))

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        reader = FrameReader()
        while True:
            try:
                data = os.read(fd, READ_SIZE)
            except OSError:
                data = b""
            if not data:
                break
            try:
                self._take(reader.feed(data))
            except Exception as error:
                # Nothing behind this can be read, and a caller may wait for it.
                self._log.error(f"killing {self.name} for what it wrote: {error!r}")
                break
        self._finish()

    def _take(self, frames: list[Frame]) -> None:
        """Hand over frames in their order, neighbouring parts of a result in one go."""
        pending = self._pending
        for kind, group in groupby(frames, _kind_of):
            if kind == PARTIAL and pending:
                pending.caller.forward_partials([b"".join(payload) for _, _, payload in group])
            elif kind == REPORT and pending:
                for _, _, payload in group:
                    pending.caller.forward_report(b"".join(payload))
            elif kind not in (PARTIAL, REPORT):
                for frame in group:
                    self._take_reply(frame)

    def _take_reply(self, frame: Frame) -> None:
        pending = self._pending
        if not pending or pending.number != frame[1]:
            raise ValueError(f"an answer to call {frame[1]}, which nobody made")
        with self._settling:
            pending.reply = frame
            pending.replied.set()

    def _read_stderr(self) -> None:
        # Unbuffered, as it is for us; not through another descriptor: there may be none left.
        with io.BufferedReader(cast(io.RawIOBase, self._process.stderr)) as lines:
            for raw in lines:
                line = raw.decode("utf-8", "backslashreplace").rstrip()
                self._tail.append(line)
                self._log.relay(line)

    def _kill_descendants(self) -> None:
        """When the engine has ended, kill what it started: that may hold its pipes open."""
        child.wait_without_reaping(self._process)
        child.kill_group(self._process)

    def _finish(self) -> None:
        """The engine's output has ended or is broken: kill the engine, and tell the caller."""
        self.kill()
        self._process.wait()
        self._close()
        self._log.info(f"{self.name} ended: {_cause_of_death(self._process.returncode)[0]}")
        self._ended.set()
        pending = self._pending
        if pending:
            pending.replied.set()

    def _close(self) -> None:
        """Close the pipes and delete the temporary files."""
        streams = [self._process.stdin, self._process.stdout]
        if self._stderr_reader:  # closes its pipe; the last lines tell why the engine died
            self._stderr_reader.join(1)
        else:
            streams.append(self._process.stderr)
        for stream in streams:
            assert stream is not None
            stream.close()
        self._scratch.remove()

    def _exit_error(self, caller: Caller) -> RpcError:
        """Why no answer comes: the caller was cancelled, or else how the engine ended."""
        caller.raise_if_cancelled()
        sentence, details = _cause_of_death(self._process.returncode)
        return RpcError(
            "engine_crashed",
            f"The engine process {sentence} while it worked on the request.",
            engine=self.name,
            stderrTail=list(self._tail),
            **details,
        )

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name=self.name, daemon=True)
        thread.start()
        return thread


def engine_command(kind: str) -> list[str]:
    """The command line that starts an engine of this program."""
    return [*program(), "engine", kind, "--parent", str(os.getpid())]


_HEEDED: Final = (128 + signal.SIGTERM, 128 + signal.SIGINT)
"""Exit codes of an engine that heeded a signal; see `worker.session.server`."""


def _cause_of_death(returncode: int) -> tuple[str, dict[str, Any]]:
    """How a process ended: as a sentence's middle, and as members of `error.data`."""
    if returncode in _HEEDED:
        returncode = 128 - returncode
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        return f"was ended by {name}", {"signal": name}
    if returncode > 0xFFFF:  # Windows: an NTSTATUS, such as 0xC0000005 for an access violation
        return f"ended with status 0x{returncode:08X}", {"exitCode": returncode}
    return f"exited with code {returncode}", {"exitCode": returncode}
