"""What engines have worked out, kept on disk, so that a job that was broken off goes on from there.

Results are found again by what they were computed from: model, samples and options. A resumed job
runs as any other and is given what is there instead of computing it, so that its result is that of
an unbroken run; what belongs to another job is merely not found. A file only ever grows, by a line
a result, and a line that a kill or a full disk has cut is left out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final

import msgspec

from protocol.values import Notice
from worker.system.paths import local

_VERSION: Final = b"2"
"""Of what is kept; results of another are not found."""


class _Line(msgspec.Struct):
    key: str
    value: msgspec.Raw


class Checkpoint:
    """One stage's results below the directory of a job; without one, nothing is kept.

    `model` tells models apart, see `fingerprint`; `note` is told once when no more can be kept.
    """

    def __init__(
        self, directory: str | None, stage: str, model: str, note: Callable[[Notice], None]
    ) -> None:
        self._note = note
        self._stage = stage
        self._model = model.encode()
        self._found: dict[str, msgspec.Raw] = {}
        self._file: IO[bytes] | None = None
        self._hits = 0
        if directory is None:
            return
        try:
            folder = Path(local(directory))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{stage}.jsonl"
            self._file = open(path, "a+b", buffering=0, opener=_private)  # noqa: SIM115
            self._file.seek(0)
            self._found = dict(_lines(self._file.read()))
            if self._file.tell() and not _ends_whole(self._file):
                self._file.write(b"\n")
        except OSError as error:
            self._give_up(error)

    def __bool__(self) -> bool:
        """Whether anything is or was kept."""
        return self._file is not None or bool(self._found)

    def key(self, *of: Any) -> str:
        """The name of what is computed from bytes-like objects, and others by their JSON."""
        digest = hashlib.blake2b(self._model, digest_size=16, person=_VERSION)
        for each in of:
            data = each if isinstance(each, bytes | memoryview) else _encode(each)
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str, type_: Any) -> Any:
        """What was kept under a key, or None."""
        try:
            value = msgspec.json.decode(self._found[key], type=type_)
        except (KeyError, msgspec.DecodeError):
            return None
        self._hits += 1
        return value

    def put(self, key: str, value: Any) -> None:
        """Keep a result."""
        if self._file is None:
            return
        line = msgspec.json.encode(_Line(key, msgspec.Raw(msgspec.json.encode(value)))) + b"\n"
        try:
            written = self._file.write(line)
            if written < len(line):  # the disk is nearly full: the next write will say so
                self._file.write(line[written:])
        except OSError as error:
            self._give_up(error)

    def resumed(self) -> list[Notice]:
        """Say that results were taken from here, if so."""
        if not self._hits:
            return []
        message = f"{self._stage.capitalize()} went on from what the checkpoint holds."
        return [Notice(kind="resumed", option="checkpoint", message=message)]

    def close(self) -> None:
        """Nothing more is kept."""
        if self._file:
            self._file.close()
            self._file = None

    def _give_up(self, error: OSError) -> None:
        self.close()
        message = f"The checkpoint could not be kept: {error.strerror or type(error).__name__}."
        self._note(Notice(kind="checkpoint_failed", option="checkpoint", message=message))


def fingerprint(model: str, *packages: ModuleType) -> str:
    """The name of a model, or the path of its file or directory, and what its files look like.

    The versions of the packages that compute with it belong to it.
    """
    path = Path(model)
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    states = ((each, each.stat()) for each in files if each.is_file())
    return "|".join(
        [
            model,
            *(f"{each.__name__} {getattr(each, '__version__', '')}" for each in packages),
            *(f"{each}:{state.st_size}:{state.st_mtime_ns}" for each, state in states),
        ]
    )


_encode = msgspec.json.Encoder(enc_hook=lambda number: number.item()).encode  # numpy's numbers


def _private(path: str, flags: int) -> int:
    fd = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return fd


def _lines(content: bytes) -> list[tuple[str, msgspec.Raw]]:
    found = []
    for line in content.split(b"\n"):
        try:
            read = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:  # cut, or the empty rest
            continue
        found.append((read.key, read.value))
    return found


def _ends_whole(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
