"""The parts of an open stream: what is kept for another engine, the recording, stalls."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.live import LiveSegment, LiveTranscribeParams, LiveWord
from worker.audio import decode
from worker.engines.contract import LiveInput, LivePart, SpeechChange
from worker.live import stream as stream_module
from worker.live.backlog import Backlog
from worker.live.intake import Chunk
from worker.live.recorder import Recorder
from worker.live.stream import Stream
from worker.live.wav import WavWriter
from worker.session.job import Job
from worker.session.writer import Writer

Open = Callable[..., "Opened"]

RATE = 16_000
SECOND = b"\x01\x00" * RATE


def heard(backlog: Backlog) -> bytes:
    """What an engine hears of it, a hole as zeros."""
    return b"".join(b"\0\0" * item.missing + item.data for item in backlog.take())


@given(
    st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=6)), max_size=12),
    st.integers(0, 12),
    st.integers(0, 80),
    st.integers(0, 80),
)
def test_another_engine_hears_all_that_is_not_settled(
    chunks: list[tuple[int, bytes]], taken: int, settled: int, position: int
) -> None:
    backlog = Backlog(sample_bytes=2)
    whole = b""
    for number, (missing, data) in enumerate(chunks):
        data = data[: len(data) // 2 * 2]
        backlog.add(Chunk(missing, data))
        whole += b"\0\0" * missing + data
        if number < taken:
            backlog.take()
    settled, position = sorted([settled, position])
    backlog.settle(settled)
    backlog.rewind(position)
    assert heard(backlog) == whole[2 * position :]
    assert backlog.end == len(whole) // 2
    assert not backlog.waits


def test_the_end_of_a_stream_is_never_settled() -> None:
    backlog = Backlog(sample_bytes=2)
    backlog.add(Chunk(0, SECOND))
    backlog.add_end("utterance")
    backlog.add_end("stream")
    backlog.take()
    backlog.settle(10 * RATE)
    backlog.rewind(10 * RATE)
    assert [item.end for item in backlog.take()] == ["stream"]


def test_holes_that_follow_each_other_are_one() -> None:
    backlog = Backlog(sample_bytes=2)
    for _ in range(1000):
        backlog.add(Chunk(RATE, b""))
    [item] = backlog.take()
    assert (item.missing, backlog.end) == (1000 * RATE, 1000 * RATE)


@pytest.mark.parametrize(("format_", "size"), [("pcm16", 2), ("float32", 4)])
def test_a_recording_is_valid_after_each_piece(tmp_path: Path, format_: Any, size: int) -> None:
    path = tmp_path / "kept.wav"
    with path.open("wb+") as file:
        writer = WavWriter(file.fileno(), format_, RATE)
        for count in (1, 1600, 3):
            writer.write(b"\0" * count * size)
            writer.skip(7)
            assert path.stat().st_size == 80 + writer.samples * size
            assert len(decode(str(path))) == writer.samples
        writer.flush()


def test_a_recording_beyond_four_gibibytes_is_an_rf64(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb+") as file:
        writer = WavWriter(file.fileno(), "pcm16", RATE)
        writer.skip(3 << 30)  # a hole in the file: it takes no room
        writer.write(SECOND)
        file.seek(0)
        header = file.read(80)
        assert header[:4] == b"RF64" and header[12:16] == b"ds64"
        _, data_size, samples, _ = struct.unpack("<QQQI", header[20:48])
        assert (data_size, samples) == (2 * writer.samples, writer.samples)
        assert writer.samples == (3 << 30) + RATE
    import av

    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(writer.samples / RATE, abs=1)


def test_a_full_disk_is_told_and_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "kept.wav", "pcm16", RATE)
    recorder.add(Chunk(0, SECOND))
    assert recorder.wait(1.0, 10)

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    recorder.add(Chunk(0, SECOND))
    assert not recorder.wait(2.0, 10)
    monkeypatch.undo()
    assert recorder.failure and "No space left" in recorder.failure.message
    recorder.add(Chunk(0, SECOND))
    recorder.close()
    with wave.open(str(tmp_path / "kept.wav")) as file:
        assert file.getnframes() == RATE


def test_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    path.write_bytes(b"precious")
    with pytest.raises(RpcError) as refused:
        Recorder(path, "pcm16", RATE)
    assert refused.value.kind == "export_exists"
    assert path.read_bytes() == b"precious"
    Recorder(path, "pcm16", RATE, overwrite=True).close()
    assert path.read_bytes()[:4] == b"RIFF"
    for wrong in (tmp_path / "no" / "kept.wav", Path("a\0b"), tmp_path):
        with pytest.raises(RpcError) as refused:
            Recorder(wrong, "pcm16", RATE, overwrite=True)
        assert refused.value.kind == "export_failed"


class Opened:
    """A stream without a session: what its client is told is in `told`."""

    def __init__(self, **params: Any) -> None:
        read, write = os.pipe()
        self._pipe, self._write = os.fdopen(read, "rb"), write
        call = Call(b"1", "live/transcribe", b'{"progressToken":1,"partialResultToken":2}')
        self.writer = Writer(write, lambda: None)
        self.job = Job(call, self.writer, lambda reply: None)
        self.stream = Stream(self.job, LiveTranscribeParams(stream="s", **params))
        self.inputs: list[LiveInput] = []
        self.kills = 0
        self._ended = threading.Event()
        self.stream.ready()

    def serve(self, seconds: float) -> None:
        """Feed an engine, and watch it."""
        self._ended.clear()
        helpers = [
            threading.Thread(target=self.stream.feed, args=[self.inputs.append, 1, self._ended]),
            threading.Thread(target=self.stream.watch, args=[self._kill, self._ended]),
        ]
        for helper in helpers:
            helper.start()
        helpers[0].join(seconds)
        self._ended.set()
        self.stream.wake()
        for helper in helpers:
            helper.join()

    def _kill(self) -> None:
        self.kills += 1

    def close(self) -> None:
        self.writer.flush(1)
        self._pipe.close()
        os.close(self._write)

    def values(self, count: int) -> Iterator[Any]:
        """The next progress values that the client gets."""
        for _ in range(count):
            yield msgspec.json.decode(self._pipe.readline())["params"]["value"]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open streams, until the end of the test."""
    with ExitStack() as stack:

        def open_(**params: Any) -> Opened:
            return stack.enter_context(closing(Opened(**params)))

        yield open_


