"""Mends the structure of rotten files as FFmpeg reads them, so that it finds what comes after.

FFmpeg's demuxers follow sizes: where one is rotten, they lose their way. Two containers have what
it takes to go on. The index at the end of an AVI repeats the header of each chunk. A fragmented MP4
is a row of boxes, each of which can be told from rubbish: what is none becomes a `free` box, which
every program skips.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BLOCK: Final = 1 << 20
_MAX_BOXES: Final = 200_000
_LARGEST_MOOF: Final = 1 << 24
"""Bytes; a fragment has seconds, and a sample takes 16 bytes at most."""
_BOXES: Final = frozenset(
    {b"emsg", b"free", b"ftyp", b"mdat", b"meta", b"mfra", b"moof", b"moov", b"pdin", b"prft"}
    | {b"sidx", b"skip", b"ssix", b"styp", b"udta", b"uuid", b"wide"}
)
"""What a fragmented MP4 may consist of."""
_OPTIONAL: Final = ((0x1, 4), (0x4, 4))
"""Flags of a `trun`, and the bytes that each adds to it."""
_BY_SAMPLE: Final = ((0x100, 4), (0x200, 4), (0x400, 4), (0x800, 4))
_LARGEST_HEADER: Final = 1 << 20
"""Bytes before the chunks of an AVI."""
_LARGEST_INDEX: Final = 1 << 28
_CHECKED: Final = 100
CHUNK_HEADER: Final = 8
"""Bytes of a chunk's header in AVI, or of a box's in MP4."""


class Patches(NamedTuple):
    """What a file should have, and where; in the order of the places."""

    places: list[int] | npt.NDArray[np.int64]
    contents: list[bytes] | npt.NDArray[np.uint8]
    """For each place; the rows of an array."""


_NONE: Final = Patches([], [])


class MendedFile:
    """Reads a file with patches; all that FFmpeg needs of a file."""

    def __init__(self, file: io.FileIO, patches: Patches) -> None:
        self.name = file.name
        self.mended: set[int] = set()
        """Where the file had something else: the places of patches that were read so far."""
        self._file = file
        self._places, self._contents = patches
        self._longest = max(map(len, patches.contents))

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        start = self._file.tell()
        data = self._file.read(size)
        first = bisect_right(self._places, start - self._longest)
        stop = bisect_left(self._places, start + len(data), first)
        changed: bytearray | None = None
        for i in self._differing(data, start, first, stop):
            at, content = int(self._places[i]), bytes(self._contents[i])
            before = max(0, start - at)
            place = at + before - start
            wanted = content[before : len(data) - place + before]
            if data[place : place + len(wanted)] != wanted:
                changed = changed or bytearray(data)
                changed[place : place + len(wanted)] = wanted
                self.mended.add(at)
        return bytes(changed) if changed else data

    def _differing(self, data: bytes, start: int, first: int, stop: int) -> Iterable[int]:
        """Which of these patches may differ from data that was read at `start`."""
        if isinstance(self._contents, list):
            return range(first, stop)
        import numpy as np

        places = np.asarray(self._places[first:stop]) - start
        inside = (places >= 0) & (places + self._longest <= len(data))
        rows = places[inside][:, None] + np.arange(self._longest)
        differs = ~inside
        found = np.frombuffer(data, np.uint8)[rows]
        differs[inside] = (found != self._contents[first:stop][inside]).any(axis=1)
        return (first + np.flatnonzero(differs)).tolist()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek as a file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Tell as a file does."""
        return self._file.tell()


def mended(file: io.FileIO) -> io.FileIO | MendedFile:
    """The file, with patches if it may need some; its position stays."""
    where = file.tell()
    try:
        file.seek(0)
        head = file.read(12)
        if head.startswith(b"RIFF") and head.endswith(b"AVI "):
            patches = _chunk_headers(file)
        elif head[4:8] == b"ftyp":
            found = list(_rubbish_between_boxes(file))
            patches = Patches([at for at, _ in found], [content for _, content in found])
        else:
            return file
    finally:
        file.seek(where)
    return MendedFile(file, patches) if len(patches.places) else file


