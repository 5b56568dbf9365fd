"""The audio of `live`: raw samples or a container, from a pipe or a file, as it comes.

A thread reads, decodes and keeps the samples that wait for the worker. Of a pipe it takes what is
there and waits for no block to fill, so that a word is on its way as soon as its samples are. It
reads on while the worker is busy, for minutes if need be: a recorder that is blocked drops samples.
Beyond that it stops reading, and the writer waits, as with any pipe; nothing is dropped here.

FFmpeg decodes containers from the pipe, and looks at no more of the beginning than it must. Where
time stamps leave a hole, silence takes its place, as in a recording (`worker.audio`). A file is
decoded as `transcribe` does it.
"""

from __future__ import annotations

import os
import select
import stat
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from protocol.errors import RpcError
from worker.audio.blocks import SAMPLE_RATE
from worker.system.stdin import NAME, STDIN

_HELD_LIVE: Final = 300.0
_HELD_OF_FILE: Final = 10.0
"""Seconds of audio that may wait here for the worker."""
_TICK: Final = 0.2
"""Seconds between two checks whether to stop."""
_BLOCK: Final = 1 << 16
_PIECE: Final = 0.1
"""Seconds of audio that `realtime` lets through at a time."""
_LOOKS: Final = (
    {"probesize": "8192", "analyzeduration": "200000"},
    {"probesize": "65536", "analyzeduration": "500000"},
    {"probesize": "5000000", "analyzeduration": "10000000"},
)
"""Bytes, and microseconds, of a stream at which FFmpeg looks before it decodes. The first are too
few for some formats, but 64 KiB of a slow one are two seconds. The last are for audio that begins
late, or after a large picture; what is no audio would be found out much later by them."""


class Raw(NamedTuple):
    """Samples without a container."""

    format: str
    rate: int
    channels: int = 1

    @property
    def size(self) -> int:
        """Bytes of a sample of one channel."""
        return 2 if self.format == "pcm16" else 4


DECODED: Final = Raw("pcm16", SAMPLE_RATE)
"""What containers are decoded to."""


