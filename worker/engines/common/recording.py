"""Recordings of any length: their samples piece by piece, and cut where it is quiet.

Up to `STRETCH` seconds are kept in memory; what is longer goes to disk while it is decoded, so that
ten hours need no more memory than ten minutes, and the first of them need not wait for the last.
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

    from worker.audio import Samples
    from worker.engines.contract import Source

STRETCH: Final = 600
"""Seconds that a model is given at once; a recording that lasts no longer is not cut."""

END_SUFFIX: Final = ".end"
"""Of an empty file beside raw samples: all of them are there."""

_ABOUT_SUFFIX: Final = ".about"

_BYTES: Final = 4  # of a sample
_POLL: Final = 0.02  # seconds
_FRAME: Final = SAMPLE_RATE // 50
_QUIET: Final = 25  # frames that a cut wants to be quiet around it
_GRID: Final = 2560
"""Samples of which a cut is at a multiple: the windows in which speech is detected (512) and the
frames of Whisper's features (160) lie the same with cuts and without."""


class Stretch(NamedTuple):
    """A part of a recording: its samples, the first of which is number `first`."""

    first: int
    samples: Samples
    last: bool
    """Nothing comes after it."""


class Recording(ABC):
    """Samples (mono, 16 kHz, float32), of which some may still have to come.

    Reading waits for what is not there yet. Raises the `RpcError` that ended decoding.
    """

    waited = 0.0
    """Seconds for which samples were waited for."""
    _about: float | None = None

    @abstractmethod
    def wait(self, count: int | None) -> int:
        """How many of the first `count` samples there are, None: of all. May take a while."""

    @abstractmethod
    def read(self, first: int, stop: int) -> Samples:
        """Samples that are there."""

    @abstractmethod
    def whole(self) -> Samples:
        """All samples, mapped into memory if they are many; not to be written to."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Everything is there: nothing waits any more."""

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
        """Seconds that it will last, as far as can be told without waiting."""
        return self.duration if self.complete else self._about

    def stretches(self, head: int | None = None) -> Iterator[Stretch]:
        """The recording in parts of at most `STRETCH` seconds, cut where it is quietest.

        A cut lies in the second half of what could be taken, in the middle of the longest of the
        quietest places. Where anything is cut, the first part has at most `head` seconds, so that
        its outcome comes soon.
        """
        first = 0
        while True:
            longest = STRETCH * SAMPLE_RATE
            stop = self.wait(first + longest + 1)
            if stop - first <= longest:
                yield Stretch(first, self.read(first, stop), last=True)
                return
            if head and not first:
                longest = min(head, STRETCH) * SAMPLE_RATE
            middle = first + longest // 2 // _GRID * _GRID
            stop = middle + _quietest(self.read(middle, first + longest))
            yield Stretch(first, self.read(first, stop), last=False)
            first = stop


class InMemory(Recording):
    """Samples that are all there."""

    complete = True

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def wait(self, count: int | None) -> int:
        return len(self._samples) if count is None else min(count, len(self._samples))

    def read(self, first: int, stop: int) -> Samples:
        return self._samples[first:stop]

    def whole(self) -> Samples:
        return self._samples


class _OnDisk(Recording):
    """Raw samples in a file that another thread or process may still be writing."""

    def __init__(
        self,
        file: IO[bytes],
        lock: threading.Lock,
        complete: Callable[[], bool],
        check: Callable[[], None],
        about: float | None = None,
    ) -> None:
        self._about = about
        self._file = file
        self._lock = lock
        self._complete = complete
        self._check = check

    @property
    def complete(self) -> bool:
        return self._complete()

    def wait(self, count: int | None) -> int:
        while True:
            complete = self._complete()  # asked first, for it may grow in between
            there = os.fstat(self._file.fileno()).st_size // _BYTES
            if count is not None and there >= count:
                return count
            if complete:
                return there
            self._check()
            time.sleep(_POLL)
            self.waited += _POLL

    def read(self, first: int, stop: int) -> Samples:
        import numpy as np

        samples = np.empty(stop - first, np.float32)
        view = samples.view(np.uint8).data
        with self._lock:
            self._file.seek(first * _BYTES)
            while view:
                got = self._file.readinto(view)  # type: ignore[attr-defined]
                if not got:
                    raise RpcError("storage_failed", "The decoded audio was truncated.")
                view = view[got:]
        return samples

    def whole(self) -> Samples:
        import numpy as np

        # Copied on write, since torch wants what it could write to; nobody does.
        return np.memmap(self._file, np.float32, "c", shape=(len(self),))