def _chunk_headers(file: io.FileIO) -> Patches:
    """The headers of the chunks of an AVI as its index tells them; none if that seems wrong."""
    import numpy as np

    file.seek(0)
    head = file.read(_LARGEST_HEADER)
    movi = head.find(b"movi") - CHUNK_HEADER
    if movi < 0 or head[movi : movi + 4] != b"LIST":
        return _NONE
    end = movi + CHUNK_HEADER + int.from_bytes(head[movi + 4 : movi + 8], "little")
    file.seek(end + end % 2)
    name, size = file.read(4), int.from_bytes(file.read(4), "little")
    if name != b"idx1" or size > _LARGEST_INDEX:
        return _NONE
    index = file.read(size)
    entries = np.frombuffer(index, "<u4", len(index) // 16 * 4).reshape(-1, 4)
    if not len(entries):
        return _NONE
    # Offsets count from the word "movi", or from the start of the file.
    base = 0 if entries[0, 2] > movi else movi + CHUNK_HEADER
    places = entries[:, 2].astype(np.int64) + base
    ends = places + CHUNK_HEADER + entries[:, 3]
    is_sound = np.append(ends[:-1] <= places[1:], ends[-1] <= end)
    digits = entries[:, :1].copy().view(np.uint8)[:, :2]  # the number of the track
    is_sound &= ((digits >= ord("0")) & (digits <= ord("9"))).all(axis=1)
    headers = np.ascontiguousarray(entries[is_sound][:, [0, 3]]).view(np.uint8)
    patches = Patches(places[is_sound], headers)
    return patches if _are_mostly_there(file, patches) else _NONE


def _are_mostly_there(file: io.FileIO, patches: Patches) -> bool:
    """Whether the file has most of some patches: if not, they are from a wrong index."""
    step = max(1, len(patches.places) // _CHECKED)
    there = [
        _read(file, int(at), len(content)) == bytes(content)
        for at, content in zip(patches.places[::step], patches.contents[::step], strict=True)
    ]
    return 2 * sum(there) > len(there)


def _rubbish_between_boxes(file: io.FileIO) -> Iterator[tuple[int, bytes]]:
    """A `free` box for what is no box of a fragmented MP4, and for fragments that are rotten."""
    end = os.fstat(file.fileno()).st_size
    at, is_fragmented = 0, False
    for _ in range(_MAX_BOXES):
        name, size = _box(file, at)
        if name == b"moof":
            is_fragmented = True
        is_sound = name in _BOXES and (size >= CHUNK_HEADER and at + size <= end)
        if is_sound and name == b"moof":
            is_sound = size <= _LARGEST_MOOF and _is_fragment(_read(file, at + 8, size - 8))
        if is_sound:
            at += size
            continue
        if not name or size == 0 or not (is_fragmented or _has_fragments(file, at)):
            return  # the end, or boxes of another kind
        following = _next_fragment(file, at + 4)
        if following is None:
            return
        if following - at >= 2 * CHUNK_HEADER:
            yield at, _free(following - at)
        at = following


def _free(size: int) -> bytes:
    if size < 1 << 32:
        return size.to_bytes(4, "big") + b"free"
    return (1).to_bytes(4, "big") + b"free" + size.to_bytes(8, "big")


def _box(file: io.FileIO, at: int) -> tuple[bytes, int]:
    """Name and size of the box at a place; at the end of the file, no name."""
    header = _read(file, at, 16)
    if len(header) < CHUNK_HEADER:
        return b"", 0
    size = int.from_bytes(header[:4], "big")
    return header[4:8], int.from_bytes(header[8:], "big") if size == 1 else size


def _has_fragments(file: io.FileIO, at: int) -> bool:
    """Whether the `moov` before a place says that fragments follow."""
    return b"mvex" in _read(file, 0, min(at, _BLOCK))


def _next_fragment(file: io.FileIO, at: int) -> int | None:
    """Where the next sound fragment, or the boxes that may come before it, begin."""
    while True:
        block = _read(file, at, _BLOCK)
        found = block.find(b"moof")
        while found >= 0:
            start = at + found - 4
            size = int.from_bytes(_read(file, start, 4), "big")
            is_near = 16 <= size <= _LARGEST_MOOF
            if is_near and _is_fragment(_read(file, start + 8, size - 8)):
                return start
            found = block.find(b"moof", found + 1)
        if len(block) < _BLOCK:
            return None
        at += _BLOCK - 3


def _is_fragment(content: bytes) -> bool:
    """Whether this is the content of a `moof` that FFmpeg can follow."""
    names = []
    for name, part in _parts(content):
        names.append(name)
        if name == b"traf":
            inner = list(_parts(part))
            is_headed = any(each == b"tfhd" for each, _ in inner)
            if not is_headed or not all(_is_run(run) for each, run in inner if each == b"trun"):
                return False
    return names[:1] == [b"mfhd"] and b"traf" in names and b"" not in names


def _parts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the boxes in a box; no name for what is none."""
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        if (
            size < CHUNK_HEADER
            or at + size > len(content)
            or not (name.isascii() and name.isalnum())
        ):
            yield b"", b""
            return
        yield name, content[at + 8 : at + size]
        at += size


def _is_run(content: bytes) -> bool:
    """Whether a `trun` is as long as the number of its samples says."""
    flags, count = int.from_bytes(content[1:4], "big"), int.from_bytes(content[4:8], "big")
    each = sum(size for flag, size in _BY_SAMPLE if flags & flag)
    fixed = sum(size for flag, size in _OPTIONAL if flags & flag)
    return len(content) == CHUNK_HEADER + fixed + count * each


def _read(file: io.FileIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
