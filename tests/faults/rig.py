"""A run: starts workers in a private folder, accounts for their replies, finds what they leave."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random
from select import select
from typing import Any, Final, NamedTuple

from tests.support import MODEL, PATIENCE, RECORDINGS, WORKER, alive, wait_until

INSIDE: Final = Path(__file__).parent / "inside"
SPEECH: Final = RECORDINGS / "en-01.flac"
_START_SECONDS: Final = 0.1
"""Seconds of CPU time."""

Reply = dict[str, Any]


class Tally(NamedTuple):
    """The failures of a run; all should be 0."""

    lost: int = 0
    duplicated: int = 0
    processes: int = 0
    files: int = 0


class Worker:
    """A worker, and a client that accounts for replies. It reads while `reading` is set."""

    def __init__(self, command: Sequence[str], env: dict[str, str], stderr: Path) -> None:
        self.stderr = stderr
        with stderr.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env=env,
            )
        self.reading = threading.Event()
        self.reading.set()
        self.sent: dict[int, str] = {}
        self.replies: dict[int, list[Reply]] = {}
        self.messages: list[Reply] = []
        """Messages that answer no request: notifications, and errors without an id."""
        self.gone = False
        """The client is gone, so no reply is expected."""
        self._ids = count(1)
        self._arrived = threading.Condition()
        self._stop, self._stopper = socket.socketpair()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the front."""
        return self.process.pid

    def request(self, method: str, params: object = None) -> tuple[int, bytes]:
        """Account for a request from now on; return its id and its line."""
        id_ = next(self._ids)
        self.sent[id_] = method
        message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params or {}}
        return id_, json.dumps(message).encode() + b"\n"

    def send(self, method: str, params: object = None) -> int:
        """Send a request; return its id."""
        id_, line = self.request(method, params)
        self.write(line)
        return id_

    def transcribe(self, audio: Path = SPEECH, **options: Any) -> int:
        """Request a transcription that needs little work."""
        cheap = {"language": "en", "beamSize": 1, "threads": 1}
        return self.send(
            "transcribe", {"audio": str(audio), "model": str(MODEL), **cheap, **options}
        )

    def cancel(self, id_: int) -> None:
        """Cancel a request."""
        self.write(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%d}}\n' % id_)

    def write(self, data: bytes) -> None:
        """Write to the worker's input."""
        assert self.process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def wait(self, *ids: int, timeout: float = PATIENCE) -> list[Reply]:
        """The replies to these requests."""
        with self._arrived:
            self._arrived.wait_for(
                lambda: all(id_ in self.replies for id_ in ids) or not self._reader.is_alive(),
                timeout,
            )
            missing = [f"{id_} ({self.sent[id_]})" for id_ in ids if id_ not in self.replies]
            assert not missing, f"no reply to {', '.join(missing)}"
            return [self.replies[id_][0] for id_ in ids]

    def ask(self, method: str, params: object = None) -> Reply:
        """Send a request and wait for its reply."""
        return self.wait(self.send(method, params))[0]

    def leave(self) -> None:
        """Close both pipes, like a client that is gone."""
        self.gone = True
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.close_output()

    def close_output(self) -> None:
        """Stop reading for good."""
        self.gone = True
        self._stop_reading()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def finish(self) -> int:
        """Read everything, close the input and return the exit code."""
        self.reading.set()
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """Wait until the worker has ended and everything is read."""
        self.reading.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        self._stop_reading()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self._stopper.close()
        self._stop.close()

    def count(self) -> tuple[int, int]:
        """The numbers of requests without a reply, and of surplus replies."""
        with self._arrived:
            lost = 0 if self.gone else sum(id_ not in self.replies for id_ in self.sent)
            unasked = [id_ for id_ in self.replies if id_ not in self.sent]
            return lost, sum(len(each) - 1 for each in self.replies.values()) + len(unasked)

    def _stop_reading(self) -> None:
        self.reading.set()
        if self._reader.is_alive():
            self._stopper.send(b"!")
            self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        ends: list[int | socket.socket] = [fd, self._stop]
        rest: list[bytes] = []
        # A pending read would keep the pipe open after `close`.
        while self.reading.wait() and self._stop not in select(ends, [], [])[0]:
            data = os.read(fd, 1 << 16)
            if not data:
                break
            *lines, last = data.split(b"\n")
            for line in lines:
                self._take(b"".join((*rest, line)))
                rest = []
            rest.append(last)
        with self._arrived:
            self._arrived.notify_all()

    def _take(self, line: bytes) -> None:
        message = json.loads(line)
        with self._arrived:
            for each in message if isinstance(message, list) else [message]:
                if each.get("id") is None:
                    self.messages.append(each)
                else:
                    self.replies.setdefault(each["id"], []).append(each)
            self._arrived.notify_all()


