"""How many CPU threads this process may use."""

from __future__ import annotations

import os
import sys


def available_threads() -> int:
    """CPU threads that this process may run on: its affinity mask, where the system has one."""
    if sys.platform == "linux":
        threads = len(os.sched_getaffinity(0))
    else:
        threads = os.cpu_count() or 1
    return threads
