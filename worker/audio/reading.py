"""Reads one recording: from the file's packets to blocks of samples on the recording's clock.

What is damaged becomes silence of the same length, so that the rest keeps its place, and a notice
says where; nothing is refused of which a part can be decoded, unless the caller asks for that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from protocol.values import Notice, OnDamage, TimeSpan, notice_about
from worker.audio import flv, matroska, ogg, transport_stream
from worker.audio.blocks import SAMPLE_RATE, Blocks, Channels, to_float
from worker.audio.clock import Clock
from worker.audio.extent import Extent, extent, lacks_index
from worker.audio.files import demuxed, opened, refuse_playlist
from worker.audio.mending import CHUNK_HEADER, MendedFile, mended
from worker.audio.packets import Decoder
from worker.audio.tracks import choose
from worker.system import limits

if TYPE_CHECKING:
    import io

    from worker.audio.blocks import Block, Samples


_LENGTH_TOLERANCE: Final = 0.5
"""Seconds by which a file may be shorter than it states."""
_WORTH_TELLING: Final = 0.2
"""Seconds; shorter gaps and overlaps are what every converter makes."""
_TOUCH: Final = 0.1
"""Seconds; two damaged stretches that are closer are one."""
_SAMPLES_ARE_COUNTED: Final = frozenset({"ogg", "flac", "mp3", "aac", "wav"})
"""Containers whose time stamps count samples. In the others they tell the time, and a recorder that
paused leaves a hole."""


_WHOLE: Final = {
    "matroska": matroska.is_whole,
    "flv": flv.is_whole,
    "mpegts": transport_stream.is_whole,
}


class Reading:
    """One recording while it is read. Iterate once over its blocks: int16, (channels, n), 16 kHz.

    `channel` selects one channel instead of mixing all; `start` and `end` are seconds. Raises
    `RpcError` of the kinds audio_* and clip_out_of_range; some come only after the last block.
    """

    def __init__(
        self,
        path: str,
        *,
        channel: Channels = "mix",
        track: int | str | None = None,
        start: float = 0.0,
        end: float | None = None,
        on_damage: OnDamage = "warn",
    ) -> None:
        if end is not None and end <= start:
            raise RpcError(
                "clip_out_of_range", f"The clip ends at {end} s, not after its start at {start} s."
            )
        self.notices: list[Notice] = []
        """What the caller should know of the recording; complete after the last block."""
        self._path = path
        self._channel = channel
        self._track = track
        self._start = start
        self._end = end
        self._on_damage = on_damage
        self._extent = Extent(None, is_cut=False)
        self._damaged = _Spans(_TOUCH)
        self._gaps = _Spans(0.0)
        self._overlaps = _Spans(_TOUCH)
        self._jumps = _Spans(_WORTH_TELLING)
        self._blocks: Blocks
        self._clock: Clock
        self._restarts = False

    def __iter__(self) -> Iterator[Block]:
        first = round(self._start * SAMPLE_RATE)
        stop = None if self._end is None else round(self._end * SAMPLE_RATE)
        limit = limits.max_audio_duration()
        position = 0  # samples so far
        for block in self._read(limit if stop is None else math.inf):
            length = block.shape[1]
            if position + length > first:
                yield block[:, max(0, first - position) : stop and stop - position]
            position += length
            if stop is not None and position >= stop:
                break
            if position > limit * SAMPLE_RATE:
                raise _too_long(self._path, limit)
        else:
            self._end_of_file(position, first, stop)
        self._tell()

    def _end_of_file(self, position: int, first: int, stop: int | None) -> None:
        duration = position / SAMPLE_RATE
        if not position:
            if self._damaged:
                raise self._invalid("nothing in it can be decoded")
            raise RpcError(
                "audio_empty", f"{self._path} contains no audio samples.", path=self._path
            )
        stated = self._extent.end
        if stated is not None and duration < stated - _LENGTH_TOLERANCE:
            self._damage(duration, stated)
        elif self._extent.is_cut:
            self._damage(duration, duration)
        reaches = stated is None or self._end is None or self._end <= stated + _LENGTH_TOLERANCE
        has_lost_its_end = self._damaged.ends_at(duration) and reaches
        if position <= first or (stop is not None and position < stop and not has_lost_its_end):
            raise RpcError(
                "clip_out_of_range",
                f"The clip extends beyond the end of the recording at {duration:.3f} s.",
                path=self._path,
                duration=duration,
            )

    def _read(self, limit: float) -> Iterator[Block]:
        """All blocks of the file; one that states a length above `limit` seconds is refused."""
        import av.error

        with opened(self._path) as file:
            refuse_playlist(file, self._path)
            try:
                source = mended(file)
                rotten = source.mended if isinstance(source, MendedFile) else None
                with demuxed(source) as container:
                    stream, notices = choose(container, self._track, self._path)
                    self.notices += notices
                    self._check_channel(stream)
                    origin = (container.start_time or 0) / av.time_base
                    self._extent = extent(container, stream, file, origin)
                    stated = self._extent.end
                    if stated is not None and stated > limit:
                        raise _too_long(self._path, limit, duration=stated)
                    yield from self._decoded(container, stream, origin, file, rotten)
            except (av.error.FFmpegError, OSError) as error:  # OSError: a seek before the start
                raise self._undecodable(file, error) from None

    def _decoded(
        self,
        container: Any,
        stream: Any,
        origin: float,
        file: io.FileIO,
        rotten: Collection[int] | None,
    ) -> Iterator[Block]:
        """Decode the track, and put each frame where its time stamp says.

        The loop is written for speed: an hour has 170,000 frames, and nearly all of them follow the
        frame before at once. `rotten` has the places of the file that were mended so far; None
        means that it needed no mending.
        """
        from av.format import Flags

        self._blocks = blocks = Blocks(
            self._channel, stream.layout.name, stream.codec_context.sample_rate
        )
        self._restarts = bool(container.format.flags & Flags.ts_discont.value)
        decoder = Decoder(container, stream)
        frames = iter(decoder)
        first = next(frames, None)
        if origin and _lacks_start(container, file, decoder):
            origin, decoder.damaged = 0.0, True
        self._clock = clock = Clock(origin, restarts=self._restarts)
        no_holes = decoder.format in _SAMPLES_ARE_COUNTED
        no_holes = no_holes or (decoder.format == "mov" and rotten is not None)  # lost fragments
        frame, damaged, lost, skipped = None, False, 0.0, False
        before = place = 0
        for following in chain([first], frames, [None]):
            if frame is not None:  # it is placed when the one after it is known
                if rotten and place - CHUNK_HEADER in rotten:
                    self._damage(clock.position, clock.position + frame.samples / frame.sample_rate)
                if not damaged and clock.runs_on(frame.time, frame.samples / frame.sample_rate):
                    yield from blocks.add(frame)
                else:
                    clock.lose(lost)
                    is_loss = skipped or no_holes or _lacks_packets(file, decoder, before, place)
                    yield from self._placed(frame, following, damaged, is_loss)
            frame, damaged = following, decoder.damaged
            lost, skipped = decoder.lost, decoder.skipped
            before, place = place, decoder.place
        yield from blocks.flush()
        stated = self._extent.end
        if damaged and (stated is None or clock.position < stated - _TOUCH):
            self._damage(clock.position, clock.position + lost)
        if decoder.place and _lacks_packets(
            file, decoder, decoder.place, os.fstat(file.fileno()).st_size
        ):
            self._damage(clock.position, clock.position)
        if blocks.cancelled:
            message = (
                "The channels of the recording cancel each other where they are mixed: the worker "
                "used the louder one there. Set channel to choose one."
            )
            self.notices.append(
                Notice(kind="channels_cancelled", option="channel", message=message)
            )

    def _placed(
        self, frame: Any, following: Any, damaged: bool, hole_is_damage: bool
    ) -> Iterator[Block]:
        """The blocks that a frame completes, and the silence before it."""
        start = self._clock.position
        placed = self._clock.place(
            frame.time,
            frame.samples / frame.sample_rate,
            None if following is None else following.time,
            exactly=damaged,
        )
        if damaged or (placed.silence and hole_is_damage and start):
            self._damage(start, start + placed.silence)
        elif placed.silence:
            self._gaps.add(start, start + placed.silence)
        restarts = self._restarts and placed.off < 0  # joined recordings: nothing is wrong
        if placed.is_wrong and not restarts:
            self._jumps.add(start, start)
        if placed.cut:
            self._overlaps.add(start + placed.off, start + placed.off + placed.cut)
        if placed.silence:  # told before, because a clip may end within it
            yield from self._blocks.silence(round((start + placed.silence) * SAMPLE_RATE))
        skip = min(frame.samples, round(placed.cut * frame.sample_rate))
        if skip < frame.samples:
            yield from self._blocks.add(frame, skip)

    def _damage(self, start: float, end: float) -> None:
        self._damaged.add(start, end)
        in_clip = end >= self._start and (self._end is None or start <= self._end)
        if self._on_damage == "fail" and in_clip:
            raise RpcError(
                "audio_invalid",
                f"{self._path} is damaged at {start:.1f} s.",
                remedy='Copy or record the file again, or omit "onDamage": "fail" to get what is '
                "good of it.",
                path=self._path,
                duration=start,
            )

    def _check_channel(self, stream: Any) -> None:
        channels = stream.codec_context.channels
        if not channels or not stream.codec_context.sample_rate:
            raise self._invalid("FFmpeg finds nothing in it that it can decode")
        if isinstance(self._channel, int) and self._channel >= channels:
            raise RpcError(
                "audio_no_channel",
                f"{self._path} has {channels} channels, numbered from 0, and so no channel "
                f"{self._channel}.",
                path=self._path,
                channels=channels,
            )

    def _invalid(self, why: str, **details: Any) -> RpcError:
        return RpcError(
            "audio_invalid", f"{self._path} cannot be decoded: {why}.", path=self._path, **details
        )

    def _undecodable(self, file: io.FileIO, error: Any) -> RpcError:
        if lacks_index(file):
            return self._invalid(
                "its index (moov) is missing, because the recording was not finished or the file "
                "was cut",
                remedy="Copy the file again, or repair it with a tool that rebuilds the index.",
            )
        return self._invalid(error.strerror or type(error).__name__)

    def _tell(self) -> None:
        """Add the notices of what was found in the clip."""
        found = [
            ("damaged", self._damaged, self._damage_told()),
            (
                "time_gaps",
                self._gaps.longer_than(_WORTH_TELLING),
                "The recording has gaps in its time stamps: the worker filled them with silence.",
            ),
            (
                "time_overlaps",
                self._overlaps.longer_than(_WORTH_TELLING),
                "By their time stamps, parts of the recording overlap what comes before them: the "
                "worker left them out.",
            ),
            (
                "time_stamps_broken",
                self._jumps,
                "The time stamps of the recording jump: the worker did not follow them, so times "
                "after that may differ from a player's.",
            ),
        ]
        for kind, spans, message in found:
            if inside := spans.within(self._start, self._end):
                is_info = kind == "time_gaps"  # nothing needs to be done
                self.notices.append(notice_about(kind, message, inside, info=is_info))

    def _damage_told(self) -> str:
        duration = self._blocks.written / SAMPLE_RATE
        stated = self._extent.end
        told = "The recording is damaged: the worker used what is good of it"
        if stated is not None and duration < stated - _LENGTH_TOLERANCE:
            return f"{told}. The file states {stated:.1f} s, but contains {duration:.1f} s."
        if self._damaged.ends_at(duration):
            return f"{told}. The file lacks its end."
        return f"{told}, with silence in place of the rest."


def decode(
    path: str,
    *,
    channel: int | None = None,
    track: int | str | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Samples:
    """Decode the part of a file between `start` and `end`, in seconds, to 16 kHz mono.

    `channel` selects one channel instead of mixing all. Raises as `Reading`.
    """
    import numpy as np

    mixed: Channels = "mix" if channel is None else channel
    blocks = Reading(path, channel=mixed, track=track, start=start, end=end)
    return to_float(np.concatenate([block[0] for block in blocks]))


def estimated_duration(path: str) -> float | None:
    """The file's duration in seconds as FFmpeg estimates it, for progress; None if unknown."""
    import av
    import av.error

    try:
        with opened(path) as file, demuxed(file) as container:
            return container.duration / av.time_base if container.duration else None
    except (av.error.FFmpegError, OSError):
        return None


