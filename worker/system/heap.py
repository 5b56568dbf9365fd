"""The C library's heap of this process: kept whole, and given back, where that is glibc's.

It has an arena for every few threads, and what is freed in one of them stays there in pieces: a
front that lives for weeks, with threads that come and go, would grow by that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def use_few_arenas() -> None:
    """Have threads that are still to come share what there is."""
    _call(lambda library: library.mallopt(_M_ARENA_MAX, _ARENAS))


def trim() -> None:
    """Give pages on which nothing is left back to the system."""
    _call(lambda library: library.malloc_trim(0))


if sys.platform == "linux":

    def _call(function: Callable[[Any], object]) -> None:
        import ctypes  # with the first engine

        try:
            function(ctypes.CDLL(None))
        except AttributeError:  # another C library
            pass

else:

    def _call(function: Callable[[Any], object]) -> None:
        pass
