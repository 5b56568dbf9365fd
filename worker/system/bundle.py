"""Whether the frozen bundle still holds every file that the build listed in `contents.txt`.

This is a glance at names and ELF headers; the probe finds out whether the packages work.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

CONTENTS: Final = "contents.txt"
"""Lists the bundle's files, one path per line, relative to the bundle, with `/` separators."""


def damaged() -> frozenset[str]:
    """Names of the packages that lack a file, or hold a library for another kind of machine.

    A file outside any package counts under its own name. Empty when run from source.
    """
    place = getattr(sys, "_MEIPASS", None)
    if place is None:
        return frozenset()
    try:
        paths = Path(place, CONTENTS).read_text("utf-8").splitlines()
    except OSError:
        return frozenset({CONTENTS})
    ours = _machine(Path(sys.executable))
    return frozenset(_package(path) for path in paths if not _is_sound(Path(place, path), ours))


def _is_sound(path: Path, ours: bytes) -> bool:
    if sys.platform == "linux" and ".so" in path.suffixes:
        return _machine(path) == ours
    return path.exists()


def _machine(path: Path) -> bytes:
    """The ELF header fields that name the machine: word size, byte order, processor."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return b""
    return header[:6] + header[18:]


def _package(path: str) -> str:
    """`ctranslate2` for `ctranslate2.libs/…`, `pyannote.audio` for `pyannote/audio/…`."""
    first, _, rest = path.partition("/")
    if first == "pyannote":
        return f"{first}.{rest.partition('/')[0]}"
    return first.removesuffix(".libs")