def _lacks_start(container: Any, file: io.FileIO, decoder: Decoder) -> bool:
    """Whether the clock would start too late, because FFmpeg could not read the first audio."""
    if decoder.format == "flac":
        return decoder.merged
    if decoder.format != "ogg" or len(container.streams) > 1:
        return False
    with _staying(file):
        return ogg.lacks_first_audio(file, decoder.place)


def _lacks_packets(file: io.FileIO, decoder: Decoder, place: int, stop: int) -> bool:
    """Whether something between the packet at `place` and `stop`, in bytes, is rotten.

    FFmpeg's demuxers of these formats look for the next packet that they can read, and do not tell.
    """
    is_whole = _WHOLE.get(decoder.format)
    if is_whole is None:
        return False
    with _staying(file):
        return not is_whole(file, place, stop)


@contextmanager
def _staying(file: io.FileIO) -> Iterator[None]:
    """Keep the file's position, at which FFmpeg goes on."""
    where = file.tell()
    yield
    file.seek(where)


class _Spans:
    """Stretches in the order of their starts; those that touch are joined."""

    def __init__(self, touch: float) -> None:
        self._touch = touch
        self._spans: list[tuple[float, float]] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, start: float, end: float) -> None:
        """Add a stretch, in seconds."""
        if self._spans and start <= self._spans[-1][1] + self._touch:
            start, end = self._spans[-1][0], max(end, self._spans.pop()[1])
        self._spans.append((start, end))

    def ends_at(self, time: float) -> bool:
        """Whether the last stretch reaches to `time` or beyond."""
        return bool(self._spans) and self._spans[-1][1] >= time - self._touch

    def longer_than(self, seconds: float) -> _Spans:
        """Those that are longer than that."""
        kept = _Spans(self._touch)
        kept._spans = [span for span in self._spans if span[1] - span[0] >= seconds]
        return kept

    def within(self, start: float, end: float | None) -> list[TimeSpan]:
        """Those that reach into a part of the recording."""
        return [
            TimeSpan(start=round(a, 3), end=round(b, 3))
            for a, b in self._spans
            if b >= start and (end is None or a <= end)
        ]


def _too_long(path: str, limit: float, **details: Any) -> RpcError:
    message = f"{path} lasts longer than the limit of {limit:.0f} s."
    return RpcError("audio_too_long", message, path=path, limit=limit, **details)