def tell_about(path: str, duration: float) -> None:
    """Say how many seconds the raw samples seem to last that `path` will have."""
    Path(path + _ABOUT_SUFFIX).write_text(repr(duration))


def _told_about(path: str) -> float | None:
    try:
        return float(Path(path + _ABOUT_SUFFIX).read_text())
    except FileNotFoundError:
        return None


def _open_raw(path: Path, check: Callable[[], None]) -> IO[bytes]:
    while True:
        try:
            return path.open("rb", buffering=0)
        except FileNotFoundError:  # the first samples have yet to be decoded
            check()
            time.sleep(_POLL)


def open_recording(stack: ExitStack, source: Source, check: Callable[[], None]) -> Recording:
    """The recording of a source, decoded now or before; `stack` closes it.

    `check` is called now and then while it is waited for, and may raise. Raises `RpcError` of the
    kinds audio_*, clip_out_of_range and storage_failed, then or while reading.
    """
    if source.raw:
        path = Path(source.path)

        def check_place() -> None:
            check()
            if not path.parent.is_dir():  # nothing more can come
                raise RpcError(
                    "storage_failed",
                    "The directory of the decoded audio has vanished.",
                    path=str(path.parent),
                )

        file = stack.enter_context(_open_raw(path, check_place))
        complete = Path(source.path + END_SUFFIX).exists
        return _OnDisk(file, threading.Lock(), complete, check_place, _told_about(source.path))
    blocks = audio.stream(
        source.path,
        channel="mix" if source.channel is None else source.channel,
        start=source.start,
        end=source.end,
    )
    return _decode(stack, source, blocks, check)


def _decode(
    stack: ExitStack,
    source: Source,
    blocks: Iterator[npt.NDArray[np.int16]],
    check: Callable[[], None],
) -> Recording:
    """What `blocks` yields of a source, in memory, or on disk if it is long."""
    import tempfile

    import numpy as np

    kept: list[npt.NDArray[np.int16]] = []
    count = 0
    for block in blocks:
        check()
        kept.append(block[0])
        count += block.shape[1]
        if count > STRETCH * SAMPLE_RATE:
            break
    else:
        return InMemory(audio.to_float(np.concatenate(kept)))
    try:
        # Has no name, so that it is gone with the process, however that ends.
        file = stack.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
    except OSError as error:
        raise _not_kept(error) from None
    decoder = _Decoder(file, kept, blocks)
    stack.callback(decoder.stop)
    about = audio.about_duration(source.path)
    if about:
        about = min(about, source.end or about) - source.start
    return _OnDisk(file, decoder.lock, decoder.complete, check, about)


class _Decoder:
    """A thread that decodes to a file, ahead of who reads it."""

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
        """All of it is there. Raises what went wrong."""
        ended = not self._thread.is_alive()
        if self._error:
            raise self._error
        return ended

    def stop(self) -> None:
        """End it; nobody reads any more."""
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
            self._error = _not_kept(error)
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


def _not_kept(error: OSError) -> RpcError:
    return RpcError("storage_failed", f"The decoded audio cannot be kept: {error.strerror}.")


def _quietest(samples: Samples) -> int:
    """The sample at which it is quietest: about the middle of the longest such place.

    Quiet is measured as mean power over half a second; everything within a tenth of the lowest
    counts as well, and so does what rounding makes of digital silence.
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
