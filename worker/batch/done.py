"""Remembers on disk which recordings are done: one marker per recording, written after its files.

The batch deletes a marker before it starts the work, and writes it atomically after all files are
written. So a kill at any moment leaves each recording either done or still to do.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.batch.inputs import Task, file_name, folded, place
from worker.formats.files import write_all
from worker.system.paths import from_wire, is_utf8, to_wire

_FOLDER: Final = ".batch"
_IRRELEVANT: Final = frozenset(
    {"checkpoint", "deviceIndex", "download", "keepAlive", "priority", "threads"}
)
"""Params that do not change the written files."""


class Marker(msgspec.Struct, kw_only=True):
    """A done recording: the fingerprint of its content and options, and its written files."""

    recording: str = ""
    """The name of its file."""
    fingerprint: str
    outputs: list[str]
    """Relative to the output folder if they are below it."""
    duration: float


class Markers:
    """The markers below an output folder."""

    def __init__(self, output_dir: Path) -> None:
        self._root = output_dir

    def find(self, task: Task, fingerprint: str) -> Marker | None:
        """The task's marker, if content and options are unchanged and its files exist."""
        marker = self._read(task)
        return marker if marker and marker.fingerprint == fingerprint else None

    def owner(self, task: Task) -> str | None:
        """The file name of the recording whose files a batch put where the task's would be."""
        marker = self._read(task)
        return (marker.recording or None) if marker else None

    def _read(self, task: Task) -> Marker | None:
        """The marker at the task's place, if its files exist."""
        try:
            marker = msgspec.json.decode(self._path(task).read_bytes(), type=Marker)
        except (OSError, msgspec.DecodeError):
            return None
        there = all((self._root / from_wire(each)).is_file() for each in marker.outputs)
        return marker if there else None

    def remove(self, task: Task) -> None:
        """Delete the marker, before the task's files are replaced."""
        self._path(task).unlink(missing_ok=True)

    def write(self, task: Task, fingerprint: str, outputs: list[str], duration: float) -> None:
        """Mark a task as done; raises `RpcError` of kind export_failed."""
        marker = Marker(
            recording=file_name(task),
            fingerprint=fingerprint,
            outputs=[self._kept(Path(from_wire(each))) for each in outputs],
            duration=duration,
        )
        write_all([(self._path(task), msgspec.json.encode(marker).decode())], overwrite=True)

    def checkpoint(self, task: Task) -> Path:
        """The folder in which the engines keep a task's intermediate results until it is done."""
        return self._path(task).with_suffix("")

    def paths(self, marker: Marker) -> list[str]:
        """The files of a marker, as the report lists them."""
        return [to_wire(self._root / from_wire(each)) for each in marker.outputs]

    def _kept(self, path: Path) -> str:
        below = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        return str(below) if is_utf8(str(below)) else to_wire(path)

    def _path(self, task: Task) -> Path:
        below = os.path.relpath(place(task), folded(self._root))
        digest = hashlib.sha256(os.fsencode(below)).hexdigest()
        return self._root / _FOLDER / f"{digest[:32]}.json"


def fingerprint(task: Task, params: dict[str, Any]) -> str:
    """A hash of the file's bytes, the options and the model; raises `OSError`.

    A hub model is identified by its name and revision, a model directory by the sizes and times of
    its files.
    """
    with task.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    options = {name: value for name, value in params.items() if name not in _IRRELEVANT}
    model = options.get("model")
    if isinstance(model, str) and Path(model).is_dir():
        options["model"] = _directory(Path(model).absolute())
    told = msgspec.json.encode([content, options], order="sorted")
    return hashlib.sha256(told).hexdigest()


def _directory(path: Path) -> list[Any]:
    with os.scandir(path) as entries:
        files = [(each.name, each.stat()) for each in entries if each.is_file()]
    return [str(path), sorted([name, each.st_size, each.st_mtime_ns] for name, each in files)]
