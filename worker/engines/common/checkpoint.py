"""Checkpoints: engines keep intermediate results on disk, so that an interrupted job can resume.

The key of a result is a hash of all it was computed from: model, samples and options. A resumed job
runs like any other, but takes each result that it finds instead of computing it, so that it ends
with the result of an uninterrupted run; results of other jobs are simply not found. Each result
appends one line to a file. Readers skip a line that a kill or a full disk cut short.
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
from worker.system.paths import from_wire

_VERSION: Final = b"2"
"""Part of every key: change it, and older results are no longer found."""


class _Line(msgspec.Struct):
    key: str
    value: msgspec.Raw


class Checkpoint:
    """The results of one stage of a job, in `directory`; if that is None, nothing is kept.

    `model` identifies the model, see `fingerprint`. If writing fails, `note` gets one warning, and
    nothing more is written.
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
            folder = Path(from_wire(directory))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{stage}.jsonl"
            self._file = open(path, "a+b", buffering=0, opener=_private)  # noqa: SIM115
            self._file.seek(0)
            self._found = dict(_lines(self._file.read()))
            if self._file.tell() and not _ends_with_newline(self._file):
                self._file.write(b"\n")
        except OSError as error:
            self._give_up(error)

    def __bool__(self) -> bool:
        """Whether there are results to find, or new ones are kept."""
        return self._file is not None or bool(self._found)

    def key(self, *of: Any) -> str:
        """The key of a result computed from bytes-like objects, and other objects by their JSON."""
        digest = hashlib.blake2b(self._model, digest_size=16, person=_VERSION)
        for each in of:
            data = each if isinstance(each, bytes | memoryview) else _encode(each)
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str, type_: Any) -> Any:
        """The result kept under a key, or None."""
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
            if written < len(line):  # the disk is nearly full: the next write raises
                self._file.write(line[written:])
        except OSError as error:
            self._give_up(error)

    def notices(self) -> list[Notice]:
        """A notice that the stage resumed, if it found any results."""
        if not self._hits:
            return []
        message = f"{self._stage.capitalize()} resumed from the checkpoint."
        return [Notice(kind="resumed", option="checkpoint", message=message)]

    def close(self) -> None:
        """Close the file; later results are not kept."""
        if self._file:
            self._file.close()
            self._file = None

    def _give_up(self, error: OSError) -> None:
        self.close()
        message = f"The checkpoint cannot be written: {error.strerror or type(error).__name__}."
        self._note(Notice(kind="checkpoint_failed", option="checkpoint", message=message))


def fingerprint(model: str, *packages: ModuleType) -> str:
    """Identify a model, given by name or path, and the versions of the packages that run it.

    Names, sizes and times of its files stand for their content.
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
        except msgspec.DecodeError:  # cut short, or empty after the last newline
            continue
        found.append((read.key, read.value))
    return found


def _ends_with_newline(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
