"""The frozen bundle: whether all that was put into it is there, as far as a glance tells.

The build lists what belongs to it. Whether what is there works, the probe tells.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

CONTENTS: Final = "contents.txt"
"""Paths of the bundle's files, one a line, `/` between the parts; below the bundle's directory."""


def damaged() -> frozenset[str]:
    """Names of the packages that lack a file, or have a library for another kind of machine.

    A file that belongs to none goes by its own name. Nothing is damaged where the program runs
    from source.
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
    """What an ELF file says of the machine that it is for: word size, byte order, processor."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return b""
    return header[:6] + header[18:]


def _package(path: str) -> str:
    """`ctranslate2` of `ctranslate2.libs/…`, `pyannote.audio` of `pyannote/audio/…`."""
    first, _, rest = path.partition("/")
    if first == "pyannote":
        return f"{first}.{rest.partition('/')[0]}"
    return first.removesuffix(".libs")