class Input:
    """The samples that have come and were not taken yet: mono, in the format of `form`.

    `raw` describes the samples of an input without a container. Raises `RpcError` of the kinds
    audio_* for a file that cannot be read.
    """

    def __init__(
        self, file: str, raw: Raw | None, track: int | str | None = None, *, realtime: bool = False
    ) -> None:
        self.name = NAME if file == STDIN else file
        self.form = raw or DECODED
        self.is_live = not _is_regular(file)
        self.error: RpcError | None = None
        """Why the input ended, if it did not end by itself."""
        self.notices: list[str] = []
        """What the user should know; complete after the end."""
        self._file = file
        self._raw = raw
        self._track = track
        self._realtime = realtime
        self._second = self.form.rate * self.form.size
        held = _HELD_LIVE if self.is_live else _HELD_OF_FILE
        self._most = int(held * self._second)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._changed = threading.Condition()
        self._deadline: float | None = None
        if not self.is_live:
            from worker.audio.files import check_file

            if file != STDIN:
                check_file(file)
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether nothing waits, and nothing more will come."""
        with self._changed:
            return not self._waiting_bytes and (self._ended or self._is_over(2 * _TICK))

    def wait(self, seconds: float) -> None:
        """Wait a limited time for the first samples, or the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting_bytes or self._ended, seconds)

    def take(self, seconds: float) -> bytes:
        """What waits, up to about that much audio; may be nothing."""
        taken = []
        size = 0
        with self._changed:
            while self._waiting and size < seconds * self._second:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
            self._waiting_bytes -= size
            self._changed.notify_all()
        return b"".join(taken)

    def stop(self, within: float) -> None:
        """End the input: at its own end, if that comes within some seconds. A file ends at once."""
        with self._changed:
            self._deadline = time.monotonic() + (within if self.is_live else 0.0)
            if not self.is_live:  # nothing is lost: the file has it
                self._waiting.clear()
                self._waiting_bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait for the thread, unless that hangs in a read."""
        self.stop(0)
        self._thread.join(2 * _TICK)

    def _is_over(self, for_: float = 0.0) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline + for_

    def _run(self) -> None:
        try:
            began = time.monotonic()
            length = 0
            for samples in self._paced(self._samples()):
                length += len(samples)
                if self._realtime:
                    self._sleep_until(began + length / self._second)
                if not self._keep(samples):
                    break
            if not length and self._deadline is None:
                raise self._empty()
        except RpcError as error:
            self.error = error
        except Exception as error:  # whatever a library makes of odd bytes
            self.error = self._undecodable(str(error) or type(error).__name__)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _paced(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The blocks, in small pieces where each has its time or where they are long."""
        step = int((_PIECE if self._realtime else 1.0) * self.form.rate) * self.form.size
        for block in blocks:
            for first in range(0, len(block), step):
                yield block[first : first + step]

    def _sleep_until(self, moment: float) -> None:
        with self._changed:
            self._changed.wait_for(self._is_over, max(0.0, moment - time.monotonic()))

    def _keep(self, samples: bytes) -> bool:
        """Add samples to what waits, once there is room; return whether the input goes on."""
        with self._changed:
            while self._waiting_bytes > self._most and not self._is_over():
                self._changed.wait(_TICK)
            if self._is_over() and not self.is_live:
                return False
            self._waiting.append(samples)
            self._waiting_bytes += len(samples)
            self._changed.notify_all()
        return True

    def _samples(self) -> Iterator[bytes]:
        if not self.is_live and not self._raw and self._file != STDIN:
            return self._of_file()
        return self._of_raw(self._raw) if self._raw else self._of_container()

    def _of_file(self) -> Iterator[bytes]:
        from worker.audio.reading import Reading

        reading = Reading(self._file, track=self._track)
        for block in reading:
            yield block[0].tobytes()
        self.notices += [notice.message for notice in reading.notices]

    def _of_raw(self, raw: Raw) -> Iterator[bytes]:
        """Whole samples of what comes; several channels are mixed."""
        whole = raw.size * raw.channels
        rest = b""
        with self._opened() as pipe:
            while data := pipe.read():
                data = rest + data
                end = len(data) - len(data) % whole
                rest = data[end:]
                yield _mixed(data[:end], raw) if raw.channels > 1 else data[:end]
            self._check(pipe)

    def _of_container(self) -> Iterator[bytes]:
        import av.error

        with self._opened() as pipe:
            try:
                container = _demuxed(pipe)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self._check(pipe)
                if not pipe.size:
                    raise self._empty() from None
                raise self._undecodable(getattr(error, "strerror", None) or str(error)) from None
            with container:
                yield from self._decoded(container)
            self._check(pipe)

    def _decoded(self, container: Any) -> Iterator[bytes]:
        """Decode the track, and put each frame where its time stamp says."""
        import av

        from worker.audio.blocks import Blocks
        from worker.audio.clock import LONGEST_RESTART, Clock
        from worker.audio.packets import Decoder
        from worker.audio.tracks import choose

        class PromptBlocks(Blocks):
            """Returns samples soon, instead of many at once."""

            def __init__(self, layout: str, rate: int) -> None:
                super().__init__("mix", layout, rate)
                self._enough = max(1, int(rate * _PIECE))

        stream, notices = choose(container, self._track, self.name)
        self.notices += [notice.message for notice in notices]
        rate = stream.codec_context.sample_rate
        if not rate or not stream.codec_context.channels:
            raise self._undecodable("FFmpeg finds nothing in it that it can decode")
        blocks = PromptBlocks(stream.layout.name, rate)
        start = container.start_time
        clock: Clock | None = None
        held: Any = None  # a frame out of line is placed when the one after it is known
        for frame in chain(Decoder(container, stream), [None]):
            time_ = None if frame is None else frame.time
            if clock is None:
                origin = time_ or 0.0
                if start is not None and abs(origin - start / av.time_base) < LONGEST_RESTART:
                    origin = start / av.time_base
                clock = Clock(origin, restarts=True)
            if held is not None:
                position = clock.position
                placed = clock.place(held.time, _length(held), time_)
                if placed.silence:
                    until = round((position + placed.silence) * SAMPLE_RATE)
                    yield from _bytes(blocks.silence(until))
                skip = min(held.samples, round(placed.cut * held.sample_rate))
                if skip < held.samples:
                    yield from _bytes(blocks.add(held, skip))
                held = None
            if frame is None:
                break
            if clock.runs_on(time_, _length(frame)):
                yield from _bytes(blocks.add(frame))
            else:
                held = frame
        yield from _bytes(blocks.flush())

    def _opened(self) -> Pipe:
        if self._file != STDIN:
            try:
                return Pipe(os.open(self._file, _FLAGS), self._is_over, owned=True)
            except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
                raise self._unreadable(getattr(error, "strerror", None) or str(error)) from None
        return Pipe(-1 if sys.stdin is None else sys.stdin.fileno(), self._is_over)

    def _check(self, pipe: Pipe) -> None:
        """Raise the error that reading ended with, if any."""
        if pipe.failure:
            raise self._unreadable(pipe.failure)

    def _unreadable(self, why: str) -> RpcError:
        remedy = "Pipe audio into stdin, or name a file."
        return RpcError("audio_not_readable", f"{self.name} cannot be read: {why}.", remedy=remedy)

    def _empty(self) -> RpcError:
        remedy = "Pipe audio into it; if a program should write it, see whether it did."
        return RpcError("audio_empty", f"{self.name} contains no audio.", remedy=remedy)

    def _undecodable(self, why: str) -> RpcError:
        remedy = (
            "If it is samples without a container, give --rate, and --format if they are not "
            "16-bit. An mp4 whose index is at its end has to be a file, given by its name."
        )
        return RpcError("audio_invalid", f"{self.name} cannot be decoded: {why}.", remedy=remedy)


