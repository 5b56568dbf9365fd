"""Decodes audio files to samples: mono, 16 kHz, float32 in [-1, 1].

PyAV decodes; its wheels contain FFmpeg, so every format that FFmpeg reads works, video too, without
an FFmpeg executable. FFmpeg gets the bytes of one open file, never a path, so that no file can make
it open another. The samples equal those of `faster_whisper.decode_audio`.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from protocol.errors import RpcError
from worker.system import limits, paths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

Channels = int | Literal["mix", "all"]
"""One channel, counted from 0, a mix of all channels, or all channels separately."""

SAMPLE_RATE: Final = 16_000
"""Hz, as all models here expect."""

# Containers that state their exact length; for others FFmpeg may estimate it from the bit rate.
_EXACT_LENGTH: Final = frozenset({"w64", "aiff", "flac", "mov"})
_LENGTH_TOLERANCE: Final = 0.5  # seconds
_BLOCK_SECONDS: Final = 120
"""The most audio to resample at a time."""
_MAX_CHUNKS: Final = 1000
"""The most chunks of a WAV file to skip before its samples."""
_PLAYLISTS: Final = (b"#EXTM3U", b"ffconcat version", b"[playlist]")


def check_file(path: str) -> None:
    """Raise the errors that need no decoding: no such file, not readable, empty, too large."""
    os.close(_open(path))


def decode(
    path: str,
    *,
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Samples:
    """Decode the part of a file between `start` and `end`, in seconds, to 16 kHz mono.

    `channel` selects one channel instead of mixing all. Raises `RpcError` of the kinds audio_* and
    clip_out_of_range.
    """
    import numpy as np

    blocks = stream(path, channel="mix" if channel is None else channel, start=start, end=end)
    return to_float(np.concatenate([block[0] for block in blocks]))


def to_float(samples: npt.NDArray[np.int16]) -> Samples:
    """Convert to float32 in [-1, 1]."""
    import numpy as np

    scaled: Samples = samples.astype(np.float32)
    scaled /= 32768.0
    return scaled


def stream(
    path: str,
    *,
    channel: Channels = "mix",
    start: float = 0.0,
    end: float | None = None,
) -> Iterator[npt.NDArray[np.int16]]:
    """Yield the samples in blocks: int16, of shape (channels, n).

    Raises as `decode` does; some errors come only after the last block.
    """
    if end is not None and end <= start:
        raise RpcError(
            "clip_out_of_range", f"The clip ends at {end} s, not after its start at {start} s."
        )
    first = round(start * SAMPLE_RATE)
    stop = None if end is None else round(end * SAMPLE_RATE)
    limit = limits.max_audio_duration()
    position = 0  # samples decoded so far
    for block in _blocks(path, channel, math.inf if end is not None else limit):
        length = block.shape[1]
        if position + length > first:
            yield block[:, max(0, first - position) : stop and stop - position]
        position += length
        if stop is not None and position >= stop:
            break
        if position > limit * SAMPLE_RATE:
            raise _too_long(path, limit)
    duration = position / SAMPLE_RATE
    if not position:
        raise RpcError("audio_empty", f"{path} contains no audio samples.", path=path)
    if position <= first or (stop is not None and position < stop):
        raise RpcError(
            "clip_out_of_range",
            f"The clip extends beyond the end of the recording at {duration:.3f} s.",
            path=path,
            duration=duration,
        )


def estimated_duration(path: str) -> float | None:
    """The file's duration in seconds as FFmpeg estimates it, for progress; None if unknown."""
    import av
    import av.error

    try:
        with _opened(path) as file, _container(file) as container:
            return container.duration / av.time_base if container.duration else None
    except (av.error.FFmpegError, OSError):
        return None


