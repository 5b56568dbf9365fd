"""Writes recordings in any container: late, with gaps, with several tracks, cut, rotten."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

RATE = 48_000
FRAME = 960  # samples, as Opus has them

Samples = npt.NDArray[np.int16]


class Kind(NamedTuple):
    """A container, and codecs that it can hold."""

    suffix: str
    audio: str
    video: str | None = None


KINDS = {
    kind.suffix: kind
    for kind in (
        Kind("mkv", "aac", "mpeg4"),
        Kind("webm", "libopus", "libvpx"),
        Kind("mp4", "aac", "mpeg4"),
        Kind("mov", "alac", "mpeg4"),
        Kind("ts", "mp2", "mpeg2video"),
        Kind("flv", "libmp3lame", "flv"),
        Kind("asf", "wmav2", "msmpeg4v3"),
        Kind("nut", "pcm_s16le", "mpeg4"),
        Kind("avi", "pcm_s16le", "mpeg4"),
        Kind("ogg", "libopus"),
        Kind("flac", "flac"),
        Kind("mp3", "libmp3lame"),
        Kind("wav", "pcm_s16le"),
        Kind("m4a", "aac"),
        Kind("aac", "aac"),
    )
}


def beeps(times: Sequence[float], duration: float) -> Samples:
    """Silence of `duration` seconds with a tone of 0.1 s at each of `times`."""
    samples = np.zeros(round(duration * RATE))
    tone = 16_000 * np.sin(2 * np.pi * 1000 * np.arange(RATE // 10) / RATE)
    for time in times:
        samples[round(time * RATE) :][: len(tone)] = tone[: len(samples) - round(time * RATE)]
    return samples.astype(np.int16)


def heard(samples: npt.NDArray[Any], rate: int = 16_000) -> list[float]:
    """When the tones in `samples`, of any scale, begin: seconds."""
    power = np.abs(samples.astype(np.float64))
    loud = power > 0.3 * power.max() if power.max() else np.zeros(0, bool)
    found: list[float] = []
    last = -1.0
    for place in np.flatnonzero(loud):
        if place / rate - last > 0.05:
            found.append(place / rate)
        last = place / rate
    return found


class Track(NamedTuple):
    """Audio of a file: samples, (n,) or (channels, n), and what its container says of it."""

    samples: Samples
    late: float = 0.0
    """Seconds after the container's start."""
    gap: tuple[float, float] | None = None
    """Where in the samples the time stamps jump, and by how many seconds."""
    language: str | None = None
    title: str | None = None
    default: bool = False


def write(
    path: Path,
    *tracks: Track,
    video: float = 0.0,
    options: dict[str, str] | None = None,
    container: str | None = None,
    codec: str | None = None,
    bit_rate: int = 96_000,
) -> Path:
    """Write the tracks to the container of the path's suffix, with `video` seconds of picture.

    `container` and `codec`, by FFmpeg's names, take the place of the suffix's.
    """
    import av

    kind = KINDS[path.suffix[1:]]
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        picture: Any = file.add_stream(kind.video, rate=25) if video and kind.video else None
        if picture:
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        streams: list[Any] = []
        for track in tracks:
            stream: Any = file.add_stream(codec or kind.audio, rate=RATE)
            stream.bit_rate = bit_rate
            stream.layout = _layout(np.atleast_2d(track.samples))
            if track.language:
                stream.metadata["language"] = track.language
            if track.title:
                stream.metadata["title"] = track.title
            if len(tracks) > 1:
                stream.disposition = 1 if track.default else 0
            streams.append(stream)
        packets: list[Any] = []
        if picture:
            for number in range(round(video * 25)):
                noise = np.random.default_rng(number).integers(0, 256, (96, 64), np.uint8)
                image = av.VideoFrame.from_ndarray(noise, "yuv420p")
                image.pts = number
                packets += picture.encode(image)
            packets += picture.encode(None)
        for stream, track in zip(streams, tracks, strict=True):
            for frame in _frames(track):
                packets += stream.encode(frame)
            packets += stream.encode(None)
        packets.sort(key=lambda packet: float((packet.dts or 0) * packet.time_base))
        for packet in packets:
            file.mux(packet)
    return path


def _layout(samples: Samples) -> str:
    return {1: "mono", 2: "stereo"}.get(len(samples), f"{len(samples)} channels")


def _frames(track: Track) -> list[Any]:
    import av

    samples = np.atleast_2d(track.samples)
    frames = []
    for first in range(0, samples.shape[1], FRAME):
        part = np.ascontiguousarray(samples[:, first : first + FRAME])
        frame = av.AudioFrame.from_ndarray(
            part.T.reshape(1, -1), format="s16", layout=_layout(samples)
        )
        frame.sample_rate = RATE
        frame.pts = first + round(track.late * RATE)
        if track.gap and first >= track.gap[0] * RATE:
            frame.pts += round(track.gap[1] * RATE)
        frames.append(frame)
    return frames


def cut(path: Path, share: float = 0.6) -> Path:
    """The first part of a file, as a new one."""
    made = path.with_name(f"cut-{path.name}")
    made.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    return made


def rot(path: Path, place: float = 0.5, count: int = 40) -> Path:
    """The file with some bytes replaced by random ones, as a new one."""
    content = bytearray(path.read_bytes())
    first = round(place * len(content))
    content[first : first + count] = random.Random(1).randbytes(count)
    made = path.with_name(f"rotten-{path.name}")
    made.write_bytes(content)
    return made


def by_ffmpeg(path: Path) -> Samples:
    """What FFmpeg itself plays: `-af aresample=async=1:first_pts=0`, at 16 kHz."""
    import av
    from av.filter import Graph

    made: list[Any] = []
    graph: Any = None

    def pull() -> None:
        while True:
            try:
                made.append(graph.pull().to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    with av.open(str(path)) as container:
        origin = (container.start_time or 0) / av.time_base
        for frame in container.decode(container.streams.audio[0]):
            if graph is None:
                graph = Graph()
                graph.link_nodes(
                    graph.add_abuffer(
                        sample_rate=frame.sample_rate,
                        format=frame.format.name,
                        layout=frame.layout.name,
                        time_base=frame.time_base,
                    ),
                    graph.add("aresample", "16000:async=1:first_pts=0:min_hard_comp=0.05"),
                    graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"),
                    graph.add("abuffersink"),
                ).configure()
            if frame.pts is not None:
                frame.pts -= round(origin / (frame.time_base or 1))
            graph.push(frame)
            pull()
    graph.push(None)
    pull()
    return np.concatenate(made)
