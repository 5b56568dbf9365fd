"""A small disk for a worker: what it writes there can be made to fail at any moment."""

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
    """`path` is where a program sees it whose command line is `prefix` and its own."""

    path: Path
    prefix: list[str]
    pid: int
    """Process id of that program, for whoever fills the disk."""

    def leave(self, free: int) -> None:
        """Fill it, so that about `free` more bytes can be written."""

    def relieve(self) -> None:
        """Make room again."""

    def files(self) -> list[Path]:
        """Every file on it."""


class SmallDisk:
    """A tmpfs that only the program sees, mounted in a namespace of its own: really full.

    No privilege is needed, but namespaces of users must be allowed.
    """

    pid: int

    def __init__(self, path: Path, size: int = 16 * MIB) -> None:
        self.path = path
        path.mkdir()
        mount = f'mount -t tmpfs -o size={size},mode=700 small "$0" && exec "$@"'
        self.prefix = [*_UNSHARE, "sh", "-c", mount, str(path)]

    @property
    def seen(self) -> Path:
        """Where others see it."""
        return Path(f"/proc/{self.pid}/root{self.path}")

    def leave(self, free: int) -> None:
        """Fill it, so that about `free` more bytes can be written."""
        with (self.seen / _FILLER).open("wb") as filler:
            while (more := self._available() - free) > 0:
                with suppress(OSError):  # the worker writes at the same time
                    at = os.fstat(filler.fileno()).st_size
                    os.posix_fallocate(filler.fileno(), at, more)

    def _available(self) -> int:
        status = os.statvfs(self.seen)
        return status.f_bavail * status.f_frsize

    def relieve(self) -> None:
        """Make room again."""
        (self.seen / _FILLER).unlink()

    def files(self) -> list[Path]:
        """Every file on it."""
        return [path for path in _files(self.seen) if path.name != _FILLER]


class Limited:
    """A limit to the size of each file, for all of `pids`: what is beyond cannot be written."""

    pid: int

    def __init__(self, path: Path, pids: Callable[[], Iterable[int]]) -> None:
        self.path = path
        path.mkdir()
        self.prefix: list[str] = []
        self._pids = pids

    def leave(self, free: int) -> None:
        """Have files end after `free` bytes."""
        self._limit(free)

    def relieve(self) -> None:
        """Let files be of any size again."""
        self._limit(resource.RLIM_INFINITY)

    def files(self) -> list[Path]:
        """Every file on it."""
        return _files(self.path)

    def _limit(self, size: int) -> None:
        for pid in self._pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@cache
def namespaces_are_allowed() -> bool:
    """Whether this user may mount what only its processes see."""
    done = subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "x", "/tmp"], capture_output=True)
    return done.returncode == 0


_UNSHARE: Final = ["unshare", "--user", "--map-root-user", "--mount"]
_FILLER: Final = "filler"


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
