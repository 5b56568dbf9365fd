"""A small disk for a worker, which a test can fill at any moment to make writes fail."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Protocol

MIB: Final = 1 << 20


class Disk(Protocol):
    """A program started with the command line `prefix` sees the disk at `path`."""

    path: Path
    prefix: list[str]
    pid: int
    """Process id of that program, which filling the disk needs."""

    def leave(self, free: int) -> None:
        """Fill the disk until about `free` bytes are left."""

    def relieve(self) -> None:
        """Free the space again."""

    def files(self) -> list[Path]:
        """Every file on the disk."""


class SmallDisk:
    """A tmpfs in the program's own mount namespace, which really runs full.

    It needs no privileges, but user namespaces must be allowed.
    """

    pid: int

    def __init__(self, path: Path, size: int = 16 * MIB) -> None:
        self.path = path
        path.mkdir()
        mount = f'mount -t tmpfs -o size={size},mode=700 small "$0" && exec "$@"'
        self.prefix = [*_UNSHARE, "sh", "-c", mount, str(path)]

    @property
    def seen(self) -> Path:
        """The path at which other processes see it."""
        return Path(f"/proc/{self.pid}/root{self.path}")

    def leave(self, free: int) -> None:
        """Fill the disk until about `free` bytes are left."""
        with (self.seen / _FILLER).open("wb") as filler:
            while (more := self._available() - free) > 0:
                with suppress(OSError):  # the worker writes concurrently
                    at = os.fstat(filler.fileno()).st_size
                    os.posix_fallocate(filler.fileno(), at, more)

    def _available(self) -> int:
        status = os.statvfs(self.seen)
        return status.f_bavail * status.f_frsize

    def relieve(self) -> None:
        """Free the space again."""
        (self.seen / _FILLER).unlink()

    def files(self) -> list[Path]:
        """Every file on the disk."""
        return [path for path in _files(self.seen) if path.name != _FILLER]


class Limited:
    """A limit to the size of each file that the processes `pids` write."""

    pid: int

    def __init__(self, path: Path, pids: Callable[[], Iterable[int]]) -> None:
        self.path = path
        path.mkdir()
        self.prefix: list[str] = []
        self._pids = pids

    def leave(self, free: int) -> None:
        """Limit files to `free` bytes."""
        self._limit(free)

    def relieve(self) -> None:
        """Lift the limit."""
        self._limit(resource.RLIM_INFINITY)

    def files(self) -> list[Path]:
        """Every file on the disk."""
        return _files(self.path)

    def _limit(self, size: int) -> None:
        for pid in self._pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@cache
def namespaces_are_allowed() -> bool:
    """Whether this user may create user and mount namespaces."""
    done = subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "x", "/tmp"], capture_output=True)
    return done.returncode == 0


_UNSHARE: Final = ["unshare", "--user", "--map-root-user", "--mount"]
_FILLER: Final = "filler"


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
