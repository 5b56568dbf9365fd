"""Keeps the audio of a stream in a WAV file, whatever happens to its recognition.

It writes on a thread of its own: a disk may be slow, or hang, and reading from the client goes on.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from protocol.errors import RpcError
from worker.live.wav import WavWriter

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.live import SampleFormat
    from worker.live.intake import Chunk

_MOST_WAITING: Final = 64 << 20
"""Bytes that may wait for the disk."""
_FLUSH_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 10.0


class Recorder:
    """Creates the file. Raises `RpcError` of kind export_exists or export_failed."""

    def __init__(
        self, path: Path, format_: SampleFormat, rate: int, *, overwrite: bool = False
    ) -> None:
        self.path = path
        self.failure: RpcError | None = None
        """Why the file does not have all audio."""
        self._rate = rate
        self._waiting: list[Chunk] = []
        self._waiting_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        mode = os.O_TRUNC if overwrite else os.O_EXCL
        try:
            self._fd = os.open(
                path, os.O_RDWR | os.O_CREAT | mode | getattr(os, "O_BINARY", 0), 0o600
            )
            self._file = WavWriter(self._fd, format_, rate)
        except FileExistsError:
            raise RpcError(
                "export_exists", f"The recording {path} exists already.", path=str(path)
            ) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self._failed(error) from None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add(self, chunk: Chunk) -> None:
        """Queue a chunk."""
        with self._changed:
            if self._closed or self.failure:
                return
            self._waiting.append(chunk)
            self._waiting_bytes += len(chunk.data)
            if self._waiting_bytes > _MOST_WAITING:
                self.failure = self._failed(OSError(None, "the disk is too slow"))
                self._waiting.clear()
            self._changed.notify_all()

    def wait(self, seconds: float, timeout: float) -> bool:
        """Wait until the file has that much audio; return whether it has."""
        samples = seconds * self._rate
        with self._changed:
            return (
                self._changed.wait_for(
                    lambda: bool(self.failure) or self._file.samples >= samples, timeout
                )
                and not self.failure
            )

    def close(self) -> None:
        """Write what waits, and close the file; give up on a disk that hangs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        flushed_at = time.monotonic()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                    chunks, self._waiting = self._waiting, []
                    self._waiting_bytes = 0
                    if not chunks:
                        break
                for chunk in chunks:
                    if chunk.missing:
                        self._file.skip(chunk.missing)
                    if chunk.data:
                        self._file.write(chunk.data)
                with self._changed:
                    self._changed.notify_all()
                if time.monotonic() - flushed_at > _FLUSH_SECONDS:
                    self._file.flush()
                    flushed_at = time.monotonic()
            self._file.flush()
        except OSError as error:
            with self._changed:
                self.failure = self.failure or self._failed(error)
                self._changed.notify_all()
        finally:
            os.close(self._fd)

    def _failed(self, error: OSError | ValueError) -> RpcError:
        reason = getattr(error, "strerror", None) or str(error)
        return RpcError(
            "export_failed",
            f"The recording {self.path} cannot be written: {reason}.",
            remedy="Check the path of record and the free space of its disk.",
            path=str(self.path),
        )