class Run:
    """One run of a kind of fault; all its random choices come from `seed`.

    Nothing may be left of a worker `gone_seconds` after it ended.
    """

    def __init__(self, seed: int, place: Path, gone_seconds: float = PATIENCE) -> None:
        self.rng = Random(seed)
        self.place = place
        self._gone_seconds = gone_seconds
        self.temporary = place / "tmp"
        self.controls = place / "controls"
        self.output = place / "output"
        """Folder for results; every file in it must be complete."""
        for directory in (self.temporary, self.controls, self.output):
            directory.mkdir(parents=True)
        self._mark = f"{os.getpid()}.{time.monotonic_ns()}"
        self._workers: list[Worker] = []
        self._others: list[subprocess.Popen[bytes]] = []
        self.strays: list[str] = []

    def environment(self, **more: str) -> dict[str, str]:
        """Environment of a worker: marks all of its descendants, and enables faults in them."""
        paths = [str(INSIDE), str(RECORDINGS.parent.parent), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "FAULT_RUN": self._mark,
            "FAULT_CONTROLS": str(self.controls),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            **more,
        }

    def worker(self, *arguments: str, prefix: Iterable[str] = (), **environment: str) -> Worker:
        """Start a worker through the command line `prefix`."""
        stderr = self.place / f"stderr-{len(self._workers)}"
        command = [*prefix, *WORKER, *(("serve", *arguments) if arguments else ())]
        self._workers.append(Worker(command, self.environment(**environment), stderr))
        return self._workers[-1]

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start another program of the run."""
        with (self.place / "stderr-other").open("ab") as sink:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sink,
                env=self.environment(),
            )
        self._others.append(process)
        return process

    def moment(self, longest: float) -> None:
        """Sleep for a random time of at most `longest` seconds."""
        time.sleep(self.rng.uniform(0, longest))

    def engine(self, kind: str = "whisper") -> int:
        """Wait for an engine to start; return its process id."""

        def found() -> list[int]:
            pids = [int(fifo.name.rpartition("-")[2]) for fifo in self.controls.glob(f"{kind}-*")]
            return [pid for pid in pids if alive(pid)]

        return wait_until(found)[-1]

    def command(self, pid: int, line: str) -> None:
        """Cause a fault of `inside/sitecustomize.py` in a process, unless it is gone."""
        (fifo,) = self.controls.glob(f"*-{pid}")
        done = fifo.with_name(f"{pid}.done")
        done.unlink(missing_ok=True)

        def sent() -> bool:
            with suppress(OSError):  # it does not listen yet, or no longer listens
                fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                os.write(fd, line.encode() + b"\n")
                os.close(fd)
                return True
            return not alive(pid)

        wait_until(sent)
        wait_until(lambda: done.exists() or not alive(pid))

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, unless the process is gone."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def processes(self) -> list[int]:
        """Every living process of this run, whatever its parent is now."""
        wanted = f"FAULT_RUN={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return [pid for pid in found if alive(pid)]

    def files(self) -> list[Path]:
        """The existing temporary files."""
        found = list(self.temporary.iterdir()) if self.temporary.exists() else []
        return [*found, *self.output.glob(".*")]

    def end(self, *, in_time: bool = True) -> Tally:
        """Wait until everything that was started is gone, and count the rest; then clean up.

        `in_time` is False for a run that failed: then nothing is waited for.
        """
        ended = time.monotonic()
        while processes := self.processes():
            waited = time.monotonic() - ended
            # A process that has just started cannot notice anything yet.
            patience = PATIENCE if all(map(_starts, processes)) else self._gone_seconds
            if not in_time or waited > patience:
                break
            time.sleep(0.02)
        files = self.files()
        for pid in processes:
            self.kill(pid, signal.SIGUSR1)  # it writes its stacks
        if processes:
            time.sleep(0.5)
        self.strays = [*map(_describe, processes), *(str(file) for file in files)]
        for pid in processes:
            self.kill(pid)
        for other in self._others:
            other.wait()
        for worker in self._workers:
            worker.end()
        counts = [worker.count() for worker in self._workers]
        return Tally(
            sum(lost for lost, _ in counts),
            sum(duplicated for _, duplicated in counts),
            len(processes),
            len(files),
        )

    def last_words(self) -> str:
        """The end of the workers' stderr."""
        texts = [path.read_text("utf-8", "replace") for path in self.place.glob("stderr-*")]
        return "\n".join(text[-20_000:] for text in texts)


def kind_of(reply: Reply) -> str:
    """`result`, or the kind of the error."""
    return "result" if "result" in reply else str(reply["error"]["data"]["kind"])


def kinds_of(replies: Iterable[Reply]) -> Counter[str]:
    """The number of replies of each kind."""
    return Counter(map(kind_of, replies))


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def python(script: str, *arguments: str) -> list[str]:
    """Command line of a small Python program."""
    return [sys.executable, "-S", "-c", script, *arguments]


def _starts(pid: int) -> bool:
    """Whether a process has had too little CPU time to have loaded its program."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = int(fields[11]) + int(fields[12])
        return used / os.sysconf("SC_CLK_TCK") < _START_SECONDS
    return False


def _describe(pid: int) -> str:
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return f"process {pid}: {command}"
    return f"process {pid}"
