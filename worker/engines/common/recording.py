"""Recordings of any length, read in pieces that are cut where it is quiet.

A recording of up to `LONGEST_PIECE` seconds stays in memory. A thread decodes a longer one to disk
while engines already read from it: ten hours need no more memory than ten minutes, and work on the
first piece begins before the last is decoded.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from protocol.errors import RpcError
from worker import audio
from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from protocol.values import Notice
    from worker.audio import Reading, Samples
    from worker.engines.contract import Source

LONGEST_PIECE: Final = 600
"""Seconds that a model takes at once; a recording that lasts no longer is not cut."""

END_SUFFIX: Final = ".end"
"""Suffix of the empty file beside raw samples which says that all are decoded."""

_DURATION_SUFFIX: Final = ".about"
"""Suffix of the file beside raw samples that holds the recording's estimated duration."""

_SAMPLE_BYTES: Final = 4
_POLL: Final = 0.02  # seconds
_FRAME: Final = SAMPLE_RATE // 50
_QUIET: Final = 25  # frames over which the power is averaged to find a quiet place
_GRID: Final = 2560
"""Cuts lie at multiples of this many samples, so that the VAD's windows (512 samples) and the
frames of Whisper's features (160) fall in the same places with and without cuts."""


class Piece(NamedTuple):
    """A part of a recording that a model takes at once."""

    first: int
    """Number of its first sample in the recording."""
    samples: Samples
    last: bool
    """Whether it is the recording's last piece."""

    @property
    def offset(self) -> float:
        """Seconds of the recording before it."""
        return self.first / SAMPLE_RATE

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole recording."""
        return self.last and not self.first


class Recording(ABC):
    """Samples (mono, 16 kHz, float32) that may still be being decoded.

    Every method may raise the `RpcError` that ended decoding.
    """

    waited = 0.0
    """Seconds that reading has waited for the decoder."""
    _expected: float | None = None
    _reading: Reading | None = None

    @abstractmethod
    def wait(self, count: int | None) -> int:
        """Wait for the first `count` samples, None: for all; return how many of them exist."""

    @abstractmethod
    def read(self, first: int, stop: int) -> Samples:
        """Samples that `wait` has found to exist."""

    @abstractmethod
    def whole(self) -> Samples:
        """Wait for all samples and return them, memory-mapped if many; do not write to them."""

    @property
    def notices(self) -> list[Notice]:
        """What the caller should know of the recording; waits until all of it is decoded.

        Empty for raw samples: the engine that decodes them tells it.
        """
        self.wait(None)
        return self._reading.notices if self._reading else []

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether all samples are decoded, so that nothing waits any more."""

    def __len__(self) -> int:
        return self.wait(None)

    def __getitem__(self, where: slice) -> Samples:
        first, stop, _ = where.indices(len(self))
        return self.read(first, max(first, stop))

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / SAMPLE_RATE

    @property
    def expected_duration(self) -> float | None:
        """Its duration in seconds, estimated while it is being decoded; None if unknown."""
        return self.duration if self.complete else self._expected

    def pieces(self, longest_first: int | None = None) -> Iterator[Piece]:
        """Cut the recording into pieces of at most `LONGEST_PIECE` seconds where it is quietest.

        A cut lies in the second half of the longest possible piece, in the middle of the longest of
        its quietest places. If the recording is cut at all, the first piece lasts at most
        `longest_first` seconds, so that its results come soon.
        """
        first = 0
        while True:
            longest = LONGEST_PIECE * SAMPLE_RATE
            stop = self.wait(first + longest + 1)
            if stop - first <= longest:
                yield Piece(first, self.read(first, stop), last=True)
                return
            if longest_first and not first:
                longest = min(longest_first, LONGEST_PIECE) * SAMPLE_RATE
            middle = first + longest // 2 // _GRID * _GRID
            stop = middle + _quietest(self.read(middle, first + longest))
            yield Piece(first, self.read(first, stop), last=False)
            first = stop


class InMemory(Recording):
    """A recording that is decoded and in memory."""

    complete = True

    def __init__(self, samples: Samples, reading: Reading | None = None) -> None:
        self._samples = samples
        self._reading = reading

    def wait(self, count: int | None) -> int:
        return len(self._samples) if count is None else min(count, len(self._samples))

    def read(self, first: int, stop: int) -> Samples:
        return self._samples[first:stop]

    def whole(self) -> Samples:
        return self._samples


class _OnDisk(Recording):
    """Raw samples in a file to which another thread or process may still be writing."""

    def __init__(
        self,
        file: IO[bytes],
        lock: threading.Lock,
        complete: Callable[[], bool],
        check: Callable[[], None],
        expected: float | None = None,
        reading: Reading | None = None,
    ) -> None:
        self._expected = expected
        self._reading = reading
        self._file = file
        self._lock = lock
        self._complete = complete
        self._check = check

    @property
    def complete(self) -> bool:
        return self._complete()

    def wait(self, count: int | None) -> int:
        while True:
            complete = self._complete()  # before the size, which may grow in between
            decoded = os.fstat(self._file.fileno()).st_size // _SAMPLE_BYTES
            if count is not None and decoded >= count:
                return count
            if complete:
                return decoded
            self._check()
            time.sleep(_POLL)
            self.waited += _POLL

    def read(self, first: int, stop: int) -> Samples:
        import numpy as np

        samples = np.empty(stop - first, np.float32)
        view = samples.view(np.uint8).data
        with self._lock:
            self._file.seek(first * _SAMPLE_BYTES)
            while view:
                got = self._file.readinto(view)  # type: ignore[attr-defined]
                if not got:
                    raise RpcError("storage_failed", "The decoded audio was truncated.")
                view = view[got:]
        return samples

    def whole(self) -> Samples:
        import numpy as np

        # Copy on write: torch warns of arrays that it could not write to. Nobody writes.
        return np.memmap(self._file, np.float32, "c", shape=(len(self),))


