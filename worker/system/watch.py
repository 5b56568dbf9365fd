"""Noticing that another process is gone, or that nobody reads our output, without writing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

Gone = Callable[[str], None]
"""Called once, from a thread, with a sentence that says who is gone."""


def watch_reader(fd: int, gone: Gone) -> None:
    """Call `gone` when the other end of the pipe or socket `fd` is closed.

    Does nothing for a file. On Windows a pipe cannot be asked: there the parent is watched.
    """
    import stat

    mode = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)):
        return
    _start(_wait_for_reader, fd, gone)


def watch_process(pid: int, gone: Gone) -> bool:
    """Call `gone` when process `pid` ends; False when there is none to watch.

    A pid that is unknown from the start is most likely of another namespace (a container's).
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
    """Have the system kill this process when `parent` ends, whatever it is busy with.

    The end of its input tells an engine the same, unless native code keeps it from reading. Linux
    alone has such a means; elsewhere the parent is watched from a thread.
    """
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
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
            pass  # it ended just now
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
        poll.register(fd, 0)  # errors and hang-ups are always told
        poll.poll()
        gone("nobody reads the output any more")

    def _wait_for_process(handle: int, gone: Gone) -> None:
        import select

        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
        os.close(handle)
        gone("")
