"""An engine process seen from the front: started, called, cancelled, and mourned.

The engine's replies and notifications are forwarded as the bytes they are, so that a large result
costs the front no parsing.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec

from protocol import envelope
from protocol.errors import ErrorObject, RpcError
from protocol.progress import REPORT_MARK
from worker.session.job import PAUSED, Caller, Json
from worker.session.writer import Writer
from worker.system.child_environment import QUIET
from worker.system.log import LEVEL_VARIABLE, Log
from worker.system.program import program
from worker.system.scratch import Scratch
from worker.system.stdio import READ_SIZE

STDERR_TAIL_LINES: Final = 20
DEFAULT_CANCEL_GRACE: Final = 0.8
"""Seconds that an engine has to stop a cancelled job before it is ended."""

# Our engines write their lines in just these forms; see protocol.envelope and worker.session.job.
_MESSAGE: Final = b'{"jsonrpc":"2.0",'
_ID: Final = b'{"jsonrpc":"2.0","id":'
_NOTIFICATION: Final = b'{"jsonrpc":"2.0","method":"$/'
_PROGRESS: Final = b'{"jsonrpc":"2.0","method":"$/progress","params":{"token":'
_RESULT: Final = b',"result":'
_ERROR: Final = b',"error":'

_ENDING: Final = ("cancelled", "shutting_down")
"""What an engine answers that was told to stop its work, or to end."""


class _Pending:
    """A call that waits for its reply."""

    def __init__(self, id_: bytes, caller: Caller) -> None:
        self.id = id_
        self.caller = caller
        self.replied = threading.Event()
        self.reply: tuple[bytes, ...] = ()
        """Chunks of the reply line behind the id; none when the engine ended first."""


class EngineProcess:
    """A child process that works on one call at a time; one that is paused lets others go first.

    `command` is the engine's command line; it must speak as `worker.engines.host` does.
    `environment` comes on top of our own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        writer: Writer,
        log: Log,
        *,
        cancel_grace: float = DEFAULT_CANCEL_GRACE,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._writer = writer
        self._log = log
        self._cancel_grace = cancel_grace
        self._calls = 0
        self._pending: _Pending | None = None
        self._sending = threading.Lock()
        self._settling = threading.Lock()
        """Held while a call is answered, or its engine is ended because it was not."""
        self._tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)
        # Libraries leave files behind in a process that is ended: these go with it.
        self._scratch = Scratch("engine")
        place = str(self._scratch.path)
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={
                    **os.environ,
                    **QUIET,
                    **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), place),
                    **environment,
                    LEVEL_VARIABLE: log.finest,
                },
                **_NEW_GROUP,
            )
        except OSError as error:
            self._scratch.remove()
            raise RpcError("engine_start_failed", f"{name} could not start: {error}.") from None
        log.info(f"{name} started as process {self._process.pid}")
        self._ended = threading.Event()
        self._stderr_reader: threading.Thread | None = None
        try:
            self._thread(self._end_kin)
            self._stderr_reader = self._thread(self._read_stderr)
            self._thread(self._read_stdout)
        except RuntimeError as error:  # the system has no more of them
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
        """Whether calls can be made: asked of the system, not of the thread that mourns it."""
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

        Notifications that the engine sends meanwhile go to the caller. Where the call pauses,
        `while_paused` may make other calls before it goes on. An engine that does not answer within
        `patience` seconds is ended. Raises `RpcError`: what the engine answered, engine_crashed, or
        cancelled where the caller was.
        """
        caller.raise_if_cancelled()
        result = self._call(method, params, caller, patience)
        while result == PAUSED:
            while_paused()
            result = self._call("resume", b"{}", caller)
        return result

    def pause(self) -> None:
        """Have the call that is being worked on pause, as soon as its engine can."""
        # Not here: an engine that hangs may not read, and whoever asks must not wait for it.
        with suppress(RuntimeError):  # no thread is left for it: then others wait longer
            self._thread(lambda: self._send(envelope.notification("$/pause", b"{}")))

    def _call(
        self, method: str, params: bytes, caller: Caller, patience: float | None = None
    ) -> Json:
        self._calls += 1
        pending = self._pending = _Pending(b"%d" % self._calls, caller)
        try:
            if self._ended.is_set():  # before `_finish` could see this call
                raise self._obituary(caller)
            self._send(envelope.request(pending.id, method, params))
            caller.on_cancel(lambda by: self._cancel(pending))
            if not pending.replied.wait(patience):
                self._log.error(f"{self.name} does not answer {method}: ending it")
                self.kill()
                pending.replied.wait()
        finally:
            caller.on_cancel(None)
            self._pending = None
        if not pending.reply:
            raise self._obituary(caller)
        try:
            return _result_of(pending.reply)
        except RpcError as error:
            if error.kind not in _ENDING:
                raise
        caller.raise_if_cancelled()
        # We did not ask for that: whoever told the engine to end did, and the job is not to blame.
        if not self._ended.wait(self._cancel_grace):
            self.stop()
        raise self._obituary(caller)

    def kill(self) -> None:
        """End the process, and what it may have started, now."""
        if self._process.poll() is None:
            _kill_tree(self._process)

    def stop(self, timeout: float | None = None) -> None:
        """End the process and wait, for `timeout` seconds at most, until its memory is free."""
        self.kill()
        self._ended.wait(timeout)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._sending:
                self._process.stdin.write(line)
        except (OSError, ValueError):  # ValueError: closed already
            pass  # it has ended; whoever waits is told by the reading thread

    def _cancel(self, pending: _Pending) -> None:
        """Ask the engine to stop, and end it when it has not done so after the grace time."""

        def insist(grace: float = self._cancel_grace) -> None:
            pending.replied.wait(grace)
            with self._settling:  # so that it is never ended while it works for the next
                if not pending.replied.is_set():
                    self._log.info(f"{self.name} did not stop in {grace} s: ending it")
                    self.kill()

        try:
            self._thread(insist)
        except RuntimeError:  # nobody could see to it later
            insist(0)
        self._send(envelope.notification("$/cancelRequest", b'{"id":%b}' % pending.id))

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        held: list[bytes] = []  # chunks of the line that is not complete yet
        while True:
            try:
                data = os.read(fd, READ_SIZE)
            except OSError:
                data = b""
            if not data:
                break
            try:
                held = self._take(held, data)
            except Exception as error:
                # A message was lost, and might be waited for without end.
                self._log.error(f"{self.name} is ended for what it wrote: {error!r}")
                break
        self._finish()

    def _take(self, held: list[bytes], data: bytes) -> list[bytes]:
        """Take the lines that `data` completes; return the chunks of one that is not complete."""
        end = data.rfind(b"\n") + 1
        if not end:
            held.append(data)
            return held
        if held:
            first = data.index(b"\n") + 1
            held.append(data[:first])
            self._take_long(held)
            data, end = data[first:], end - first
        if end:
            self._take_block(data[:end])
        return [data[end:]] if end < len(data) else []

    def _take_block(self, block: bytes) -> None:
        """Take whole lines; as one piece when all are notifications and the client keeps up."""
        pending = self._pending
        lines = block.count(b"\n")
        plain = (
            block.startswith(_NOTIFICATION)
            and lines == 1 + block.count(b"\n" + _NOTIFICATION)
            and lines == block.count(_MESSAGE) == block.count(b"}\n")
        )
        if plain and pending and not self._writer.congested:
            pending.caller.forward(block)
            return
        for line in block.splitlines(keepends=True):
            self._take_line(line)

    def _take_long(self, chunks: list[bytes]) -> None:
        """Take a line that came in several chunks, without joining those of a large result."""
        if chunks[0].startswith(_ID) and len(chunks[0]) >= 128:
            if chunks[-1] == b"\n":
                chunks[-2:] = [chunks[-2] + b"\n"]
            if not (chunks[-1].endswith(b"}\n") and self._take_reply(chunks)):
                raise ValueError(f"a broken answer: {chunks[0][:200]!r}")
        else:
            self._take_line(b"".join(chunks))

    def _take_line(self, line: bytes) -> None:
        pending = self._pending
        whole = line.startswith(_MESSAGE) and line.endswith(b"}\n")
        if line.count(_MESSAGE) > whole:
            raise ValueError(f"a message with something else in it: {line[:200]!r}")
        if line.startswith(_ID):
            self._take_reply([line])
        elif not line.startswith(_NOTIFICATION):
            self._log.error(f"{self.name} wrote what is no message: {line[:200]!r}")
        elif pending:
            mark = line.find(REPORT_MARK) if line.startswith(_PROGRESS) else -1
            if mark > 0:
                pending.caller.forward_report(line[len(_PROGRESS) : mark], line)
            else:
                pending.caller.forward(line)

    def _take_reply(self, chunks: list[bytes]) -> bool:
        """Hand on the answer to the call; False when it answers another."""
        pending = self._pending
        id_, _, _ = chunks[0][len(_ID) :].partition(b",")
        if not pending or pending.id != id_:
            self._log.error(f"{self.name} answered what nobody asked: id {id_[:40]!r}")
            return False
        chunks[0] = chunks[0][len(_ID) + len(id_) :]
        with self._settling:
            pending.reply = tuple(chunks)
            pending.replied.set()
        return True

    def _read_stderr(self) -> None:
        # Unbuffered, as it is for us; not through another descriptor: there may be none left.
        with io.BufferedReader(cast(io.RawIOBase, self._process.stderr)) as lines:
            for raw in lines:
                line = raw.decode("utf-8", "backslashreplace").rstrip()
                self._tail.append(line)
                self._log.relay(line)

    def _end_kin(self) -> None:
        """End what the engine started when it has ended: that may hold its pipes open."""
        _wait_for_end(self._process)
        _kill_tree(self._process)

    def _finish(self) -> None:
        """The engine's output has ended, or is broken: so has the engine, or it is useless."""
        self.kill()
        self._process.wait()
        self._close()
        self._log.info(f"{self.name} ended: {_cause_of_death(self._process.returncode)[0]}")
        self._ended.set()
        pending = self._pending
        if pending:
            pending.replied.set()

    def _close(self) -> None:
        """Let go of what was held for it."""
        streams = [self._process.stdin, self._process.stdout]
        if self._stderr_reader:  # which closes what it reads; what was said last tells why it died
            self._stderr_reader.join(1)
        else:
            streams.append(self._process.stderr)
        for stream in streams:
            assert stream is not None
            stream.close()
        self._scratch.remove()

    def _obituary(self, caller: Caller) -> RpcError:
        """Why there is no answer: the caller was cancelled, or else how the engine ended."""
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
    """The command line that starts an engine of this very program."""
    return [*program(), "engine", kind, "--parent", str(os.getpid())]