def part(
    heard: float, *segments: LiveSegment, speech: str | None = None, settled: float = 0.0
) -> bytes:
    changes = [SpeechChange(speech=speech, at=heard)] if speech else []  # type: ignore[arg-type]
    return msgspec.json.encode(
        LivePart(
            heard=heard,
            settled=settled,
            language="en",
            language_probability=1.0,
            language_is_clear=True,
            speech=changes,
            segments=list(segments),
        )
    )


def segment(id_: int, final: str, interim: str = "", *, closed: bool = False) -> LiveSegment:
    words = [
        LiveWord(start=0.1 * at, end=0.1 * at + 0.1, word=f" {word}", probability=1.0, final=is_)
        for at, (word, is_) in enumerate(
            [(word, True) for word in final.split()] + [(word, False) for word in interim.split()]
        )
    ]
    text = f"{final} {interim}".strip()
    return LiveSegment(
        id=id_, start=0.0, end=1.0, text=text, language="en", final=closed, words=words
    )


def test_a_pause_of_the_client_ends_the_utterance_and_a_long_one_the_stream(
    monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    monkeypatch.setattr(stream_module, "_PAUSED_SECONDS", 0.1)
    monkeypatch.setattr(stream_module, "_STALLED_SECONDS", 0.8)
    monkeypatch.setattr(stream_module, "_POLL_SECONDS", 0.02)
    stream = opened()
    stream.stream.append(SECOND, None, paced=False)
    stream.stream.take(part(0.5, speech="started"))
    while not stream.stream._finished:
        stream.serve(0.1)
    stream.serve(0.1)
    assert [given_.end for given_ in stream.inputs] == [None, "utterance", "stream"]
    assert [notice.kind for notice in stream.stream.notices] == ["stream_stalled"]
    with pytest.raises(RpcError) as refused:
        stream.stream.append(SECOND, None, paced=True)
    assert refused.value.kind == "live_stream_finished"


def test_silence_is_no_pause(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    monkeypatch.setattr(stream_module, "_PAUSED_SECONDS", 0.0)
    monkeypatch.setattr(stream_module, "_POLL_SECONDS", 0.02)
    stream = opened()
    stream.stream.append(SECOND, None, paced=False)
    stream.serve(0.2)
    assert [given_.end for given_ in stream.inputs] == [None]


class Sleep(threading.Event):
    """Ends after a few waits, each of which takes as long as a machine sleeps."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(0.4)
        self.waits += 1
        return self.waits > 3


def test_a_machine_that_sleeps_ends_nothing(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    for name in ("_STALLED_SECONDS", "_HANGS_SECONDS"):
        monkeypatch.setattr(stream_module, name, 0.3)
    monkeypatch.setattr(stream_module, "_ASLEEP_SECONDS", 0.1)
    monkeypatch.setattr(stream_module, "_POLL_SECONDS", 0.02)
    stream = opened()
    stream.stream.append(SECOND, None, paced=False)
    stream.serve(0.1)
    stream.stream.watch(stream._kill, Sleep())
    assert stream.kills == 0
    assert stream.stream.notices == []


def test_an_engine_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    monkeypatch.setattr(stream_module, "_HANGS_SECONDS", 0.1)
    monkeypatch.setattr(stream_module, "_POLL_SECONDS", 0.02)
    stream = opened()
    stream.serve(0.3)
    assert stream.kills == 0  # it has nothing to hear
    stream.stream.append(SECOND, None, paced=False)
    stream.serve(0.3)
    assert stream.kills == 1
    stream.stream.take(part(1.0))
    stream.serve(0.3)
    assert stream.kills == 1


def test_another_engine_goes_on_after_the_last_final_word(opened: Open) -> None:
    stream = opened()
    for _ in range(4):
        stream.stream.append(SECOND, None, paced=False)
    stream.stream.take(part(0.2, speech="started"))
    stream.stream.take(part(3.0, segment(4, "so far", "not sure"), settled=1.5))
    resumption = stream.stream.resume()
    assert resumption == (5, 1.5, "so far", "en")
    told = list(stream.values(5))
    assert [each.get("stage", each.get("speech")) for each in told[:2]] == ["ready", "speech"]
    assert (told[3]["speech"], told[3]["at"]) == ("ended", 1.5)
    assert told[4]["segments"][0]["text"] == "so far"
    assert told[4]["segments"][0]["final"]
    stream.serve(0.1)
    assert sum(len(given_.audio) for given_ in stream.inputs) == 2 * (4 * RATE - 1.5 * RATE)


def test_a_passing_segment_that_was_nothing_is_taken_back(opened: Open) -> None:
    stream = opened()
    stream.stream.append(SECOND, None, paced=False)
    stream.stream.take(part(0.5, segment(0, "", "hm")))
    assert stream.stream.resume().first_id == 1
    *_, last = stream.values(3)
    assert (last["segments"][0]["text"], last["segments"][0]["final"]) == ("", True)
    assert stream.stream.segments() == []


def test_audio_waits_for_the_model_to_load(opened: Open) -> None:
    stream = opened(max_backlog=1.0)
    stream.stream._ready_at = None
    for _ in range(100):
        stream.stream.append(SECOND, None, paced=True)
    stream.stream.ready()
    with pytest.raises(RpcError) as refused:
        stream.stream.append(SECOND, None, paced=True)
    assert refused.value.kind == "live_overrun"
    assert stream.stream.duration == 100.0
    stream.stream.append(SECOND, None, paced=False)  # a microphone does not wait
    assert [(gap.start, gap.end) for gap in stream.stream.gaps()] == [(100.0, 101.0)]
    assert [notice.kind for notice in stream.stream.losses()] == ["audio_lost"]
