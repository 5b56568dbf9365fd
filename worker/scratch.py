"""Private temporary directories: gone with the work, and those of a killed worker with the next."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Final

from protocol.errors import RpcError

_PREFIX: Final = "transcription-worker-"
_LOCK: Final = "lock"


class Scratch:
    """A new directory that only this user can read; use it as a context manager.

    `purpose` is part of its name. While it is there, a file in it is held locked: so that others
    know it is in use. Raises `RpcError` of kind storage_failed.
    """

    def __init__(self, purpose: str) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
            self._lock = (self.path / _LOCK).open("wb")
        except OSError as error:
            raise RpcError(
                "storage_failed",
                f"No temporary directory can be made in {tempfile.gettempdir()}: {error.strerror}.",
                path=tempfile.gettempdir(),
            ) from None
        _hold(self._lock)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete it and what is in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Delete the directories that workers left behind which could not clean up."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        if _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


if sys.platform == "win32":

    def _hold(lock: IO[bytes]) -> None:
        """An open file cannot be deleted there: that is lock enough."""

    def _abandoned(path: Path) -> bool:
        try:
            (path / _LOCK).unlink()
        except OSError:
            return False
        return True

else:
    import fcntl

    def _hold(lock: IO[bytes]) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _abandoned(path: Path) -> bool:
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            return False
        try:
            with (path / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # in use; or just being made
            return False
        return True
