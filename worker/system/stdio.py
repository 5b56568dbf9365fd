"""Descriptors 0 and 1 belong to the protocol alone.

`print`, C `printf`, warnings and the output of libraries would corrupt the stream, so the front,
every engine and the probe's children point their own fds 0 and 1 elsewhere before they import
anything else.
"""

from __future__ import annotations

import os
import sys
from typing import Final

# os.read allocates its buffer on every call: beyond 64 KiB that costs more than it saves.
READ_SIZE: Final = 64 * 1024


def claim_stdio() -> tuple[int, int]:
    """Take fds 0 and 1 for the protocol; return private (input, output) descriptors.

    Afterwards fd 0 is the null device and fd 1 is stderr, for Python, C and child processes.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # started with a closed descriptor
            os.dup2(null, fd)
    # dup gives the lowest free descriptor, which is 3 or above now, closed on exec.
    input_fd, output_fd = os.dup(0), os.dup(1)
    os.dup2(null, 0)
    os.dup2(2, 1)
    if null > 2:
        os.close(null)
    if sys.platform == "win32":
        _claim_windows(input_fd, output_fd)
    sys.stdin = None
    # A windowed build has no streams at all, and libraries print all the same.
    stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stdout = stderr
    return input_fd, output_fd


if sys.platform == "win32":

    def _claim_windows(input_fd: int, output_fd: int) -> None:
        """Binary mode on our descriptors, and C's idea of stdout redirected like Python's."""
        import ctypes
        import msvcrt

        for fd in (input_fd, output_fd):
            msvcrt.setmode(fd, os.O_BINARY)
        std_input, std_output = -10, -11
        for std, fd in ((std_input, 0), (std_output, 1)):
            ctypes.windll.kernel32.SetStdHandle(std, msvcrt.get_osfhandle(fd))
