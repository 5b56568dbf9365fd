"""Decodes a track packet by packet, so that a damaged packet costs only itself.

FFmpeg's demuxers and decoders refuse what they cannot read with an error, and go on with the next
packet if they are asked again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any, Final

_GIVE_UP: Final = 20
"""The demuxer's errors in a row after which nothing more will come."""
_LONGEST_FRAME: Final = {"mp3": 1441, "aac": 800}
"""Bytes, for AAC by channel, in formats without time stamps: the demuxer counts frames, and so does
not notice lost ones. A packet is a frame and the bytes around it that are none; a longer packet
hides lost frames, unless those bytes are a tag."""
_MP3_KILOBITS: Final = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
)
"""A second of MPEG 2, and of MPEG 1, by the four bits of a frame's header."""
_MP3_HERTZ: Final = (44_100, 48_000, 32_000)
_TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_PLACES: Final = frozenset({"avi", "flv", "matroska", "mpegts", "ogg"})
"""Formats of which `Decoder.place` tells."""
_MOST_CHANNELS: Final = 8
"""A track may change between mono, stereo and surround, but not to more than these."""


class Decoder:
    """Iterate once over the track's frames (of PyAV); the attributes are about the last of them."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.damaged = False
        """Whether something before the frame could not be decoded; in the end, after it."""
        self.lost = 0.0
        """Seconds of audio that was lost there, and that later time stamps do not count."""
        self.skipped = False
        """Whether the demuxer may have passed over packets there: if so, they leave a hole."""
        self.merged = False
        """Whether frames came together, because the demuxer found no end of one (FLAC)."""
        self.place = 0
        """Bytes before its packet, in some formats."""
        self.format: str = container.format.name.partition(",")[0]
        self._container = container
        self._stream = stream
        if stream.codec_context.name == "flac":  # otherwise it makes noise of a rotten frame
            stream.codec_context.options = {"err_detect": "crccheck+explode"}

    def __iter__(self) -> Iterator[Any]:
        import av.error

        longest = _LONGEST_FRAME.get(self.format, math.inf)
        if self.format == "aac":
            longest *= self._stream.codec_context.channels or 1
        blocks = _Blocks() if self.format == "asf" else None
        tracks = () if blocks else (self._stream,)
        wanted, tells_place = self._stream.index, self.format in _PLACES
        known = self._stream.layout.nb_channels
        total = count = 0  # bytes of packets that are no longer than that, and their number
        packets = self._container.demux(*tracks)
        last: Any = None
        failures = 0
        while failures < _GIVE_UP:
            try:
                packet = next(packets, None)
            # OSError: a seek before the start; IndexError: rubbish that seems to begin a new track
            except (av.error.FFmpegError, OSError, IndexError):
                packets = self._container.demux(*tracks)
                failures += 1
                self.damaged = True
                continue
            if packet is None:
                if last is not None:  # the decoder of MP3 guesses the rest of a cut frame
                    self.damaged = self.damaged or last.size < _mp3_length(bytes(last))
                return
            failures = 0
            size = packet.size
            if blocks and size and blocks.break_at(packet):
                self.skipped = True
            if blocks and packet.stream.index != wanted:
                continue
            if size and self.format == "mp3":
                last = packet
            is_tag = False
            if size > longest and not (self.format == "aac" and _is_adts(bytes(packet))):
                content = bytes(packet)
                is_tag = any(tag in content for tag in _TAGS)
                if count and packet.duration and not is_tag:
                    frames = size * count / total - 1
                    self.lost += float(frames * packet.duration * packet.time_base)
                    self.damaged = True
            else:
                total += size
                count += 1
            try:
                decoded = packet.decode()
            except (av.error.FFmpegError, OSError):
                self.damaged = self.damaged or (size > 0 and not is_tag)
                continue
            is_merged = self.format == "flac" and len(decoded) > 1
            if is_merged:
                self.merged = True
                for frame in decoded:  # theirs is that of the last
                    frame.pts = None
            for frame in decoded:
                if tells_place:
                    self.place = packet.pos or 0
                if frame.layout.nb_channels > max(_MOST_CHANNELS, known):  # rubbish
                    self.damaged = True
                    continue
                yield frame
                self.damaged, self.lost, self.skipped = False, 0.0, False
            self.damaged |= is_merged
            # The rest of the file is missing; that of a WAV may be of any length.
            if packet.is_corrupt and self.format != "wav":
                self.damaged = True


class _Blocks:
    """Follows the packets of all tracks of an ASF, whose places are those of blocks of one size.

    FFmpeg passes over blocks that it cannot read, and does not tell.
    """

    def __init__(self) -> None:
        self._size = sys.maxsize
        self._place = -1

    def break_at(self, packet: Any) -> bool:
        """Whether blocks are missing between the packet before and this one."""
        place = -1 if packet.pos is None else int(packet.pos)
        step = place - self._place
        if self._place < 0 or place < 0 or not step:
            self._place = max(place, self._place)
            return False
        self._place = place
        self._size = min(self._size, abs(step))
        return step >= (2 + packet.size // self._size) * self._size or step % self._size > 0


def _is_adts(content: bytes) -> bool:
    """Whether it is one frame of AAC by its own header: encoders write longer ones than allowed."""
    length = int.from_bytes(content[3:6], "big") >> 5 & 0x1FFF
    return content[0] == 0xFF and content[1] & 0xF6 == 0xF0 and length == len(content)


def _mp3_length(content: bytes) -> int:
    """Bytes that a frame of MP3 has by its header; 0 for anything else."""
    if len(content) < 4 or content[0] != 0xFF or content[1] & 0xE6 != 0xE2:  # sync, layer III
        return 0
    version, rate = content[1] >> 3 & 3, content[2] >> 2 & 3
    kilobits = _MP3_KILOBITS[version == 3][content[2] >> 4]
    if version == 1 or rate == 3 or not kilobits:
        return 0
    hertz = _MP3_HERTZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if version == 3 else 72) * kilobits * 1000 // hertz + (content[2] >> 1 & 1)
