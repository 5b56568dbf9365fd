"""Paths as clients write them, and files that are safe to read.

JSON holds UTF-8 alone, names of files any bytes. One whose path is not UTF-8 goes by its `file:`
URI (RFC 8089), which has any byte as `%XX`; a path that is UTF-8 may be written in that way too.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from protocol.errors import RpcError

_SCHEME: Final = "file://"
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotAFileError(OSError):
    """What is there is a directory, a device, a pipe or a socket; `strerror` says which."""


def local(text: str) -> str:
    """The path that `text` means. Raises `RpcError` for a URI of another computer."""
    if not text.startswith(_SCHEME):
        return text
    host, slash, rest = text[len(_SCHEME) :].partition("/")
    if host not in ("", "localhost"):
        raise RpcError("invalid_params", f"{text} names a file of another computer.")
    path = os.fsdecode(unquote_to_bytes(slash + rest))
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def told(path: str | os.PathLike[str]) -> str:
    """A path as JSON can hold it: itself, or the URI of one that is not UTF-8."""
    text = os.fspath(path)
    return text if is_utf8(text) else Path(text).absolute().as_uri()


def told_name(name: str) -> str:
    """A file's name for JSON, where it cannot be a URI: bytes that are not UTF-8 as `%XX`."""
    if is_utf8(name):
        return name
    return "".join(
        f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in name
    )


def printable(text: str) -> str:
    """Text on one line of UTF-8: bytes of paths that are none, and control characters, escaped."""
    text = os.fsencode(text).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_regular(path: str) -> int:
    """A descriptor to read a regular file by; raises `OSError` or `ValueError`.

    Anything else could block for ever, or never end: it is neither opened nor, where it takes the
    place of a file at the last moment, read.
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
    """Whether JSON can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
