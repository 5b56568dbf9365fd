"""Limits: what goes beyond one is refused by a stable kind with a remedy, and told beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import KINDS, RpcError
from tests.support import PATIENCE, RECORDINGS, Session, encode, samples_of, write_wav
from worker import audio
from worker.system.limits import DURATION_VARIABLE, SIZE_VARIABLE, max_audio_duration

Start = Callable[..., Session]

SPEECH = RECORDINGS / "en-05.flac"


def refused(act: Callable[[], Any]) -> RpcError:
    """The error of an act that must have one, with a remedy that names what to change."""
    with pytest.raises(RpcError) as caught:
        act()
    assert caught.value.code == KINDS[caught.value.kind].code
    assert caught.value.data["remedy"]
    return caught.value


def limits_of(session: Session, **params: Any) -> dict[str, Any]:
    """What `initialize` tells."""
    limits: dict[str, Any] = session.call("initialize", params)["limits"]
    return limits


def test_initialize_tells_the_limits_that_the_worker_was_started_with(start: Start) -> None:
    options = {
        "--max-line": "1Mi",
        "--max-jobs": "7",
        "--max-queue": "2MB",
        "--max-audio-duration": "90.5",
        "--max-audio-size": "1GiB",
        "--max-models": "3",
        "--memory-budget": "6GB",
        "--idle-exit": "3600",
    }
    limits = limits_of(start("serve", *(part for each in options.items() for part in each)))
    assert limits == {
        "maxLineBytes": 2**20,
        "maxBatchMembers": 10_000,
        "maxOpenJobs": 7,
        "maxOpenBytes": 2_000_000,
        "maxAudioDuration": 90.5,
        "maxAudioBytes": 2**30,
        "maxLoadedModels": 3,
        "memoryBudget": 6_000_000_000,
        "idleExit": 3600.0,
    }


def test_there_are_limits_without_any_option(start: Start) -> None:
    limits = limits_of(start())
    assert limits["maxLineBytes"] == 64 * 2**20
    assert limits["maxAudioDuration"] == 24 * 3600
    assert limits["maxAudioBytes"] == 64 * 10**9
    assert limits["maxOpenBytes"] == 512 * 2**20
    assert limits["idleExit"] is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-line", "1023"),
        ("--max-line", "3Gi"),
        ("--max-queue", "0"),
        ("--max-audio-duration", "0"),
        ("--max-audio-duration", "inf"),
        ("--max-audio-duration", "nan"),
        ("--max-audio-size", "-1"),
        ("--idle-exit", "0"),
    ],
)
def test_an_option_out_of_range_is_refused(start: Start, option: str, value: str) -> None:
    session = start("serve", option, value)
    assert session.process.wait(PATIENCE) == 2
    session.close()
    assert option.encode() in session.stderr


def test_a_client_gets_no_longer_lines_than_the_worker_was_started_with(start: Start) -> None:
    session = start("serve", "--max-line", "4Ki")
    assert limits_of(session, maxLineBytes=2**20)["maxLineBytes"] == 4096
    session.send("ping", {"padding": "x" * 4096})
    error = session.wait_for(lambda message: "error" in message)["error"]
    assert error["data"]["kind"] == "line_too_long"
    assert session.call("ping") == {}


def test_a_client_may_ask_for_shorter_lines(start: Start) -> None:
    assert limits_of(start("serve", "--max-line", "1Mi"), maxLineBytes=2048)["maxLineBytes"] == 2048


def test_requests_that_hold_too_many_bytes_are_refused_as_busy(
    start: Start, long_file: Path
) -> None:
    session = start("serve", "--max-queue", "10kB")
    running = session.send_transcribe(long_file, hotwords="x" * 9000)
    error = refused(lambda: session.transcribe(SPEECH, hotwords="y" * 2000))
    assert (error.kind, error.data["limitBytes"]) == ("busy", 10_000)
    session.cancel(running)
    session.wait_for(lambda message: message.get("id") == running)
    assert session.transcribe(SPEECH, hotwords="y" * 2000)["segments"]


def test_a_single_request_may_have_more(start: Start) -> None:
    session = start("serve", "--max-queue", "1kB")
    assert session.transcribe(SPEECH, language="en", hotwords="x" * 2000)["segments"]


@pytest.mark.parametrize("pipeline", [False, True], ids=["engine", "pipeline"])
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_a_recording_that_is_too_long_is_refused_with_the_limit(
    start: Start, tmp_path: Path, suffix: str, pipeline: bool
) -> None:
    samples = np.tile(samples_of("en-05.flac"), 3)
    codec = {"wav": "pcm_s16le", "mp3": "libmp3lame"}[suffix]
    file = encode(tmp_path / f"long.{suffix}", samples, codec)
    session = start("serve", "--max-audio-duration", "5")
    options = {"formats": ["srt"]} if pipeline else {}
    error = refused(lambda: session.transcribe(file, **options))
    assert (error.kind, error.data["limit"]) == ("audio_too_long", 5.0)
    assert "--max-audio-duration" in error.data["remedy"]
    assert session.transcribe(file, end=4.0, **options)["duration"] == 4.0


def test_a_file_that_is_too_large_is_refused_at_once(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "large.wav"
    with file.open("wb") as sparse:
        sparse.truncate(2_000_001)
    session = start("serve", "--max-audio-size", "2MB")
    error = refused(lambda: session.transcribe(file))
    assert (error.kind, error.data["limit"]) == ("audio_too_large", 2_000_000)
    assert error.data["size"] == 2_000_001


def test_commands_take_limits_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(DURATION_VARIABLE, "2.5")
    monkeypatch.setenv(SIZE_VARIABLE, "1e3")
    assert refused(lambda: audio.decode(str(RECORDINGS / "demo.flac"))).kind == "audio_too_large"
    monkeypatch.delenv(SIZE_VARIABLE)
    assert refused(lambda: audio.decode(str(RECORDINGS / "demo.flac"))).kind == "audio_too_long"
    monkeypatch.setenv(DURATION_VARIABLE, "nonsense")
    assert max_audio_duration() == 24 * 3600


def test_a_length_that_is_stated_is_refused_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DURATION_VARIABLE, "1")
    file = write_wav(tmp_path / "long.wav", np.zeros(40 * 16_000, np.int16))
    blocks = iter(audio.Reading(str(file)))
    error = refused(lambda: next(blocks))
    assert (error.kind, error.data["duration"]) == ("audio_too_long", 40.0)


def test_a_few_bytes_that_decode_to_hours_stay_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate of 1 Hz makes 16 000 samples of each one."""
    monkeypatch.setenv(DURATION_VARIABLE, "3600")
    file = write_wav(tmp_path / "slow.wav", np.zeros(100_000, np.int16), rate=1)
    content = bytearray(file.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"  # the length is left open
    file.write_bytes(content)
    largest = 0

    def decode() -> None:
        nonlocal largest
        for block in audio.Reading(str(file)):
            largest = max(largest, block.nbytes)

    assert refused(decode).kind == "audio_too_long"
    assert largest < 200e6


def test_an_idle_worker_ends_with_0(start: Start) -> None:
    begin = time.monotonic()
    session = start("serve", "--idle-exit", "0.5")
    assert session.call("ping") == {}
    assert session.process.wait(PATIENCE) == 0
    assert time.monotonic() - begin >= 0.5


def test_a_worker_with_work_is_not_idle(start: Start) -> None:
    session = start("serve", "--idle-exit", "0.3")
    result = session.transcribe(RECORDINGS / "demo.flac")
    assert result["timings"]["total"] > 0.3
    assert session.process.wait(PATIENCE) == 0
