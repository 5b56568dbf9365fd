"""What this process may use of the machine."""

from __future__ import annotations

import os
import sys


def available_threads() -> int:
    """CPU threads that this process may run on."""
    if sys.platform == "linux":
        threads = len(os.sched_getaffinity(0))
    else:
        threads = os.cpu_count() or 1
    return threads
