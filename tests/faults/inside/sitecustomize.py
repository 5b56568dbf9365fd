"""Causes faults from within: Python imports this into a worker with this folder in PYTHONPATH.

Every process of the worker reads a FIFO `NAME-PID` in the directory FAULT_CONTROLS, where NAME is
`front` or the engine's kind, causes the fault that a line names at once, and creates the file
`PID.done` after it, or before it if it cannot return. On SIGUSR1 it writes the stacks of its
threads to stderr.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path


def segfault() -> None:
    """Read from address 0."""
    ctypes.string_at(0)


def abort() -> None:
    """Abort, like native code after a failed assertion."""
    ctypes.CDLL(None).abort()


def hang() -> None:
    """Hang in native code that keeps Python's lock."""
    ctypes.PyDLL(None).sleep(600)


def write(content: str) -> None:
    """Write bytes, given as hexadecimal digits, to the process's private pipe."""
    os.write(_PIPE, bytes.fromhex(content))


def say(text: str) -> None:
    """Print from C and from Python, and to descriptor 1 itself."""
    libc = ctypes.CDLL(None)
    libc.printf(b"%s\n", text.encode())
    libc.fflush(None)
    print(text, flush=True)
    os.write(1, f"{text}\n".encode())


def fork() -> None:
    """Leave a child that holds every open descriptor of this process."""
    if not os.fork():
        while True:
            time.sleep(600)


def clock(seconds: str) -> None:
    """Move Python's time of day forward or back."""
    real, real_ns, shift = time.time, time.time_ns, float(seconds)
    time.time = lambda: real() + shift
    time.time_ns = lambda: real_ns() + int(shift * 1e9)


def threads(count: str) -> None:
    """Allow only this many more threads; further starts fail as the system's do."""
    left = int(count)

    def start(*arguments: object, **named: object) -> object:
        nonlocal left
        if not left:
            raise RuntimeError("can't start new thread")
        left -= 1
        return _start_thread(*arguments, **named)

    setattr(threading, _STARTER, start)


_STARTER = "_start_joinable_thread"  # from Python 3.13 on
if not hasattr(threading, _STARTER):
    _STARTER = "_start_new_thread"
_start_thread = getattr(threading, _STARTER)

_COMMANDS = {
    each.__name__: each for each in (segfault, abort, hang, write, say, fork, clock, threads)
}
_WITHOUT_RETURN = ("segfault", "abort", "hang")


def _listen(fifo: Path) -> None:
    done = fifo.with_name(f"{os.getpid()}.done")
    while True:
        for line in fifo.read_text().splitlines():
            name, *arguments = line.split()
            if name in _WITHOUT_RETURN:
                done.touch()
            _COMMANDS[name](*arguments)
            done.touch()


def _name() -> str:
    words = sys.orig_argv
    return words[words.index("engine") + 1] if "engine" in words else "front"


if "worker" in sys.orig_argv and "FAULT_CONTROLS" in os.environ:
    _PIPE = os.dup(1)
    _fifo = Path(os.environ["FAULT_CONTROLS"], f"{_name()}-{os.getpid()}")
    os.mkfifo(_fifo)
    faulthandler.register(signal.SIGUSR1)
    threading.Thread(target=_listen, args=(_fifo,), daemon=True).start()
