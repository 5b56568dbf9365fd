"""Lowers the CPU priority of a process, so that others come first where both want the CPU."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_NICENESS: Final = 10


def lower(pid: int) -> None:
    """Lower the priority of a process and its threads; nothing happens if it has ended."""
    import psutil

    for each in _threads(pid):
        with suppress(psutil.Error, OSError):
            process = psutil.Process(each)
            if sys.platform == "win32":
                process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
            elif process.nice() < _NICENESS:
                process.nice(_NICENESS)


if sys.platform == "linux":

    def _threads(pid: int) -> list[int]:
        """Each thread has a priority of its own, which those that it starts inherit."""
        with suppress(OSError):
            return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
        return []

else:

    def _threads(pid: int) -> list[int]:
        """The process has one priority."""
        return [pid]
