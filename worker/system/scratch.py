"""Temporary files and directories that do not outlive their work.

A worker deletes its own when they are no longer needed, and at the latest on exit. A killed worker
cannot: so each directory holds a locked file, the system releases the lock with the process, and
the next worker sweeps directories whose lock it can take.
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

    `purpose` becomes part of its name. Raises `RpcError` of kind storage_failed.
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
                    f"Cannot create a temporary directory in {_place()}: {error.strerror}.",
                    path=_place(),
                ) from None
            _made.add(self)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete the directory with its content."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():  # out of descriptors, say: `close` tries once more
            return
        with _made_lock:
            _made.discard(self)


class PendingFile:
    """A temporary file beside `target`, which the caller moves there once it is complete."""

    def __init__(self, target: Path) -> None:
        # A short name: one derived from a long target name could exceed the file system's limit.
        self.path = target.with_name(f".{secrets.token_hex(8)}.tmp")

    def write(self, content: bytes, mode: int | None = None) -> None:
        """Create the file and flush the content to disk; with `mode`, set its permissions first."""
        with _made_lock:
            _made.add(self)
        # Without the lock: the disk may be a slow network share.
        with self.path.open("xb") as file:
            if mode is not None:
                self.path.chmod(mode)
            if _closed:
                self.remove()
                raise RpcError("shutting_down")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Delete the file, if it exists."""
        with _made_lock:
            _made.discard(self)
        try:
            self.path.unlink()
        except (OSError, ValueError):  # ValueError: a NUL character in the path
            pass


_made: Final[set[Scratch | PendingFile]] = set()
_made_lock: Final = threading.Lock()
_closed = False


def close() -> None:
    """Delete everything this process has made, in use or not; later attempts to make more fail."""
    global _closed
    with _made_lock:
        _closed = True
        left = list(_made)
    for each in left:
        each.remove()


def sweep() -> None:
    """Delete the directories that killed workers left behind."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        if _abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _place() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # it cannot use any candidate
        return "any of the usual places"


def _locked(path: Path) -> IO[bytes]:
    try:
        return _made_and_held(path / _LOCK)
    except OSError:
        path.rmdir()
        raise


if sys.platform == "win32":

    def _made_and_held(lock: Path) -> IO[bytes]:
        """Windows refuses to delete an open file, which is lock enough."""
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
        """Lock the file before giving it its name: another worker may sweep at any moment."""
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
        except OSError:  # in use, or another process is creating or removing it
            return False
        return True
