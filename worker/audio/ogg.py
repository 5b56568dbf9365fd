"""What the pages of an Ogg file tell: whether its end is missing, or the start of its audio."""

from __future__ import annotations

import io
import os
from typing import Final

_LARGEST_PAGE: Final = 65_307
_LAST: Final = 4
_HEADER: Final = 27
_CAPTURE: Final = b"OggS"
_NO_END: Final = (1 << 64) - 1
"""The position of a page in which no packet ends."""
_MAX_HEADERS: Final = 1000


def has_last_page(file: io.FileIO) -> bool:
    """Whether the last page is there, and marked as such."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - 2 * _LARGEST_PAGE))
    tail = file.read(2 * _LARGEST_PAGE)
    at = tail.rfind(_CAPTURE)
    if at < 0:
        return True
    segments = at + _HEADER
    content = segments + tail[segments - 1] if len(tail) >= segments else len(tail) + 1
    length = sum(tail[segments:content])
    return content + length <= len(tail) and bool(tail[at + 5] & _LAST)


def lacks_first_audio(file: io.FileIO, found: int) -> bool:
    """Whether audio lies before the page at byte `found`, the first whose audio FFmpeg found.

    Pages of headers have the position 0; a recorder that joined a broadcast writes them, too, and
    begins at any other.
    """
    at = 0
    for _ in range(_MAX_HEADERS):
        file.seek(at)
        page = file.read(_HEADER + 255)
        position = int.from_bytes(page[6:14], "little")
        is_page = len(page) > _HEADER and page.startswith(_CAPTURE)
        if not is_page or position not in (0, _NO_END):
            return at < found
        segments = page[_HEADER : _HEADER + page[_HEADER - 1]]
        at += _HEADER + len(segments) + sum(segments)
    return False
