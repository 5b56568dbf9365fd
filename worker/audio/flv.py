"""What the tags of a Flash video tell: whether some of them are missing.

After each tag, the file has its length again.
"""

from __future__ import annotations

import io
import os
from typing import Final

_HEADER: Final = 13
_TAG: Final = 11
_KINDS: Final = (8, 9, 18)
"""Audio, video, data."""
_MAX_TAGS: Final = 200_000


def ends_amid_tag(file: io.FileIO) -> bool:
    """Whether the file ends within a tag."""
    size = os.fstat(file.fileno()).st_size
    if size <= _HEADER:
        return False
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    file.seek(max(0, size - 4 - length + 1))
    return int.from_bytes(file.read(3), "big") + _TAG != length


def is_whole(file: io.FileIO, place: int, stop: int) -> bool:
    """Whether there are only tags between the one at `place` and `stop`, in bytes."""
    at = place
    for _ in range(_MAX_TAGS):
        if at >= stop:
            break
        file.seek(at)
        tag = file.read(_TAG)
        size = _TAG + int.from_bytes(tag[1:4], "big")
        file.seek(at + size)
        again = int.from_bytes(file.read(4), "big")
        if len(tag) < _TAG or tag[0] & 0x1F not in _KINDS or again != size:
            return False
        at += size + 4
    return True
