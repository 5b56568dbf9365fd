"""Child processes, each in a process group of its own; on Windows, in a job object as well.

The group keeps Ctrl-C in a terminal from reaching a child. The group or the job lets us end the
child together with everything that it started.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary, finalize

from worker.system.child_environment import QUIET


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    temporary: Path | None,
    *,
    stdin: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start `command` with unbuffered pipes; `environment` comes on top of our own.

    A process that is killed leaves its temporary files behind: it creates them in `temporary`,
    which the caller deletes. Raises `OSError`.
    """
    place = {} if temporary is None else dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    process = subprocess.Popen(
        command,
        bufsize=0,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **QUIET, **environment, **place},
        **_NEW_GROUP,
    )
    _adopt(process)
    return process


def reap(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait a limited time: a process that is stuck in a driver does not end."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


if sys.platform == "win32":
    # No console window either.
    _NEW_GROUP: Final[dict[str, Any]] = {
        "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    }

    _jobs: Final[WeakKeyDictionary[subprocess.Popen[bytes], int]] = WeakKeyDictionary()

    def _adopt(process: subprocess.Popen[bytes]) -> None:
        """Put a child into a job, which ends with us: the system closes its only handle.

        Where the system refuses, the child ends with us all the same (see `die_with_parent`), but
        what it started may not.
        """
        import ctypes

        kernel = ctypes.windll.kernel32
        job = kernel.CreateJobObjectW(None, None)
        # JOBOBJECT_EXTENDED_LIMIT_INFORMATION of 64-bit Windows, of which only LimitFlags is set.
        extended_limits, kill_on_job_close = 9, 0x2000
        limits = struct.pack("=16xI124x", kill_on_job_close)
        kernel.SetInformationJobObject(job, extended_limits, limits, len(limits))
        if kernel.AssignProcessToJobObject(job, int(vars(process)["_handle"])):
            _jobs[process] = job
            finalize(process, kernel.CloseHandle, job)
        else:
            kernel.CloseHandle(job)

    def kill_group(process: subprocess.Popen[bytes]) -> None:
        """Kill a child and everything that it started."""
        import ctypes

        job = _jobs.get(process)
        if job is None or not ctypes.windll.kernel32.TerminateJobObject(job, 1):
            process.kill()

    def abort(process: subprocess.Popen[bytes]) -> None:
        """Do nothing: Windows cannot make a process tell where it hangs."""

else:
    _NEW_GROUP: Final[dict[str, Any]] = {"process_group": 0}

    def _adopt(process: subprocess.Popen[bytes]) -> None:
        """Do nothing: the group is enough."""

    def kill_group(process: subprocess.Popen[bytes]) -> None:
        """Kill a child and everything that it started."""
        # PermissionError: macOS, when only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def abort(process: subprocess.Popen[bytes]) -> None:
        """Tell a child that hangs to abort: its faulthandler writes where it is."""
        process.send_signal(signal.SIGABRT)


if sys.platform == "linux":

    def wait_without_reaping(process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a child. As a zombie, it keeps its group's id from being reused."""
        with suppress(ChildProcessError):  # another thread has reaped it
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

else:

    def wait_without_reaping(process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a child; only Linux can do that without reaping it."""
        process.wait()
