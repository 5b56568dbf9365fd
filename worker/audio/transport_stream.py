"""What the packets of an MPEG transport stream tell: whether some of them are missing.

All packets have the same size and begin with the same byte, and those of each track are numbered
from 0 to 15 (ISO 13818-1).
"""

from __future__ import annotations

import io
import os
from typing import Final

_SYNC: Final = b"G"
_SIZES: Final = {188: 0, 192: 4, 204: 0}
"""Bytes of a packet, and those before its sync byte: plain, Blu-ray's, with parity."""
_HEAD: Final = 4096
_MOST: Final = 1 << 24
"""Bytes to look through."""
_NO_PROGRAM: Final = 0x1FFF
"""The identifier of packets that only fill the stream."""


def ends_amid_packet(file: io.FileIO) -> bool:
    """Whether the file ends within a packet."""
    size, _ = _packets(file)
    return size > 0 and os.fstat(file.fileno()).st_size % size != 0


def is_whole(file: io.FileIO, start: int, stop: int) -> bool:
    """Whether all packets between two places in bytes, of which the first is one's, are there."""
    size, first = _packets(file)
    if not size or stop - start > _MOST:
        return True
    file.seek(start)
    content = file.read(stop - start)
    counters: dict[int, int] = {}
    for at in range(first, len(content) - 6, size):
        sync, high, low, flags, length, more = content[at : at + 6]
        if sync != _SYNC[0] or high & 0x80:  # the receiver found an error
            return False
        track, counter = (high & 0x1F) << 8 | low, flags & 0xF
        is_new = bool(flags & 0x20 and length and more & 0x80)  # the numbers may start anew
        expected = (counters.get(track, counter - 1) + 1) & 0xF
        repeated = (expected - 1) & 0xF
        if flags & 0x10 and track != _NO_PROGRAM:
            if counter not in (expected, repeated) and not is_new:
                return False
            counters[track] = counter
    return True


def _packets(file: io.FileIO) -> tuple[int, int]:
    """The size of the packets, and the bytes before their sync byte; 0 if they are none."""
    file.seek(0)
    head = file.read(_HEAD)
    for size, first in _SIZES.items():
        if set(head[first::size]) == set(_SYNC):
            return size, first
    return 0, 0
