"""Writes several files, each complete or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from protocol.errors import RpcError
from worker.system.paths import to_wire
from worker.system.scratch import PendingFile

_REMEDIES: Final = {
    errno.ENOSPC: "Free some space on the disk, or give another outputDir.",
    errno.EDQUOT: "The quota is used up: delete files, or give another outputDir.",
    errno.EACCES: "Give an outputDir that the worker may write to.",
    errno.EPERM: "Give an outputDir that the worker may write to.",
    errno.EROFS: "The disk is read-only: give another outputDir.",
    errno.ENOTDIR: "A part of the path is a file: give another outputDir.",
    errno.ENAMETOOLONG: "Give a shorter name.",
}


def write_all(files: Sequence[tuple[Path, str]], *, overwrite: bool) -> None:
    """Write texts to paths as UTF-8, creating folders as needed.

    Writes all temporary files first, then moves them into place: readers never see a partial
    file, and a full disk leaves the old ones. Raises `RpcError` of kind export_failed or
    export_exists.
    """
    staged: list[tuple[PendingFile, Path]] = []
    try:
        for path, text in files:
            _refuse_existing(path, overwrite=overwrite)
            temporary = PendingFile(path)
            staged.append((temporary, path))
            _write(temporary, path, text)
        for temporary, path in staged:
            _put(temporary.path, path, overwrite=overwrite)
    finally:
        for temporary, _ in staged:
            temporary.remove()


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    try:
        path.lstat()
    except (OSError, ValueError):
        return  # it does not exist, or writing to it will say what is wrong
    if path.is_dir():
        _fail(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if not overwrite:
        raise _exists(path)


def _write(temporary: PendingFile, path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not in text mode: the format decides the line ends on every system.
        temporary.write(text.encode())
    except (OSError, ValueError) as error:
        _fail(path, error)


def _put(temporary: Path, path: Path, *, overwrite: bool) -> None:
    try:
        if overwrite:
            temporary.replace(path)
        else:
            _put_new(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        _fail(path, error)


def _put_new(temporary: Path, path: Path) -> None:
    """Move, but never onto a file that another process created meanwhile."""
    if os.name == "nt":
        temporary.rename(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system; the file did not exist a moment ago
        temporary.replace(path)
    else:
        temporary.unlink()


def _fail(path: Path, error: OSError | ValueError) -> NoReturn:
    why = getattr(error, "strerror", None) or str(error)
    remedy = _REMEDIES.get(getattr(error, "errno", None) or 0)
    message = f"{to_wire(path)} cannot be written: {why}."
    raise RpcError("export_failed", message, remedy=remedy, path=to_wire(path)) from None


def _exists(path: Path) -> RpcError:
    return RpcError("export_exists", f"{to_wire(path)} already exists.", path=to_wire(path))