def _result_of(reply: tuple[bytes, ...]) -> Json:
    """The result in the chunks behind a reply's id; raises the error if it is one."""
    first = reply[0]
    if first.startswith(_RESULT):
        chunks = [first[len(_RESULT) :], *reply[1:]]
        chunks[-1] = chunks[-1][: -len(b"}\n")]
        return Json(chunks)
    error = b"".join(reply)[len(_ERROR) : -len(b"}\n")]
    raise RpcError.from_object(msgspec.json.decode(error, type=ErrorObject))


if sys.platform == "win32":
    # Its own group: Ctrl-C in a terminal is for the front to handle. No console window.
    _NEW_GROUP: Final[dict[str, Any]] = {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    }

    def _kill_tree(process: subprocess.Popen[bytes]) -> None:
        process.kill()

else:
    _NEW_GROUP: Final[dict[str, Any]] = {"process_group": 0}

    def _kill_tree(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS: none but zombies are left
            pass


if sys.platform == "linux":

    def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
        try:  # without reaping it, which would keep others from asking whether it is alive
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:  # somebody who asked has reaped it
            pass

else:

    def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
        process.wait()


_HEEDED: Final = (128 + signal.SIGTERM, 128 + signal.SIGINT)
"""How an engine exits that was told to end by a signal; see worker.session.server."""


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