class Pipe:
    """Reads a descriptor as soon as there is something, and ends when told. FFmpeg reads from it.

    It keeps what it reads until `forget`, so that FFmpeg can begin anew. Closes what it `owned`.
    """

    def __init__(self, fd: int, is_over: Callable[[], bool], *, owned: bool = False) -> None:
        self.size = 0
        """Bytes so far."""
        self.failure = ""
        """Why nothing more can be read."""
        self._fd = fd
        self._is_over = is_over
        self._owned = owned
        self._kept = bytearray()
        self._keeps = True
        self._place = 0  # in what is kept
        self._left: int | None = None  # bytes to read

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            os.close(self._fd)

    def read(self, size: int = _BLOCK) -> bytes:
        """At most that many bytes; none at the end."""
        data = bytes(self._kept[self._place : self._place + size])
        if not data:
            data = self._read(size)
            self.size += len(data)
            if not self._keeps:
                return data
            self._kept += data
        self._place += len(data)
        return data

    def head(self, size: int) -> bytes:
        """The first bytes of what is kept, or fewer at the end. They are read again."""
        while len(self._kept) < size and (data := self._read(size - len(self._kept))):
            self.size += len(data)
            self._kept += data
        return bytes(self._kept[:size])

    def skip(self, size: int, length: int | None) -> None:
        """Begin after the first bytes of what is kept, and end `length` bytes later."""
        del self._kept[:size]
        if length is not None:
            del self._kept[length:]
            self._left = length - len(self._kept)

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._place = 0

    def forget(self) -> None:
        """Keep nothing more."""
        self._keeps = False
        del self._kept[: self._place]
        self._place = 0

    def _read(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
        if self._fd < 0 or self.failure or not size:
            return b""
        try:
            while not self._is_over():
                # Windows cannot wait for a pipe; there the thread ends with the program.
                if sys.platform == "win32" or select.select([self._fd], [], [], _TICK)[0]:
                    data = os.read(self._fd, size)
                    if self._left is not None:
                        self._left -= len(data)
                    return data
        except OSError as error:
            self.failure = error.strerror or str(error)
        return b""


_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def _is_regular(file: str) -> bool:
    """Whether the input is at hand as a whole. What does not exist is to be named as a file."""
    try:
        if file == STDIN:
            mode = 0 if sys.stdin is None else os.fstat(sys.stdin.fileno()).st_mode
        else:
            mode = Path(file).stat().st_mode
    except (OSError, ValueError):
        return file != STDIN
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _demuxed(pipe: Pipe) -> Any:
    """A container of PyAV that reads from the pipe. Raises `av.error.FFmpegError`.

    Like `worker.audio.files.demuxed`, it lets FFmpeg open nothing else.
    """
    import av
    import av.error

    lenient: dict[str, Any] = {}
    if int(av.__version__.split(".")[0]) < 19:  # newer ones accept tags that are not UTF-8
        lenient["metadata_errors"] = "ignore"
    form, options = _begin_wav(pipe) or (None, {})
    options["protocol_whitelist"] = "none"
    *looks, last = [options | look for look in _LOOKS]
    for look in looks:
        try:
            container: Any = av.open(pipe, "r", form, options=look, **lenient)
            if _knows_audio(container):
                pipe.forget()
                return container
            container.close()
        except (av.error.FFmpegError, OSError, ValueError):
            if look is looks[-1] and pipe.head(3) != b"ID3":  # a picture of any size
                raise
        pipe.rewind()
    container = av.open(pipe, "r", form, options=last, **lenient)
    pipe.forget()
    return container


def _begin_wav(pipe: Pipe) -> tuple[str, dict[str, str]] | None:
    """Read the header of a WAV: FFmpeg's format of its samples, with options; None for all else.

    In the first 64 KiB of the samples, FFmpeg's own reader of WAV looks for other codecs: that
    would be two seconds of speech.
    """
    head = pipe.head(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    place, form = 12, b""
    while True:
        chunk = pipe.head(place + 8)[place:]
        if len(chunk) < 8 or place > _BLOCK:
            return None
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            break
        if chunk[:4] == b"fmt " and size < _BLOCK:
            form = pipe.head(place + 8 + size)[place + 8 :]
        place += 8 + size + size % 2
    if len(form) < 16:
        return None
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    name = {8: "u8", 16: "s16le", 24: "s24le", 32: "s32le"}.get(bits)
    layout = {1: "mono", 2: "stereo"}.get(channels)
    if code != 1 or not name or not layout or not rate:
        return None
    pipe.skip(place + 8, size if 0 < size < _ENDLESS else None)
    return name, {"sample_rate": str(rate), "ch_layout": layout}


_ENDLESS: Final = 0x7FFF0000
"""Bytes from which the length that a WAV states is that of a writer which did not know it."""


def _knows_audio(container: Any) -> bool:
    """Whether FFmpeg has come to the audio. Only some formats tell of it before."""
    streams = container.streams.audio
    if not streams:
        return container.format.name not in ("mpegts", "mpeg", "flv")
    return all(each.codec_context and each.codec_context.sample_rate for each in streams)


def _mixed(data: bytes, raw: Raw) -> bytes:
    import numpy as np

    kind = "<i2" if raw.format == "pcm16" else "<f4"
    mixed: bytes = (
        np.frombuffer(data, kind).reshape(-1, raw.channels).mean(axis=1).astype(kind).tobytes()
    )
    return mixed


def _length(frame: Any) -> float:
    length: float = frame.samples / frame.sample_rate
    return length


def _bytes(blocks: Iterable[Any]) -> Iterator[bytes]:
    for block in blocks:
        yield block[0].tobytes()
