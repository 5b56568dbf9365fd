"""Lowers the CPU priority of a process, so that others come first where both want the CPU."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_NICENESS: Final = 10

if sys.platform == "win32":
    _BELOW_NORMAL: Final = 0x4000
    _SET_INFORMATION: Final = 0x0200

    def lower(pid: int) -> None:
        """Lower the priority of a process; nothing happens if it has ended."""
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.OpenProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        kernel.CloseHandle.argtypes = [ctypes.c_void_p]
        handle = kernel.OpenProcess(_SET_INFORMATION, False, pid)
        if handle:
            kernel.SetPriorityClass(handle, _BELOW_NORMAL)
            kernel.CloseHandle(handle)

else:

    def lower(pid: int) -> None:
        """Lower the priority of a process and its threads; nothing happens if it has ended."""
        for each in _threads(pid):
            with suppress(OSError):
                if os.getpriority(os.PRIO_PROCESS, each) < _NICENESS:
                    os.setpriority(os.PRIO_PROCESS, each, _NICENESS)

    def _threads(pid: int) -> list[int]:
        """On Linux each thread has a priority of its own; new ones inherit it."""
        if sys.platform != "linux":
            return [pid]
        with suppress(OSError):
            return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
        return []
