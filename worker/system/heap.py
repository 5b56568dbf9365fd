"""Keeps the heap of a long-lived process small, where the C library is glibc.

glibc creates an arena for every few threads, and freed memory stays in its arena in fragments. The
front lives for weeks while threads come and go: without this it would keep growing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def use_few_arenas() -> None:
    """Let threads that start from now on share a few arenas."""
    _call(lambda library: library.mallopt(_M_ARENA_MAX, _ARENAS))


def trim() -> None:
    """Return empty pages to the system."""
    _call(lambda library: library.malloc_trim(0))


if sys.platform == "linux":

    def _call(function: Callable[[Any], object]) -> None:
        import ctypes  # too heavy for start-up: loaded with the first engine

        try:
            function(ctypes.CDLL(None))
        except AttributeError:  # another C library
            pass

else:

    def _call(function: Callable[[Any], object]) -> None:
        pass
