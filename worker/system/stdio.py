"""Keeps other output out of the protocol's stream.

`print`, C `printf`, warnings and libraries write to descriptor 1. So the front, every engine and
the probe's children move the protocol to private descriptors, and point 0 and 1 elsewhere, before
they import anything else.
"""

from __future__ import annotations

import os
import sys
from typing import Final

READ_SIZE: Final = 64 * 1024
"""Bytes per read. `os.read` allocates as much on every call: more would not pay off."""


def claim_stdio() -> tuple[int, int]:
    """Move the protocol to private descriptors; return them as (input, output).

    Afterwards descriptor 0 is the null device and 1 is stderr: for Python, C and child processes.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # started with a closed descriptor
            os.dup2(null, fd)
    # dup returns the lowest free descriptor, now 3 or above; children do not inherit it.
    input_fd, output_fd = os.dup(0), os.dup(1)
    os.dup2(null, 0)
    os.dup2(2, 1)
    if null > 2:
        os.close(null)
    if sys.platform == "win32":
        _claim_windows(input_fd, output_fd)
    sys.stdin = None
    # A windowed build has no streams, but libraries print anyway.
    stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stdout = stderr
    return input_fd, output_fd


if sys.platform == "win32":

    def _claim_windows(input_fd: int, output_fd: int) -> None:
        """Set binary mode on our descriptors, and redirect the C library's streams as well."""
        import ctypes
        import msvcrt

        for fd in (input_fd, output_fd):
            msvcrt.setmode(fd, os.O_BINARY)
        std_input, std_output = -10, -11
        for std, fd in ((std_input, 0), (std_output, 1)):
            ctypes.windll.kernel32.SetStdHandle(std, msvcrt.get_osfhandle(fd))
