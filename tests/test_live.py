"""Live streams through the worker: what a client is promised, whatever it sends."""

from __future__ import annotations

import base64
import os
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import RpcError
from tests.streams import CHUNK, Stream, joined, silence, words_of
from tests.support import (
    MODEL,
    SAMPLE_RATE,
    Session,
    children,
    kill_hard,
    samples_of,
    wait_until,
)

Start = Callable[..., Session]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all tests that do not end it."""
    with Session() as session:
        yield session


@pytest.fixture(scope="module")
def speech() -> Any:
    """Six seconds of English, and a second of silence."""
    return joined(samples_of("en-02.flac"), silence(1.0))


@pytest.fixture(scope="module")
def said(truth: dict[str, Any]) -> list[str]:
    return words_of(truth["en-02.flac"]["segments"])


def refused(session: Session, method: str, params: dict[str, Any]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        session.call(method, params)
    return caught.value


def is_near(words: list[str], said: list[str]) -> bool:
    return len(set(said) & set(words)) > 0.6 * len(set(said))


def test_words_come_while_they_are_said(session: Session, speech: Any, said: list[str]) -> None:
    stream = Stream(session)
    stream.speak(speech)
    stream.until(lambda: any(each["final"] for each in stream.ordered()))
    result = stream.finish()
    assert is_near(words_of(result["segments"]), said)
    assert (result["language"], result["engine"]) == ("en", "live")
    assert result["duration"] == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.01)
    assert result["gaps"] == result["warnings"] == []
    assert 0 <= result["latency"]["shown"]["p50"] <= result["latency"]["final"]["p95"]
    assert stream.speech()[:1] == ["started"]
    assert stream.speech() == ["started", "ended"] * (len(stream.speech()) // 2)
    ready = [each.get("stage") for each in stream.reports].index("ready")
    assert ready < [each.get("stage") for each in stream.reports].index("speech")


def test_requests_pace_the_client(session: Session, speech: Any, said: list[str]) -> None:
    stream = Stream(session, maxBacklog=2)
    stream.until(lambda: any(each.get("stage") == "ready" for each in stream.reports))
    place = refusals = 0
    while place < len(speech):
        try:
            told = stream.append(speech[place : place + 5 * CHUNK])
        except RpcError as error:
            assert error.kind == "live_overrun"
            assert error.data["backlog"] > 2
            refusals += 1
            continue
        place += 5 * CHUNK
        assert told["audioReceived"] == pytest.approx(
            min(place, len(speech)) / SAMPLE_RATE, abs=0.001
        )
        assert told["backlog"] == pytest.approx(
            told["audioReceived"] - told["audioDecoded"], abs=0.002
        )
    result = stream.finish()
    assert result["gaps"] == []
    assert result["duration"] == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.01)
    assert is_near(words_of(result["segments"]), said)


def test_without_interims_every_segment_comes_once(session: Session, speech: Any) -> None:
    stream = Stream(session, interim=False)
    stream.speak(speech)
    result = stream.finish()
    assert stream.told == len(result["segments"]) > 0


@pytest.mark.parametrize(
    ("format_", "rate"), [("pcm16", 8_000), ("float32", 16_000), ("pcm16", 48_000)]
)
def test_formats_and_rates_give_the_same_words(
    session: Session, speech: Any, said: list[str], format_: str, rate: int
) -> None:
    times = np.arange(len(speech) * rate // SAMPLE_RATE) * SAMPLE_RATE / rate
    samples = np.interp(times, np.arange(len(speech)), speech)
    samples = samples.astype("<i2") if format_ == "pcm16" else (samples / 32768).astype("<f4")
    stream = Stream(session, format=format_, sampleRate=rate, language="en")
    stream.speak(samples, chunk=rate // 7)
    result = stream.finish()
    assert is_near(words_of(result["segments"]), said)
    assert result["duration"] == pytest.approx(len(samples) / rate, abs=0.01)


@pytest.mark.parametrize("size", [2, 333, 10 * 2 * SAMPLE_RATE])
def test_chunks_of_any_size_lose_nothing(
    session: Session, speech: Any, said: list[str], size: int
) -> None:
    data = speech[: SAMPLE_RATE // 4 if size == 2 else None].tobytes()
    stream = Stream(session, f"of {size} bytes")
    for place in range(0, len(data), size):  # odd sizes cut samples in two
        audio = base64.b64encode(data[place : place + size]).decode()
        session.notify("live/append", {"stream": stream.name, "audio": audio})
    result = stream.finish()
    assert result["duration"] == pytest.approx(len(data) / 2 / SAMPLE_RATE, abs=0.001)
    assert size == 2 or is_near(words_of(result["segments"]), said)


def test_silence_gives_no_words_and_no_segment(session: Session) -> None:
    stream = Stream(session)
    stream.send(silence(60))
    result = stream.finish()
    assert (result["text"], result["segments"], result["latency"]) == ("", [], None)
    assert result["silences"] == [{"start": 0.0, "end": 60.0}]
    assert stream.told == 0


def test_a_stream_without_audio_ends_well(session: Session) -> None:
    result = Stream(session).finish()
    assert (result["duration"], result["segments"], result["warnings"]) == (0.0, [], [])


def test_commit_ends_an_utterance_at_once(session: Session, speech: Any) -> None:
    stream = Stream(session, endSilence=10)
    stream.speak(speech[: 4 * SAMPLE_RATE])
    told = stream.commit()
    assert told["audioReceived"] == 4.0
    stream.until(lambda: stream.segments and all(each["final"] for each in stream.ordered()))
    assert stream.speech() == ["started", "ended"]
    stream.finish()


def test_holes_keep_the_clock_and_are_told(session: Session, speech: Any) -> None:
    stream = Stream(session, language="en")
    stream.send(speech, at=0.0)
    later = 100.0
    stream.send(speech, at=later)
    result = stream.finish()
    assert result["gaps"] == [{"start": round(len(speech) / SAMPLE_RATE, 3), "end": later}]
    assert [each["kind"] for each in result["warnings"]] == ["time_gaps"]
    assert result["duration"] == pytest.approx(later + len(speech) / SAMPLE_RATE, abs=0.01)
    starts = [each["start"] for each in result["segments"]]
    assert starts[0] < 3 and starts[-1] > later
    assert not any(8 < start < later for start in starts)


def test_audio_that_came_before_is_heard_once(session: Session, speech: Any) -> None:
    stream = Stream(session, language="en")
    for place in range(0, len(speech), CHUNK):  # each chunk twice, as after a lost reply
        stream.send(speech[place : place + CHUNK], at=place / SAMPLE_RATE)
        stream.send(speech[place : place + CHUNK], at=place / SAMPLE_RATE)
    result = stream.finish()
    assert result["duration"] == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.01)
    assert result["gaps"] == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"sampleRate": 7_999}, "$.sampleRate"),
        ({"sampleRate": 48_001}, "$.sampleRate"),
        ({"format": "mp3"}, "$.format"),
        ({"stream": ""}, "$.stream"),
        ({"interval": 0}, "$.interval"),
        ({"maxUtterance": 30}, "$.maxUtterance"),
        ({"audio": "x.wav"}, "$.audio"),
    ],
)
def test_params_that_cannot_be_are_refused(
    session: Session, change: dict[str, Any], path: str
) -> None:
    error = refused(session, "live/transcribe", {"stream": "x", **change})
    assert (error.kind, error.data["path"]) == ("invalid_params", path)
    assert refused(session, "live/finish", {"stream": "x"}).kind == "live_stream_unknown"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"audio": "AAA"}, "$.audio"),
        ({"audio": "!!!!"}, "$.audio"),
        ({"at": -1}, "$.at"),
        ({"at": 3601.0}, "$.at"),
        ({"at": 1e300}, "$.at"),
        ({"audio": 7}, "$.audio"),
    ],
)
def test_appends_that_cannot_be_are_refused_and_told(
    session: Session, change: dict[str, Any], path: str
) -> None:
    stream = Stream(session)
    params = {"stream": stream.name, "audio": "AAA="} | change
    error = refused(session, "live/append", params)
    assert (error.kind, error.data["path"]) == ("invalid_params", path)
    session.notify("live/append", params)
    result = stream.finish()
    assert [each["kind"] for each in result["warnings"]] == ["audio_refused"]
    assert result["duration"] == 0.0


def test_streams_that_are_not_open_are_unknown(session: Session) -> None:
    for method in ("live/append", "live/commit", "live/finish"):
        params = {"stream": "nobody", **({"audio": ""} if method == "live/append" else {})}
        error = refused(session, method, params)
        assert (error.kind, error.data["stream"]) == ("live_stream_unknown", "nobody")
        session.notify(method, params)
    assert session.call("ping") == {}


def test_a_name_belongs_to_one_open_stream(session: Session) -> None:
    stream = Stream(session, "mine")
    params = {"stream": "mine", "model": "small"}
    assert refused(session, "live/transcribe", params).kind == "live_stream_exists"
    stream.finish()
    Stream(session, "mine").finish()


def test_nothing_is_taken_after_the_end(session: Session, speech: Any) -> None:
    stream = Stream(session)
    stream.send(speech)
    session.call("live/finish", {"stream": stream.name})
    error = refused(session, "live/append", stream.params(speech))
    assert error.kind in ("live_stream_finished", "live_stream_unknown")
    session.notify("live/finish", {"stream": stream.name})
    assert stream.end()["duration"] == pytest.approx(len(speech) / SAMPLE_RATE, abs=0.01)


def test_numbers_that_are_no_samples_are_repaired_and_told(session: Session) -> None:
    stream = Stream(session, format="float32")
    stream.send(np.array([np.nan, np.inf, 5.0, 0.5], "<f4"))
    [warning] = stream.finish()["warnings"]
    assert warning["kind"] == "samples_repaired"


def test_two_streams_are_heard_side_by_side(session: Session, speech: Any) -> None:
    one, other = Stream(session, "one"), Stream(session, "other")
    for place in range(0, len(speech), CHUNK):
        one.send(speech[place : place + CHUNK])
        other.send(speech[place : place + CHUNK])
    one.neighbour = other
    first = one.finish()
    second = other.finish()
    assert first["text"] == second["text"] != ""


def test_cancelling_discards_the_stream(session: Session, speech: Any) -> None:
    stream = Stream(session, "cancelled")
    stream.speak(speech)
    session.cancel(stream.id)
    with pytest.raises(RpcError) as caught:
        stream.result(stream.id)
    assert caught.value.kind == "cancelled"
    assert refused(session, "live/append", stream.params(speech)).kind == "live_stream_unknown"
    again = Stream(session, "cancelled")  # its name is free at once
    again.speak(speech)
    assert again.finish()["segments"]


def test_a_stream_is_an_open_job(session: Session) -> None:
    stream = Stream(session)
    stream.until(lambda: stream.reports)
    [job] = session.call("jobs/list")["jobs"]
    assert (job["id"], job["method"]) == (stream.id, "live/transcribe")
    stream.finish()
    assert session.call("jobs/list")["jobs"] == []


def test_all_in_one_batch(start: Start, speech: Any) -> None:
    session = start()
    stream = Stream(session)
    audio = stream.params(speech)
    members = [
        {"jsonrpc": "2.0", "method": "live/append", "params": audio},
        {"jsonrpc": "2.0", "method": "live/finish", "params": {"stream": "stream"}},
    ]
    session._write(members)
    assert stream.end()["segments"]


def test_a_model_can_be_loaded_before_the_stream(start: Start, speech: Any) -> None:
    session = start()
    session.call("models/load", {"model": str(MODEL), "engine": "live"})
    engine = session.engine_pid()
    stream = Stream(session)
    stream.speak(speech)
    stream.finish()
    assert session.engine_pid() == engine
    [unloaded] = session.call("models/unload", {"model": str(MODEL)})["unloaded"]
    assert (unloaded["engine"], unloaded["loads"], unloaded["state"]) == ("live", 1, "idle")


def test_the_end_of_input_ends_the_streams(start: Start, speech: Any) -> None:
    session = start()
    stream = Stream(session)
    stream.speak(speech)
    session.close_input()
    assert stream.end()["segments"]
    assert session.close() == 0


def test_shutdown_ends_the_streams(start: Start, speech: Any) -> None:
    session = start()
    stream = Stream(session)
    stream.speak(speech)
    session.send("shutdown")
    assert stream.end()["segments"]


def test_all_audio_is_recorded(session: Session, speech: Any, tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    stream = Stream(session, record=str(path))
    stream.send(speech, at=0.0)
    stream.send(speech, at=20.0)
    result = stream.finish()
    assert result["recording"] == str(path)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 1)
        kept = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    hole = silence(20.0 - len(speech) / SAMPLE_RATE)
    assert np.array_equal(kept, joined(speech, hole, speech))
    other = {"stream": "again", "record": str(path)}
    assert refused(session, "live/transcribe", other).kind == "export_exists"
    assert refused(session, "live/transcribe", other | {"record": str(tmp_path)}).kind in (
        "export_failed",
        "export_exists",
    )
    Stream(session, record=str(path), overwrite=True).finish()


def test_a_recording_survives_the_worker(start: Start, speech: Any, tmp_path: Path) -> None:
    path = tmp_path / "kept.wav"
    session = start()
    stream = Stream(session, record=str(path))
    stream.append(speech)
    wait_until(lambda: path.exists() and path.stat().st_size > speech.nbytes)
    kill_hard(session.process.pid)
    with wave.open(str(path)) as file:
        kept = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.array_equal(kept, speech)


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_lost_engine_costs_no_word(start: Start, speech: Any, said: list[str]) -> None:
    session = start()
    stream = Stream(session, language="en")
    stream.speak(speech[: 4 * SAMPLE_RATE])
    stream.until(lambda: stream.segments)
    kill_hard(session.engine_pid())
    stream.speak(speech[4 * SAMPLE_RATE :])
    stream.speak(speech)
    result = stream.finish()
    assert [each["kind"] for each in result["warnings"]] == ["engine_restarted"]
    assert result["gaps"] == []
    assert result["duration"] == pytest.approx(2 * len(speech) / SAMPLE_RATE, abs=0.01)
    assert is_near(words_of(result["segments"]), said)
    assert result["segments"][-1]["end"] > len(speech) / SAMPLE_RATE


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_an_engine_that_cannot_live_ends_the_stream(start: Start, speech: Any) -> None:
    session = start()
    stream = Stream(session)
    stream.send(speech)

    done = threading.Event()

    def kill_all() -> None:
        while not done.wait(0.02):
            for pid in children(session.process.pid):
                kill_hard(pid)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(RpcError) as caught:
            stream.result(stream.id)
    finally:
        done.set()
        killer.join()
    assert caught.value.kind == "engine_crashed"
    assert session.call("ping") == {}


def priorities(pid: int) -> list[int]:
    """The niceness of each thread."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [os.getpriority(os.PRIO_PROCESS, int(each.name)) for each in threads]


