"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from protocol.errors import RpcError
from worker.system.paths import told
from worker.system.scratch import Passing

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
    """Write texts to paths, as UTF-8, in directories that are made if need be.

    All are written beside their places first, then moved there, so that whoever looks never
    sees a part of one, and a full disk leaves the old ones. Raises `RpcError` of kind
    export_failed or export_exists.
    """
    staged: list[tuple[Passing, Path]] = []
    try:
        for path, text in files:
            _refuse_taken(path, overwrite=overwrite)
            temporary = Passing(path)
            staged.append((temporary, path))
            _write(temporary, path, text)
        for temporary, path in staged:
            _put(temporary.path, path, overwrite=overwrite)
    finally:
        for temporary, _ in staged:
            temporary.remove()


def _refuse_taken(path: Path, *, overwrite: bool) -> None:
    try:
        path.lstat()
    except (OSError, ValueError):
        return  # not there, or writing to it will tell what is wrong
    if path.is_dir():
        _fail(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if not overwrite:
        raise _exists(path)


def _write(temporary: Passing, path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not in text mode: line ends are the format's on every system.
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
    """Move, but never onto a file that somebody made meanwhile."""
    if os.name == "nt":
        temporary.rename(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links; it was not there a moment ago
        temporary.replace(path)
    else:
        temporary.unlink()


def _fail(path: Path, error: OSError | ValueError) -> NoReturn:
    why = getattr(error, "strerror", None) or str(error)
    remedy = _REMEDIES.get(getattr(error, "errno", None) or 0)
    message = f"{told(path)} cannot be written: {why}."
    raise RpcError("export_failed", message, remedy=remedy, path=told(path)) from None


def _exists(path: Path) -> RpcError:
    return RpcError("export_exists", f"{told(path)} is there already.", path=told(path))