def write_expected_duration(path: str, duration: float) -> None:
    """Leave the estimated duration, in seconds, for readers of the raw samples in `path`."""
    Path(path + _DURATION_SUFFIX).write_text(repr(duration))


def _read_expected_duration(path: str) -> float | None:
    try:
        return float(Path(path + _DURATION_SUFFIX).read_text())
    except FileNotFoundError:
        return None


def _open_raw(path: Path, check: Callable[[], None]) -> IO[bytes]:
    while True:
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:  # the decoder has not written the first samples
            check()
            time.sleep(_POLL)


def open_recording(stack: ExitStack, source: Source, check: Callable[[], None]) -> Recording:
    """Open raw samples, or decode a file; `stack` closes the recording.

    Every wait calls `check` repeatedly, which may raise. Raises `RpcError` of the kinds audio_*,
    clip_out_of_range and storage_failed, now or while reading.
    """
    if source.raw:
        path = Path(source.path)

        def check_directory() -> None:
            check()
            if not path.parent.is_dir():  # the decoder cannot write more
                raise RpcError(
                    "storage_failed",
                    "The directory of the decoded audio has been deleted.",
                    path=str(path.parent),
                )

        file = stack.enter_context(_open_raw(path, check_directory))
        complete = Path(source.path + END_SUFFIX).exists
        expected = _read_expected_duration(source.path)
        return _OnDisk(file, threading.Lock(), complete, check_directory, expected)
    return _decode(stack, source, check)


def reading_of(source: Source, *, split: bool = False) -> Reading:
    """The source's file, to be decoded; with `split`, its channels apart."""
    channel: audio.Channels = "mix" if source.channel is None else source.channel
    return audio.Reading(
        source.path,
        channel="all" if split else channel,
        track=source.track,
        start=source.start,
        end=source.end,
        on_damage=source.on_damage,
    )


def _decode(stack: ExitStack, source: Source, check: Callable[[], None]) -> Recording:
    """Decode to memory, or in the background to disk if the recording is long."""
    import tempfile

    import numpy as np

    reading = reading_of(source)
    blocks = iter(reading)
    kept: list[npt.NDArray[np.int16]] = []
    count = 0
    for block in blocks:
        check()
        kept.append(block[0])
        count += block.shape[1]
        if count > LONGEST_PIECE * SAMPLE_RATE:
            break
    else:
        return InMemory(audio.to_float(np.concatenate(kept)), reading)
    try:
        # A file without a name vanishes with the process, however that ends.
        file = stack.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
    except OSError as error:
        raise _storage_failed(error) from None
    decoder = _Decoder(file, kept, blocks)
    stack.callback(decoder.stop)
    expected = audio.estimated_duration(source.path)
    if expected:
        expected = min(expected, source.end or expected) - source.start
    return _OnDisk(file, decoder.lock, decoder.complete, check, expected, reading)


class _Decoder:
    """A thread that decodes to a file, ahead of its readers."""

    def __init__(
        self,
        file: IO[bytes],
        kept: list[npt.NDArray[np.int16]],
        blocks: Iterator[npt.NDArray[np.int16]],
    ) -> None:
        self.lock = threading.Lock()
        self._file = file
        self._written = 0
        self._error: RpcError | None = None
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run, args=(kept, blocks), name="decode", daemon=True
        )
        self._thread.start()

    def complete(self) -> bool:
        """Whether all is decoded. Raises the error that ended decoding."""
        ended = not self._thread.is_alive()
        if self._error:
            raise self._error
        return ended

    def stop(self) -> None:
        """Stop decoding and wait for the thread."""
        self._stopped = True
        self._thread.join()

    def _run(
        self, kept: list[npt.NDArray[np.int16]], blocks: Iterator[npt.NDArray[np.int16]]
    ) -> None:
        try:
            while kept:
                self._write(kept.pop(0))
            for block in blocks:
                if self._stopped:
                    return
                self._write(block[0])
        except RpcError as error:
            self._error = error
        except OSError as error:
            self._error = _storage_failed(error)
        except Exception as error:
            message = f"Decoding failed: {type(error).__name__}."
            self._error = RpcError("internal_error", message)

    def _write(self, samples: npt.NDArray[np.int16]) -> None:
        import numpy as np

        view = audio.to_float(samples).view(np.uint8).data
        while view:
            with self.lock:
                self._file.seek(self._written)
                written = self._file.write(view)
            self._written += written
            view = view[written:]


def _storage_failed(error: OSError) -> RpcError:
    return RpcError("storage_failed", f"The decoded audio cannot be stored: {error.strerror}.")


def _quietest(samples: Samples) -> int:
    """The sample to cut at: the middle of the longest of the quietest places, on the grid.

    A place is quiet if its mean power over half a second is within a tenth of the lowest, or so low
    that rounding of digital silence explains it.
    """
    import numpy as np

    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    energy = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)
    power = np.concatenate([[0.0], np.cumsum(energy / _FRAME)])
    around = (power[_QUIET:] - power[:-_QUIET]) / _QUIET
    quiet = around <= around.min() * 1.1 + 1e-9
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    middle = (int(begins[longest]) + int(ends[longest]) - 1 + _QUIET) / 2
    return round(middle * _FRAME / _GRID) * _GRID
