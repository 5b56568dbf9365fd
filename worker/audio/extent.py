"""Tells how long a file says that its audio is, and whether its end is missing.

FFmpeg often takes the length from the size of the file, so a cut file seems whole. The containers
themselves know better, each in its own way.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from worker.audio import flv, matroska, ogg, transport_stream

# Containers whose header, or last page, states the exact length of each track.
_EXACT: Final = frozenset({"aiff", "flac", "mov", "caf", "au", "ape", "tta", "wv", "ogg", "avi"})
_EVEN: Final = frozenset({1, 3, 6, 7, 0xFFFE})
"""Formats of WAV in which each second has the stated number of bytes: PCM, floats, A-law, µ-law."""
_SLOPPY: Final = 4096
"""Bytes by which a WAV file may be shorter than it states: some programs count its header."""
_MAX_CHUNKS: Final = 1000
"""The most chunks or boxes to skip in search of one."""
_HEAD: Final = 4096
_PS_PACK: Final = b"\x00\x00\x01\xba"
_PS_START: Final = b"\x00\x00\x01"
_PS_TAIL: Final = 1 << 18
"""Bytes at the end of an MPEG-PS in which a pack begins: a player's buffer has fewer."""
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA: Final = 50
"""Bytes of the header of the object that has the packets; a live recorder states no others."""
_LARGEST_ASF_HEADER: Final = 1 << 20


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
            return _of_chunks(file, _wav_chunks(file))
        if name == "w64":
            return _of_chunks(file, _w64_chunks(file))
        if "matroska" in name:
            is_cut = matroska.lacks_end(file)
            is_exact = is_cut or len(container.streams) == 1  # otherwise that of the longest track
            stated = matroska.duration(container, file) if is_exact else None
            return Extent(None if stated is None else stated - max(origin, 0.0), is_cut)
        is_cut = _is_cut(name, file)
        if name == "ogg" and is_cut:  # its length is that of the last page that is left
            return Extent(None, is_cut)
        if name == "avi" and stream.codec_context.name.startswith("adpcm"):  # in other units
            return Extent(None, is_cut)
        counted = name == "mp3" and _has_frame_count(file)
        counted = counted or (name == "asf" and (is_cut or len(container.streams) == 1))
        if not counted and not _EXACT.intersection(name.split(",")):
            return Extent(None, is_cut)
        if stream.duration is None or stream.time_base is None:
            return Extent(None, is_cut)
        first = 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)
        return Extent(first - origin + float(stream.duration * stream.time_base), is_cut)
    finally:
        file.seek(where)


def lacks_index(file: io.FileIO) -> bool:
    """Whether the file is an MP4 without all of `moov`, which tells where its audio lies.

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
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if header[4:8] == b"moov":
            return at + size > os.fstat(file.fileno()).st_size
        if size < 8:  # 0: up to the end of the file
            return size == 0
        at += size
    return False


def _of_chunks(file: io.FileIO, chunks: Iterator[tuple[bytes, int, int]]) -> Extent:
    """What the chunks of a WAV file say: the name, place and size of each."""
    byte_rate = 0
    for name, at, size in chunks:
        if name == b"fmt ":
            file.seek(at)
            head = file.read(16)
            if int.from_bytes(head[:2], "little") in _EVEN:
                byte_rate = int.from_bytes(head[8:12], "little")
        elif name == b"data":
            missing = at + size - os.fstat(file.fileno()).st_size
            return Extent(size / byte_rate if byte_rate else None, missing > _SLOPPY)
    return Extent(None, is_cut=False)


def _wav_chunks(file: io.FileIO) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of RIFF and RF64, up to one whose size a streaming recorder left open."""
    file.seek(0)
    is_long, large = file.read(4) in (b"RF64", b"BW64"), 0
    at = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = header[:4], int.from_bytes(header[4:], "little")
        if is_long and name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
        elif is_long and name == b"data":
            size = large
        elif name == b"data" and size >= 0x7FFF_0000:
            return
        if name == b"data" and size == 0:
            return
        yield name, at + 8, size
        at += 8 + size + size % 2


def _w64_chunks(file: io.FileIO) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of Sony Wave64: names of 16 bytes, and sizes that count the header."""
    at = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(24)
        size = int.from_bytes(header[16:], "little")
        if len(header) < 24 or size <= 24:
            return
        yield header[:4], at + 24, size - 24
        at += size + -size % 8


def _lacks_chunk_end(file: io.FileIO, at: int, *, is_caf: bool) -> bool:
    """Whether a box of MP4, or a chunk of CAF, goes beyond the file, or fragments end in rubbish.

    Other MP4 may have anything after their boxes.
    """
    fragments = False
    end = os.fstat(file.fileno()).st_size
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(16)
        if len(header) < 12:
            return False
        if is_caf:
            name, size = header[:4], 12 + int.from_bytes(header[4:12], "big", signed=True)
        else:
            name, size = header[4:8], int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:], "big")
            if fragments and size and not (name.isascii() and name.isalnum()):
                return True
            fragments = fragments or name == b"moof"
        if size < 8:  # up to the end of the file
            return False
        if at + size > end:
            return name in (b"mdat", b"moof", b"moov", b"data")
        at += size
    return False


def _is_cut(name: str, file: io.FileIO) -> bool:
    """Whether a file of these formats ends amid a packet, a tag or a chunk."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    head = file.read(8)
    if "mov" in name.split(","):
        return _lacks_chunk_end(file, 0, is_caf=False)
    if name == "ogg":
        return not ogg.has_last_page(file)
    if name == "caf":
        return _lacks_chunk_end(file, 8, is_caf=True)
    if name == "mpegts":
        return transport_stream.ends_amid_packet(file)
    if name == "mpeg":
        return _lacks_ps_packet_end(file, size)
    if name == "asf":
        return _lacks_asf_end(file, size)
    if name == "avi":
        return head[:4] == b"RIFF" and 8 + int.from_bytes(head[4:], "little") > size
    if name == "flv":
        return flv.ends_amid_tag(file)
    return False


def _lacks_ps_packet_end(file: io.FileIO, size: int) -> bool:
    """Whether an MPEG-PS ends amid a packet of its last pack."""
    file.seek(max(0, size - _PS_TAIL))
    tail = file.read()
    at = tail.rfind(_PS_PACK)
    if at < 0:
        return False
    is_mpeg2 = tail[at + 4 : at + 5] >= b"\x40"
    at += 14 + (tail[at + 13 : at + 14] or b"\0")[0] % 8 if is_mpeg2 else 12
    while tail.startswith(_PS_START, at):
        if tail.startswith(b"\xb9", at + 3):  # the program's end
            return False
        at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    return at > len(tail) or _PS_START.startswith(tail[at : at + 3] or b"-")


def _lacks_asf_end(file: io.FileIO, size: int) -> bool:
    """Whether an ASF (WMA, WMV) has fewer packets than it states, or ends amid one."""
    file.seek(16)
    data = int.from_bytes(file.read(8), "little")
    file.seek(0)
    header = file.read(min(data, _LARGEST_ASF_HEADER))
    properties = header.find(_ASF_PROPERTIES)
    if properties < 0:
        return False
    file.seek(data + 16)
    stated = int.from_bytes(file.read(8), "little")
    if stated > _ASF_DATA:
        return data + stated > size
    packet = int.from_bytes(header[properties + 92 : properties + 96], "little")
    return packet > 0 and (size - data - _ASF_DATA) % packet != 0


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