@pytest.mark.skipif(sys.platform != "linux", reason="reads priorities of Linux")
def test_other_engines_step_back_while_a_stream_is_open(start: Start, speech: Any) -> None:
    session = start()
    session.transcribe(Path(__file__).parent / "recordings" / "en-01.flac")
    batch = session.engine_pid()
    stream = Stream(session)
    wait_until(lambda: all(priority > 0 for priority in priorities(batch)))
    stream.send(speech)
    live = [pid for pid in children(session.process.pid) if pid != batch]
    assert [priority for pid in live for priority in priorities(pid) if priority] == []
    stream.finish()
    session.transcribe(Path(__file__).parent / "recordings" / "en-01.flac")


def test_a_flood_of_audio_is_told_and_costs_no_crash(start: Start, speech: Any) -> None:
    session = start()
    stream = Stream(session, maxBacklog=1, language="en")
    stream.until(lambda: any(each.get("stage") == "ready" for each in stream.reports))
    for _ in range(40):
        stream.send(speech)
    result = stream.finish()
    assert result["duration"] == pytest.approx(40 * len(speech) / SAMPLE_RATE, abs=0.01)
    assert "audio_lost" in [each["kind"] for each in result["warnings"]]
    lost = sum(gap["end"] - gap["start"] for gap in result["gaps"])
    assert 0 < lost < result["duration"]
