"""A WAV file that is valid whenever its writer is killed.

The header says how much audio there is, and is written again after each piece. A file beyond 4 GiB
becomes an RF64 (EBU Tech 3306), for which the header has room from the start.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from worker.live.intake import SAMPLE_BYTES

if TYPE_CHECKING:
    from protocol.live import SampleFormat

_CODES: Final = {"pcm16": 1, "float32": 3}
_HEADER_BYTES: Final = 80
_LARGEST: Final = 0xFFFFFFFF


class WavWriter:
    """Writes mono samples to an open file descriptor. Raises `OSError`."""

    def __init__(self, fd: int, format_: SampleFormat, rate: int) -> None:
        self._fd = fd
        self._size = SAMPLE_BYTES[format_]
        self._format = struct.pack(
            "<4sIHHIIHH",
            *(b"fmt ", 16, _CODES[format_], 1),
            *(rate, rate * self._size, self._size, 8 * self._size),
        )
        self.samples = 0
        """How many the file has."""
        self._write_header()

    def skip(self, samples: int) -> None:
        """Leave silence; it takes no room on disks that can leave holes in files."""
        self.samples += samples
        os.ftruncate(self._fd, self._end)
        self._write_header()

    def write(self, data: bytes) -> None:
        """Add whole samples."""
        self._write_at(data, self._end)
        self.samples += len(data) // self._size
        self._write_header()

    def flush(self) -> None:
        """Wait until the disk has everything, so that it survives a loss of power too."""
        os.fsync(self._fd)

    @property
    def _end(self) -> int:
        return _HEADER_BYTES + self.samples * self._size

    def _write_header(self) -> None:
        size = self.samples * self._size
        whole = self._end - 8
        if whole > _LARGEST:
            riff, told, told_data = b"RF64", _LARGEST, _LARGEST
            room = struct.pack("<4sIQQQI", b"ds64", 28, whole, size, self.samples, 0)
        else:
            riff, told, told_data = b"RIFF", whole, size
            room = struct.pack("<4sI28x", b"JUNK", 28)
        data = struct.pack("<4sI", b"data", told_data)
        self._write_at(struct.pack("<4sI4s", riff, told, b"WAVE") + room + self._format + data, 0)

    def _write_at(self, data: bytes, place: int) -> None:
        os.lseek(self._fd, place, os.SEEK_SET)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
