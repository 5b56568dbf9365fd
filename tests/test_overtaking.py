"""Interactive work does not wait for the recording that a batch is at: that stands back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import RpcError
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    Engine,
    Session,
    write_wav,
)
from worker.audio import decode

Start = Callable[..., Session]
SPEECH = RECORDINGS / "en-01.flac"
MIXED = next(MIXTURES.glob("*.flac"))


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    """What a result says of the recording."""
    return {
        name: value
        for name, value in result.items()
        if name not in ("timings", "realTimeFactor", "audio")
    }


def segments_of(session: Session, token: int) -> list[dict[str, Any]]:
    return [
        segment
        for notification in session.notifications
        if notification["params"]["token"] == token
        for segment in notification["params"]["value"].get("segments", ())
    ]


def overtaken(session: Session, long_file: Path) -> tuple[int, int]:
    """A batch that stands back, and the interactive request that is served meanwhile."""
    session.transcribe(SPEECH)
    batch = session.send_transcribe(long_file, priority="batch", partialResultToken=7)
    session.wait_for_partial()
    interactive = session.send_transcribe(long_file, partialResultToken=8, end=150)
    session.wait_for(lambda m: m.get("params", {}).get("token") == 8)
    return batch, interactive


@pytest.mark.parametrize(
    "more",
    [
        {},
        pytest.param({"batchSize": 2}, marks=pytest.mark.slow),
        pytest.param({"wordTimestamps": True}, marks=pytest.mark.slow),
        pytest.param({"engine": "whisperx", "batchSize": 1}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_batch_yields_between_windows_and_resumes_unchanged(
    start: Start, long_file: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    session = start()
    # At other temperatures it depends on what was drawn before.
    options = {**more, "temperature": 0, "end": 180, "language": "en"}
    brief = {"engine": more.get("engine", "whisper"), "temperature": 0, "language": "en"}
    undisturbed = without_times(session.transcribe(long_file, **options))
    alone = without_times(session.transcribe(SPEECH, **brief))
    checkpoint = str(tmp_path / "checkpoint")
    batch = session.send_transcribe(
        long_file, priority="batch", partialResultToken=7, checkpoint=checkpoint, **options
    )
    for _ in range(2):
        session.wait_for_partial()
        # It has its reply while the other has not.
        assert without_times(session.transcribe(SPEECH, **brief)) == alone
    result = session.result(batch, session._keep)
    assert without_times(result) == undisturbed
    assert result["timings"]["stages"]["recognition"]["waits"]["queue"] > 0


def test_what_a_batch_tells_while_others_overtake_it_is_whole_and_its_own(
    start: Start, long_file: Path
) -> None:
    session = start()
    session.transcribe(SPEECH)
    batch = session.send_transcribe(
        long_file, priority="batch", partialResultToken=7, end=120, batchSize=1
    )
    for number in range(4):
        session.wait_for_partial()
        interactive = session.transcribe(SPEECH, partialResultToken=100 + number)
        told = segments_of(session, 100 + number)
        assert told == interactive["segments"]
    result = session.result(batch, session._keep)
    ids = [segment["id"] for segment in segments_of(session, 7)]
    # Those that `wait_for_partial` has taken are not kept.
    assert ids == sorted(set(ids))
    assert set(ids) <= {segment["id"] for segment in result["segments"]}


def test_a_stream_of_interactive_work_does_not_stop_a_batch(start: Start) -> None:
    session = start()
    session.transcribe(SPEECH)
    batch = session.send_transcribe(RECORDINGS / "demo.flac", priority="batch", end=12)
    waiting = [session.send_transcribe(SPEECH, end=0.5) for _ in range(6)]
    answered = []
    while batch not in answered:
        message = session.wait_for(lambda message: "id" in message)
        assert "result" in message
        answered.append(message["id"])
        if message["id"] in waiting:
            waiting.append(session.send_transcribe(SPEECH, end=0.5))
    assert len(answered) > 4


def test_a_paused_batch_can_be_cancelled(start: Start, long_file: Path) -> None:
    session = start()
    batch, interactive = overtaken(session, long_file)
    session.cancel(batch)
    with pytest.raises(RpcError, match="cancelled"):
        session.result(batch, session._keep)
    engine = session.engine_pid()
    assert session.result(interactive, session._keep)["segments"]
    assert session.transcribe(SPEECH, priority="batch")["segments"]
    assert session.engine_pid() == engine


def test_a_batch_is_not_cancelled_with_what_has_overtaken_it(start: Start, long_file: Path) -> None:
    session = start("serve", "--cancel-grace", "0.2")
    batch, interactive = overtaken(session, long_file)
    os.kill(session.engine_pid(), signal.SIGSTOP)  # it does not stop by itself, and is ended
    session.cancel(interactive)
    for id_, kind in ((interactive, "cancelled"), (batch, "engine_crashed")):
        with pytest.raises(RpcError) as caught:
            session.result(id_, session._keep)
        assert caught.value.kind == kind


def test_an_engine_that_dies_fails_both_jobs_and_the_next_works(
    start: Start, long_file: Path
) -> None:
    session = start()
    batch, interactive = overtaken(session, long_file)
    after = session.send_transcribe(SPEECH)
    os.kill(session.engine_pid(), signal.SIGKILL)
    for id_ in (interactive, batch):
        with pytest.raises(RpcError) as caught:
            session.result(id_, session._keep)
        assert caught.value.kind == "engine_crashed"
    assert session.result(after, session._keep)["segments"]


@pytest.mark.parametrize(
    ("length", "overtakers"), [(2, 1), pytest.param(5, 3, marks=pytest.mark.slow)]
)
def test_a_whole_job_overtakes_that_of_a_batch_in_every_stage(
    start: Start, tmp_path: Path, length: int, overtakers: int
) -> None:
    mixture = np.round(decode(str(MIXED)) * 32768).astype(np.int16)
    long = write_wav(tmp_path / "long.wav", np.tile(mixture, length))
    whole = {
        "language": "en",
        "temperature": 0,
        "align": {"model": str(ALIGNMENT_MODEL)},
        "diarize": {"model": str(DIARIZATION_MODEL)},
    }
    session = start()
    undisturbed = without_times(session.transcribe(long, **whole))
    alone = without_times(session.transcribe(MIXED, **whole))
    batch = session.send_transcribe(long, priority="batch", partialResultToken=7, **whole)
    overtook = 0
    while batch not in session._replies and overtook < overtakers:
        session.wait_for_partial()
        assert without_times(session.transcribe(MIXED, **whole)) == alone
        overtook += 1
    assert overtook > overtakers // 2
    assert without_times(session.result(batch, session._keep)) == undisturbed


def test_a_late_pause_pauses_the_next_call_and_loses_nothing() -> None:
    with Engine("whisper") as engine:
        engine.ask("load", model=str(MODEL))
        engine.notify("$/pause", {})
        asked = {
            "request": {"audio": str(SPEECH), "model": str(MODEL)},
            "given": [],
            "queueSeconds": 0.0,
            "loadSeconds": 0.0,
        }
        assert engine.ask("transcribe", **asked) == {"paused": True}
        assert engine.ask("resume")["segments"]
