"""What is done already, on disk: a marker for each recording, written after its files.

A marker is taken away before work begins and put back, whole or not at all, when everything is
written: a kill at any moment leaves a recording done or to be done again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.batch.inputs import Task
from worker.formats.files import write_all
from worker.system.paths import is_utf8, local, told

_FOLDER: Final = ".batch"
_NO_MATTER: Final = frozenset(
    {"checkpoint", "deviceIndex", "download", "keepAlive", "priority", "threads"}
)
"""Params that do not change what is written."""


class Marker(msgspec.Struct, kw_only=True):
    """That a recording is done: by what content and options, and what was written."""

    fingerprint: str
    outputs: list[str]
    """Relative to the output folder where they are below it."""
    duration: float


class Markers:
    """The markers below an output folder."""

    def __init__(self, output_dir: Path) -> None:
        self._root = output_dir

    def find(self, task: Task, fingerprint: str) -> Marker | None:
        """The task's marker, if content and options are the same and its files are there."""
        try:
            marker = msgspec.json.decode(self._path(task).read_bytes(), type=Marker)
        except (OSError, msgspec.DecodeError):
            return None
        there = all((self._root / local(each)).is_file() for each in marker.outputs)
        return marker if there and marker.fingerprint == fingerprint else None

    def forget(self, task: Task) -> None:
        """Take the marker away, before the task's files are replaced."""
        self._path(task).unlink(missing_ok=True)

    def put(self, task: Task, fingerprint: str, outputs: list[str], duration: float) -> None:
        """Mark as done; raises `RpcError` of kind export_failed."""
        marker = Marker(
            fingerprint=fingerprint,
            outputs=[self._kept(Path(local(each))) for each in outputs],
            duration=duration,
        )
        write_all([(self._path(task), msgspec.json.encode(marker).decode())], overwrite=True)

    def checkpoint(self, task: Task) -> Path:
        """The directory in which the engines keep what they have of a task until it is done."""
        return self._path(task).with_suffix("")

    def paths(self, marker: Marker) -> list[str]:
        """The files of a marker, as they were reported."""
        return [told(self._root / local(each)) for each in marker.outputs]

    def _kept(self, path: Path) -> str:
        below = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        return str(below) if is_utf8(str(below)) else told(path)

    def _path(self, task: Task) -> Path:
        place = os.path.relpath(task.folder / str(task.name), self._root)
        digest = hashlib.sha256(os.fsencode(place)).hexdigest()
        return self._root / _FOLDER / f"{digest[:32]}.json"


def fingerprint(task: Task, params: dict[str, Any]) -> str:
    """Of the file's bytes, the options and the model; raises `OSError`.

    A model from the hub is known by its name and revision, a directory by its files' sizes and
    times.
    """
    with task.path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    options = {name: value for name, value in params.items() if name not in _NO_MATTER}
    model = options.get("model")
    if isinstance(model, str) and Path(model).is_dir():
        options["model"] = _directory(Path(model).absolute())
    told = msgspec.json.encode([content, options], order="sorted")
    return hashlib.sha256(told).hexdigest()


def _directory(path: Path) -> list[Any]:
    with os.scandir(path) as entries:
        files = [(each.name, each.stat()) for each in entries if each.is_file()]
    return [str(path), sorted([name, each.st_size, each.st_mtime_ns] for name, each in files)]
