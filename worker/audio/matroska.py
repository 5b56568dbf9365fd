"""What the elements of a Matroska or WebM file tell: its length, and whether some are missing.

A file is a row of elements, each with a name and a size (EBML). A few contain others; live
recorders leave the sizes of these open.
"""

from __future__ import annotations

import io
import os
from typing import Any, Final, NamedTuple

_MAGIC: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
_GROUP: Final = b"\xa0"
_BLOCKS: Final = (0xA3, 0xA1)
_IN_CLUSTER: Final = frozenset(
    {*(b"\xa3", b"\xa1", b"\xaf", b"\xe7", b"\xab", b"\xa7", b"\x9b", b"\xfb", b"\xfa", b"\xfd")}
    | {*(b"\xa4", b"\xa2", b"\x8e", b"\xec", b"\xbf", b"\x58\x54", b"\x75\xa1", b"\x75\xa2")}
)
"""What a cluster and a group of blocks consist of: blocks, times, references, padding."""
_AT_TOP: Final = frozenset(
    {b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67", b"\x10\x43\xa7\x70", b"\x19\x41\xa4\x69"}
    | {b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", _SEGMENT, _MAGIC}
)
"""What may follow the clusters: cues, tags, chapters, attachments, or another recording."""
_INFO: Final = b"\x15\x49\xa9\x66"
_LARGEST_INFO: Final = 1 << 16
"""Bytes before which a file has its `Info`; mkvmerge leaves 4,000 before it."""
_DURATIONS: Final = (b"\x44\x89\x84", b"\x44\x89\x88")
"""The element for the duration, with the sizes that it can have."""
_FEWEST_BYTES: Final = 100
"""In a second; silence takes so many."""
_HEAD: Final = 4096
_MAX_ELEMENTS: Final = 200_000
"""Half a second's work; an hour of a browser's recording has 60,000."""


class _Element(NamedTuple):
    name: bytes
    content: int
    """Where its content begins: bytes from the start of the file."""
    size: int | None
    """Bytes of its content; None if a live recorder left it open."""


def duration(container: Any, file: io.FileIO) -> float | None:
    """The seconds that the file states for its longest track; FFmpeg guesses where it does not.

    None, too, if so little cannot last as long: a broken time stamp makes a day.
    """
    file.seek(0)
    head = file.read(_LARGEST_INFO)
    states = any(mark in head[head.find(_INFO) :] for mark in _DURATIONS)
    seconds = (container.duration or 0) / 1e6
    is_plausible = 0 < seconds * _FEWEST_BYTES < os.fstat(file.fileno()).st_size
    return seconds if states and is_plausible else None


def lacks_end(file: io.FileIO) -> bool:
    """Whether an element goes beyond the file, or is none."""
    file.seek(0)
    head = file.read(_HEAD)
    at = head.find(_SEGMENT)
    if not head.startswith(_MAGIC) or at < 0:
        return False
    end = os.fstat(file.fileno()).st_size
    for _ in range(_MAX_ELEMENTS):
        if at >= end:
            return at > end
        element = _element(file, at)
        if element is None:
            return True
        name, at, size = element
        if size is not None and at + size > end:
            return True
        if name == _SEGMENT or (name == _CLUSTER and size is None):
            continue
        at += size or 0
    return False


def is_whole(file: io.FileIO, place: int, stop: int) -> bool:
    """Whether there are only elements between the block with its content at `place`, and `stop`."""
    at = _end_of_block(file, place)
    for _ in range(_MAX_ELEMENTS):
        if at is None or at >= stop:
            break
        element = _element(file, at)
        if element is None:
            return False
        name, at, size = element
        if name in (_CLUSTER, _GROUP, _SEGMENT):
            continue
        if name not in _IN_CLUSTER and name not in _AT_TOP:
            return False
        at += size or 0
    return True


def _element(file: io.FileIO, at: int) -> _Element | None:
    file.seek(at)
    start = file.read(12)
    if not start:
        return None
    # Two EBML numbers: the leading zeros of the first byte tell the length of each.
    length = 9 - start[0].bit_length()
    name, rest = start[:length], start[length:]
    if length > 4 or not rest or not rest[0]:
        return None
    wide = 9 - rest[0].bit_length()
    size = int.from_bytes(rest[:wide], "big") & ((1 << 7 * wide) - 1)
    is_open = size == (1 << 7 * wide) - 1
    return _Element(name, at + length + wide, None if is_open else size)


def _end_of_block(file: io.FileIO, place: int) -> int | None:
    """Where the block ends whose content begins at a place; None if there is none."""
    file.seek(max(0, place - 9))
    before = file.read(min(9, place))
    for wide in range(1, len(before)):
        if before[-wide].bit_length() == 9 - wide and before[-wide - 1] in _BLOCKS:
            size = int.from_bytes(before[-wide:], "big") & ((1 << 7 * wide) - 1)
            return place + size
    return None
