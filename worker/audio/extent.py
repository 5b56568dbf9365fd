"""Tells how long a file says that its audio is, and whether its end is missing.

FFmpeg often takes the length from the size of the file, so a cut file seems whole. The containers
themselves know better, each in its own way.
"""

from __future__ import annotations

import io
import os
from typing import Any, Final, NamedTuple

# Containers whose header states the exact length of each track.
_EXACT: Final = frozenset({"w64", "aiff", "flac", "mov", "caf", "au", "ape", "tta", "wv", "avi"})
_MAX_CHUNKS: Final = 1000
"""The most chunks or boxes to skip in search of one."""
_HEAD: Final = 4096
_LARGEST_OGG_PAGE: Final = 65_307
_OGG_LAST_PAGE: Final = 4
_TS_PACKET: Final = 188
_TS_SYNC: Final = b"G"
_FLV_HEADER: Final = 13
_MATROSKA: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"


class Extent(NamedTuple):
    """What a file says of its length."""

    end: float | None
    """Seconds from the container's start to the end of the track; None if it does not say so
    exactly."""
    is_cut: bool
    """Whether the file certainly lacks its end, wherever that is."""


def extent(container: Any, stream: Any, file: io.FileIO, origin: float) -> Extent:
    """Read it from the container, and from the file, which is left where it was.

    `origin` is the container's start, in seconds of its time stamps.
    """
    where = file.tell()
    try:
        name = container.format.name
        if name == "wav":
            return Extent(_riff_seconds(file), False)
        if name == "ogg":
            return Extent(None, not _has_last_ogg_page(file))
        if "matroska" in name:
            is_cut = _lacks_matroska_end(file)
            stated = container.duration / 1e6 if is_cut and container.duration else None
            return Extent(stated, is_cut)
        is_cut = _is_cut(name, file)
        counted = name == "mp3" and _has_frame_count(file)
        if not counted and not _EXACT.intersection(name.split(",")):
            return Extent(None, is_cut)
        if stream.duration is None or stream.time_base is None:
            return Extent(None, is_cut)
        first = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)
        return Extent(first - origin + float(stream.duration * stream.time_base), is_cut)
    finally:
        file.seek(where)


def lacks_index(file: io.FileIO) -> bool:
    """Whether the file is an MP4 without `moov`, which tells where its audio lies.

    Recorders write it last: it is missing if the recording was never finished, or the file was cut.
    """
    file.seek(4)
    if file.read(4) != b"ftyp":
        return False
    at = 0
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return True
        if header[4:8] == b"moov":
            return False
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if size < 8:  # 0: up to the end of the file
            return size == 0
        at += size
    return False


def _riff_seconds(file: io.FileIO) -> float | None:
    """A WAV file's length by its chunk sizes; None if a streaming recorder left the size open."""
    file.seek(0)
    if file.read(4) != b"RIFF":
        return None
    file.seek(12)
    byte_rate = 0
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            break
        size = int.from_bytes(header[4:], "little")
        if header[:4] == b"fmt ":
            byte_rate = int.from_bytes(file.read(16)[8:12], "little")
            file.seek(size - 16, 1)
            continue
        if header[:4] == b"data":
            left_open = size == 0 or size >= 0x7FFF_0000
            return size / byte_rate if byte_rate and not left_open else None
        file.seek(size + size % 2, 1)
    return None


def _is_cut(name: str, file: io.FileIO) -> bool:
    """Whether a file of these formats ends amid a packet, a tag or a chunk."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(8)
    if name == "mpegts":
        return head[:1] == _TS_SYNC and size % _TS_PACKET != 0
    if name == "avi":
        return head[:4] == b"RIFF" and 8 + int.from_bytes(head[4:], "little") > size
    if name == "flv" and size > _FLV_HEADER:
        file.seek(size - 4)  # the length of the last tag, after which the file ends
        length = int.from_bytes(file.read(4), "big")
        file.seek(max(0, size - 4 - length + 1))
        return int.from_bytes(file.read(3), "big") + 11 != length
    return False


def _has_last_ogg_page(file: io.FileIO) -> bool:
    """Whether the last page is marked as such."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - 2 * _LARGEST_OGG_PAGE))
    tail = file.read(2 * _LARGEST_OGG_PAGE)
    at = tail.rfind(b"OggS")
    return at < 0 or len(tail) < at + 6 or bool(tail[at + 5] & _OGG_LAST_PAGE)


def _lacks_matroska_end(file: io.FileIO) -> bool:
    """Whether the segment's size goes beyond the file; live recorders leave that size open."""
    file.seek(0)
    head = file.read(_HEAD)
    at = head.find(_SEGMENT)
    if not head.startswith(_MATROSKA) or at < 0 or len(head) < at + 12:
        return False
    at += len(_SEGMENT)
    # An EBML number: the leading zeros of its first byte tell its length.
    length = 9 - head[at].bit_length()
    size = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    is_open = size == (1 << 7 * length) - 1
    return not is_open and at + length + size > os.fstat(file.fileno()).st_size


def _has_frame_count(file: io.FileIO) -> bool:
    """Whether an MP3 states how many frames it has, in a Xing, Info or VBRI header."""
    file.seek(0)
    tag = file.read(10)
    start = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)
        )
    file.seek(start)
    head = file.read(_HEAD)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
