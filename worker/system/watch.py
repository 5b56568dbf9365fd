"""Notices that another process has ended, or that nobody reads our output, without writing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

Gone = Callable[[str], None]
"""Called once, on a thread, with a sentence that says what happened."""


def watch_reader(fd: int, gone: Gone) -> None:
    """Call `gone` when the other end of the pipe or socket `fd` is closed.

    Does nothing for a file. Windows has no such query for pipes; there, watch the parent process.
    """
    import stat

    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
        return
    _start(_wait_for_reader, fd, gone)


def watch_process(pid: int, gone: Gone) -> bool:
    """Call `gone` when process `pid` ends; return False if there is no such process.

    If it does not exist from the start, it is most likely in another container's namespace.
    """
    if sys.platform == "linux":
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return False
    elif sys.platform == "win32":
        handle = _open_process(pid)
        if not handle:
            return False
    else:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        handle = pid
    _start(_wait_for_process, handle, lambda _: gone(f"process {pid} has ended"))
    return True


def die_with_parent(parent: int) -> None:
    """Kill this process when `parent` ends, even while native code keeps it from reading its input.

    On Linux the system does that; elsewhere a thread watches the parent.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)
    else:
        watch_process(parent, lambda _: os._exit(1))


def _start(target: Callable[[int, Gone], None], handle: int, gone: Gone) -> None:
    threading.Thread(target=target, args=(handle, gone), name="watch", daemon=True).start()


if sys.platform == "darwin":

    def _wait_for_reader(fd: int, gone: Gone) -> None:
        import select

        queue = select.kqueue()
        event = select.kevent(fd, select.KQ_FILTER_WRITE, select.KQ_EV_ADD | select.KQ_EV_CLEAR)
        while True:
            for happened in queue.control([event], 1):
                if happened.flags & select.KQ_EV_EOF:
                    return gone("nobody reads the output any more")

    def _wait_for_process(handle: int, gone: Gone) -> None:
        import select

        event = select.kevent(handle, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            select.kqueue().control([event], 1)
        except ProcessLookupError:
            pass  # it has just ended
        gone("")

elif sys.platform == "win32":

    def _open_process(pid: int) -> int:
        import ctypes

        synchronize = 0x00100000
        return int(ctypes.windll.kernel32.OpenProcess(synchronize, False, pid))

    def _wait_for_reader(fd: int, gone: Gone) -> None:
        parent = _open_process(os.getppid())
        if parent:
            _wait_for_process(parent, lambda _: gone("the parent process has ended"))

    def _wait_for_process(handle: int, gone: Gone) -> None:
        import ctypes

        infinite = 0xFFFFFFFF
        ctypes.windll.kernel32.WaitForSingleObject(handle, infinite)
        gone("")

else:

    def _wait_for_reader(fd: int, gone: Gone) -> None:
        import select

        poll = select.poll()
        poll.register(fd, 0)  # poll always reports errors and hang-ups
        poll.poll()
        gone("nobody reads the output any more")

    def _wait_for_process(handle: int, gone: Gone) -> None:
        import select

        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
        os.close(handle)
        gone("")
