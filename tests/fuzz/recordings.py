"""Sends the worker damaged recordings in every container that PyAV can write and read.

A crash of a decoder must be an error reply, never the end of the worker; nothing hangs, and memory
stays bounded.
"""

from __future__ import annotations

import queue
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from tests.support import MODEL, SAMPLE_RATE, WORKER, Session, samples_of, tree
from worker.client import Client

SECONDS: Final = 120
"""Seconds in which any file is answered. A clip that claims to last hours takes a while."""

MOST_MEMORY: Final = 1500 * 1024 * 1024
"""Maximum resident bytes of any process of the worker."""

ENCODINGS: Final = (
    *("wav pcm_s16le 16000", "wav adpcm_ms 16000", "wav pcm_mulaw 8000", "aiff pcm_s16be 16000"),
    *("w64 pcm_s24le 16000", "au pcm_s16be 16000", "caf pcm_f32be 16000", "caf alac 16000"),
    *("flac flac 16000", "oga libopus 16000", "opus libopus 48000"),
    *("ogg vorbis 16000", "mp3 libmp3lame 16000", "mp2 mp2 16000", "aac aac 16000"),
    *("m4a aac 16000", "m4a alac 16000", "mov pcm_s16be 16000", "mp4 aac 16000 video"),
    *("mka libopus 16000", "mkv aac 16000 video", "webm libopus 16000", "avi libmp3lame 16000"),
    *("ts aac 16000", "ts mp2 16000", "mpg mp2 16000", "vob ac3 48000", "wma wmav2 44100"),
    *("asf wmav1 44100", "wtv mp2 16000", "amr libopencore_amrnb 8000", "flv libmp3lame 44100"),
    *("3gp libopencore_amrnb 8000", "ac3 ac3 48000", "eac3 eac3 48000", "rm ac3 48000"),
    *("tta tta 16000", "wv wavpack 16000", "voc pcm_u8 16000", "nut pcm_s16le 16000"),
    *("sox pcm_s32le 16000", "ircam pcm_s16le 16000", "swf libmp3lame 44100", "rso pcm_u8 16000"),
    *("mmf adpcm_yamaha 8000", "adx adpcm_adx 16000", "ast pcm_s16be_planar 16000"),
    *("apm adpcm_ima_apm 16000", "g722 g722 16000", "gxf pcm_s16le 48000"),
)
"""Suffix, codec, rate in Hz, and `video` for one with a picture: every format in which PyAV can
write audio to a file and read it back, with one or more codecs each."""

PROMISED: Final = frozenset(
    {"result", "audio_invalid", "audio_empty", "audio_no_stream", "audio_no_channel"}
    | {"audio_too_long", "clip_out_of_range", "engine_crashed", "out_of_memory"}
)
"""Allowed kinds of answers to a damaged recording."""

_OPTIONS: Final[dict[str, Any]] = {
    "language": "en",
    "beamSize": 1,
    "temperature": 0,
    "maxNewTokens": 1,
    "withoutTimestamps": True,
}


class Outcomes:
    """The answers, by container."""

    def __init__(self) -> None:
        self.by_encoding: dict[str, Counter[str]] = defaultdict(Counter)
        self.unexpected: Counter[str] = Counter()
        """Answers that are not allowed."""
        self.peak = 0
        """Peak resident bytes of any process."""

    def __str__(self) -> str:
        lines = [
            f"{name:26} {counts.total():6}  "
            + ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
            for name, counts in self.by_encoding.items()
        ]
        total = sum(self.by_encoding.values(), Counter[str]())
        told = ", ".join(f"{kind} {count}" for kind, count in total.most_common())
        lines.append(f"{'all':26} {total.total():6}  {told}")
        return "\n".join([*lines, f"peak of a process: {self.peak // 2**20} MiB"])


def write_original(
    path: Path, codec: str, rate: int, *, layout: str = "mono", video: bool = False
) -> Path:
    """A quarter of a second of speech."""
    import av

    samples = samples_of("en-01.flac")[3000 : 3000 + SAMPLE_RATE // 4]
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=5) if video else None
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "stereo" if codec == "vorbis" else layout
        stream.codec_context.options = {"strict": "experimental"}
        if codec.startswith("wma"):
            stream.bit_rate = 64_000
        if isinstance(picture, av.VideoStream):
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
            container.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(picture.encode(None))
        resampler = av.AudioResampler(
            stream.codec_context.format or "s16", stream.codec_context.layout, rate
        )
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            each.pts = None
            container.mux(stream.encode(each))
        container.mux(stream.encode(None))
    return path


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, set bytes, or cut, insert, double or zero parts, more often in the head."""
    changed = bytearray(data)

    def place() -> int:
        near = min(len(changed), 256) if rng.random() < 0.5 else len(changed)
        return rng.randrange(near) if near else 0

    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at, size = place(), rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(8):
            case 0 | 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 3:
                changed[at : at + size] = bytes(size)
            case 4:
                changed[at : at + size] = b"\xff" * size
            case 5:
                changed[at:at] = rng.randbytes(size)
            case 6:
                changed[at:at] = changed[at : at + size]
            case _:
                del changed[at : rng.choice((at + size, len(changed)))]
    return bytes(changed)


def fuzz(
    folder: Path,
    count: int,
    seed: int,
    encodings: Iterable[str] = ENCODINGS,
    on_finding: Callable[[str, bytes, str], None] = lambda name, data, what: None,
) -> Outcomes:
    """Send `count` damaged files per encoding to one worker; raise if it breaks its promise.

    Calls `on_finding` for each crash, with the encoding, the file, and the answer.
    """
    outcomes = Outcomes()
    with Session(WORKER) as worker:
        worker.call("models/load", {"model": str(MODEL)})
        for name in encodings:
            suffix, codec, rate, *video = name.split()
            rng = random.Random(f"{seed} {name}")
            path = folder / f"original.{suffix}"
            original = write_original(path, codec, int(rate), video=bool(video)).read_bytes()
            assert _ask(worker, path) == "result", name
            for _ in range(count):
                data = damage(original, rng)
                path.write_bytes(data)
                kind = _ask(worker, path)
                outcomes.by_encoding[name][kind] += 1
                if kind not in PROMISED or kind == "engine_crashed":
                    on_finding(name, data, kind)
                outcomes.unexpected.update([kind] if kind not in PROMISED else [])
            path.unlink()
            outcomes.peak = max(outcomes.peak, *map(_peak, tree(worker.process.pid)))
        assert worker.call("ping") == {}
        worker.close_input()
        assert worker.process.wait(SECONDS) == 0
    assert not outcomes.unexpected, outcomes.unexpected
    assert outcomes.peak < MOST_MEMORY
    return outcomes


def _ask(worker: Client, path: Path) -> str:
    id_ = worker.send("transcribe", {"audio": str(path), "model": str(MODEL), **_OPTIONS})
    try:
        reply = worker.next_message(SECONDS)
    except queue.Empty:
        raise AssertionError(f"no answer within {SECONDS} s") from None
    assert reply["id"] == id_
    return "result" if "result" in reply else str(reply["error"]["data"]["kind"])


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * 1024 if found else 0
