"""Temporary files and directories, gone with the work.

The directories are private, and those of a killed worker go with the next one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import threading
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
        with _made_lock:
            if _closed:
                raise RpcError("shutting_down")
            try:
                self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
                self._lock = _locked(self.path)
            except OSError as error:
                raise RpcError(
                    "storage_failed",
                    f"No temporary directory can be made in {_place()}: {error.strerror}.",
                    path=_place(),
                ) from None
            _made.add(self)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete it and what is in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():  # without descriptors, say: `close` tries once more
            return
        with _made_lock:
            _made.discard(self)


class Passing:
    """A file beside the place of another, which it becomes when it is whole."""

    def __init__(self, place: Path) -> None:
        # The name is short: a long one of the file's own still fits its directory.
        self.path = place.with_name(f".{secrets.token_hex(8)}.tmp")

    def write(self, content: bytes) -> None:
        """Make it, and have the content on the disk."""
        with _made_lock:
            _made.add(self)
        # Not with the lock held: the disk may be somewhere in a network.
        with self.path.open("xb") as file:
            if _closed:
                self.remove()
                raise RpcError("shutting_down")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Delete it, if it was made and is still there."""
        with _made_lock:
            _made.discard(self)
        try:
            self.path.unlink()
        except (OSError, ValueError):  # ValueError: a NUL character in the path
            pass


_made: Final[set[Scratch | Passing]] = set()
_made_lock: Final = threading.Lock()
_closed = False


def close() -> None:
    """Delete all that this process has made, whoever uses it, and let no more be made."""
    global _closed
    with _made_lock:
        _closed = True
        left = list(_made)
    for each in left:
        each.remove()


def sweep() -> None:
    """Delete the directories that workers left behind which could not clean up."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        if _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _place() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none of those that it knows is usable
        return "any of the usual places"


def _locked(path: Path) -> IO[bytes]:
    try:
        return _made_and_held(path / _LOCK)
    except OSError:
        path.rmdir()
        raise


if sys.platform == "win32":

    def _made_and_held(lock: Path) -> IO[bytes]:
        """An open file cannot be deleted there: that is lock enough."""
        return lock.open("wb")

    def _abandoned(path: Path) -> bool:
        try:
            (path / _LOCK).unlink()
        except OSError:
            return False
        return True

else:
    import fcntl

    def _made_and_held(lock: Path) -> IO[bytes]:
        """The file gets its name when it is held: others may sweep at any moment."""
        nameless = lock.with_suffix(".new")
        file = nameless.open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nameless.rename(lock)
        except OSError:
            file.close()
            nameless.unlink()
            raise
        return file

    def _abandoned(path: Path) -> bool:
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                return False
            with (path / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # in use; or just being made, or removed
            return False
        return True
