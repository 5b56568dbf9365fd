"""Paths between the wire and the file system, and opening files that are safe to read.

JSON holds only UTF-8, but a file name may hold any bytes. A path that is not UTF-8 goes over the
wire as a `file:` URI (RFC 8089), which writes any byte as `%XX`; clients may send any path so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from protocol.errors import RpcError

_SCHEME: Final = "file://"
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotAFileError(OSError):
    """The path names a directory, a device, a pipe or a socket; `strerror` says which."""


def from_wire(text: str) -> str:
    """Convert a path or `file:` URI from JSON.

    Raises `RpcError` for a URI of another computer, or whose bytes cannot be a path on Windows.
    """
    if not text.startswith(_SCHEME):
        return text
    host, slash, rest = text[len(_SCHEME) :].partition("/")
    if host not in ("", "localhost"):
        raise RpcError("invalid_params", f"{text} names a file on another computer.")
    try:
        path = os.fsdecode(unquote_to_bytes(slash + rest))
    except UnicodeDecodeError:  # Windows
        raise RpcError("invalid_params", f"{text} is not UTF-8, as names are here.") from None
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def to_wire(path: str | os.PathLike[str]) -> str:
    """Convert a path for JSON: unchanged if it is UTF-8, else its `file:` URI."""
    text = os.fspath(path)
    return text if is_utf8(text) else Path(text).absolute().as_uri()


def name_to_wire(name: str) -> str:
    """Convert a bare file name for JSON: what is not UTF-8 becomes `%XX`."""
    return "".join(char if is_utf8(char) else quote(os.fsencode(char)) for char in name)


def printable(text: str) -> str:
    """Escape `text` to one line of UTF-8: control characters, and bytes that are not UTF-8."""
    text = os.fsencode(text).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_regular(path: str) -> int:
    """Open a regular file for reading; return the descriptor. Raises `OSError` or `ValueError`.

    Anything else could block for ever or never end. It is checked before it is opened, and again
    before anything is read, in case it replaces the file in between.
    """
    _refuse_other(Path(path).stat().st_mode)
    fd = os.open(path, os.O_RDONLY | _NONBLOCK)
    try:
        _refuse_other(os.fstat(fd).st_mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _refuse_other(mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise NotAFileError(0, f"it is {what}")


def is_utf8(text: str) -> bool:
    """Whether JSON can hold `text`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