def _open(path: str) -> int:
    """Open the file and return a descriptor; raises as `check_file`."""
    try:
        fd = paths.open_regular(paths.from_wire(path))
    except (FileNotFoundError, NotADirectoryError):
        raise RpcError("audio_not_found", f"There is no file {path}.", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        why = getattr(error, "strerror", None) or str(error)
        raise RpcError(
            "audio_not_readable", f"{path} cannot be opened: {why}.", path=path
        ) from None
    try:
        size, limit = os.fstat(fd).st_size, limits.max_audio_size()
        if size == 0:
            raise RpcError("audio_empty", f"{path} is empty.", path=path)
        if size > limit:
            raise RpcError(
                "audio_too_large",
                f"{path} has {size} bytes, more than the limit of {limit}.",
                path=path,
                size=size,
                limit=limit,
            )
    except RpcError:
        os.close(fd)
        raise
    return fd


def _opened(path: str) -> io.FileIO:
    """Open the file for FFmpeg, with a name that has only its suffix, a hint at the format."""
    file = io.FileIO(_open(path))
    suffix = Path(path).suffix
    file.name = f"recording{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
    return file


def _container(file: io.FileIO) -> Any:
    """Let FFmpeg demux the file's bytes.

    Playlists, concatenations, session descriptions and the like name other files and URLs, so no
    protocol is allowed that could open them.
    """
    import av

    lenient: dict[str, Any] = {}
    if int(av.__version__.split(".")[0]) < 19:  # newer ones accept tags that are not UTF-8
        lenient["metadata_errors"] = "ignore"
    return av.open(file, mode="r", options={"protocol_whitelist": "none"}, **lenient)


def _blocks(path: str, channel: Channels, limit: float) -> Iterator[npt.NDArray[np.int16]]:
    """Yield int16 samples at 16 kHz, (channels, n), of the whole file.

    A file that states a duration above `limit` seconds is refused before it is decoded.
    """
    import av.error

    with _opened(path) as file:
        _refuse_playlist(file, path)
        riff_duration = _riff_duration(file)
        try:
            with _container(file) as container:
                if not container.streams.audio:
                    raise RpcError("audio_no_stream", f"{path} has no audio stream.", path=path)
                stream = container.streams.audio[0]
                if stream.codec_context is None:
                    raise RpcError(
                        "audio_invalid",
                        f"{path} cannot be decoded: FFmpeg does not know its codec.",
                        path=path,
                    )
                stated = _stated_duration(container, stream, riff_duration)
                if stated is not None and stated > limit:
                    raise _too_long(path, limit, duration=stated)
                samples = 0
                for frame in _resampled(container, stream, channel, path):
                    samples += frame.shape[1]
                    yield frame
                if stated is not None and samples / SAMPLE_RATE < stated - _LENGTH_TOLERANCE:
                    raise RpcError(
                        "audio_invalid",
                        f"{path} is truncated: it states {stated:.1f} s but contains "
                        f"{samples / SAMPLE_RATE:.1f} s.",
                        remedy="Copy or record the file again, or set end to transcribe the part "
                        "that exists.",
                        path=path,
                        duration=samples / SAMPLE_RATE,
                    )
        except (av.error.FFmpegError, OSError) as error:  # OSError: a seek before the start
            raise RpcError(
                "audio_invalid",
                f"{path} cannot be decoded: {error.strerror or type(error).__name__}.",
                path=path,
            ) from None


def _too_long(path: str, limit: float, **details: Any) -> RpcError:
    message = f"{path} lasts longer than the limit of {limit:.0f} s."
    return RpcError("audio_too_long", message, path=path, limit=limit, **details)


def _refuse_playlist(file: io.FileIO, path: str) -> None:
    head = file.read(32).removeprefix(b"\xef\xbb\xbf")
    file.seek(0)
    if head.startswith(_PLAYLISTS):
        raise RpcError(
            "audio_invalid",
            f"{path} is a playlist: it names recordings but contains none.",
            remedy="Give the recordings that it names.",
            path=path,
        )


def _resampled(
    container: Any, stream: Any, channel: Channels, path: str
) -> Iterator[npt.NDArray[np.int16]]:
    import av

    channels = stream.codec_context.channels
    if isinstance(channel, int) and channel >= channels:
        raise RpcError(
            "audio_no_channel",
            f"{path} has {channels} channels, numbered from 0, and so no channel {channel}.",
            path=path,
            channels=channels,
        )
    sample_format = "s16" if channel == "mix" else "s16p"
    layout = "mono" if channel == "mix" else stream.layout.name
    resampler = av.AudioResampler(sample_format, layout, SAMPLE_RATE)
    rows = slice(channel, channel + 1) if isinstance(channel, int) else slice(None)
    fifo = av.AudioFifo()  # few large frames instead of many small ones
    # At a stated rate of 1 Hz, 500,000 samples would become 16 GB.
    enough = min(500_000, _BLOCK_SECONDS * stream.codec_context.sample_rate)

    def blocks(frame: Any) -> Iterator[npt.NDArray[np.int16]]:
        for out in resampler.resample(frame):
            block: Any = out.to_ndarray()
            yield block[rows]

    form: tuple[str, str, int] | None = None
    for frame in container.decode(stream):
        frame.pts = None  # do not fill gaps in the time stamps
        previous, form = form, (frame.format.name, frame.layout.name, frame.sample_rate)
        if previous not in (None, form):
            # Broadcasts switch between stereo and 5.1; PyAV crashes on both in one fifo.
            if fifo.samples:
                yield from blocks(fifo.read())
            yield from blocks(None)
            fifo = av.AudioFifo()
            resampler = av.AudioResampler(sample_format, layout, SAMPLE_RATE)
        fifo.write(frame)
        if fifo.samples >= enough:
            yield from blocks(fifo.read())
    if fifo.samples:
        yield from blocks(fifo.read())
    yield from blocks(None)


def _stated_duration(container: Any, stream: Any, riff_duration: float | None) -> float | None:
    """The stream's duration in seconds as the container states it; None if it is not exact."""
    if container.format.name == "wav":
        return riff_duration
    if not _EXACT_LENGTH.intersection(container.format.name.split(",")):
        return None
    if stream.duration is None or stream.time_base is None:
        return None
    return float(stream.duration * stream.time_base)


def _riff_duration(file: io.FileIO) -> float | None:
    """A WAV file's duration in seconds by its chunk sizes; FFmpeg goes by the size of the file.

    None if a streaming recorder left the size open. Rewinds the file.
    """
    try:
        if file.read(4) != b"RIFF":
            return None
        file.seek(12)
        byte_rate = 0
        for _ in range(_MAX_CHUNKS):
            header = file.read(8)
            if len(header) < 8:
                break
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"fmt ":
                byte_rate = int.from_bytes(file.read(16)[8:12], "little")
                file.seek(size - 16, 1)
                continue
            if header[:4] == b"data":
                left_open = size == 0 or size >= 0x7FFF_0000
                return size / byte_rate if byte_rate and not left_open else None
            file.seek(size + size % 2, 1)
        return None
    finally:
        file.seek(0)
