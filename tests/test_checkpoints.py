"""A transcription that is broken off goes on where it stopped, and ends as if it never had been."""

from __future__ import annotations

import json
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import pytest

from protocol.envelope import Call
from protocol.transcription import TranscribeParams
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    Session,
    kill_hard,
)
from worker.engines.common.checkpoint import Checkpoint
from worker.engines.contract import EngineTranscribeParams, LoadParams
from worker.engines.recognition.faster_whisper import FasterWhisperEngine
from worker.session.job import Job

Start = Callable[..., Session]
DEMO = RECORDINGS / "demo.flac"
SAME = ("text", "language", "languageProbability", "segments", "duration", "durationAfterVad")
ALIGN = {"model": str(ALIGNMENT_MODEL)}
DIARIZE = {"model": str(DIARIZATION_MODEL)}


def same(result: dict[str, Any]) -> bytes:
    """What must not depend on whether a job was broken off."""
    kept = {name: result[name] for name in (*SAME, "turns", "speakers") if name in result}
    return json.dumps(kept).encode()


def kinds(result: dict[str, Any]) -> list[str]:
    return [each["kind"] for each in result["warnings"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"wordTimestamps": True}, marks=pytest.mark.slow),
        pytest.param({"batchSize": 2, "vadFilter": True}, marks=pytest.mark.slow),
        pytest.param({"engine": "whisperx"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_killed_job_resumes_with_the_same_result(
    start: Start, worker: Session, tmp_path: Path, options: dict[str, Any]
) -> None:
    unbroken = worker.transcribe(DEMO, temperature=0, **options)
    options["checkpoint"] = str(tmp_path / "checkpoint")
    for _ in range(2):
        session = start()
        session.send_transcribe(DEMO, temperature=0, partialResultToken=1, **options)
        session.wait_for_partial()
        kill_hard(session.process.pid)
    resumed = worker.transcribe(DEMO, temperature=0, **options)
    assert same(resumed) == same(unbroken)
    assert "resumed" in kinds(resumed)


def test_a_job_resumes_that_hears_its_language_in_parts(worker: Session, tmp_path: Path) -> None:
    recording = MIXTURES / "mixture-20.flac"
    unbroken = worker.transcribe(recording)
    checkpoint = str(tmp_path / "checkpoint")
    first, second = (worker.transcribe(recording, checkpoint=checkpoint) for _ in range(2))
    assert same(first) == same(second) == same(unbroken)
    assert "resumed" in kinds(second)


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_whole_job_resumes_with_the_same_result(
    start: Start, worker: Session, tmp_path: Path, kills: int
) -> None:
    job: dict[str, Any] = {"language": "en", "temperature": 0, "align": ALIGN, "diarize": DIARIZE}
    recording = MIXTURES / "mixture-24.flac"
    unbroken = worker.transcribe(recording, **job)
    assert not unbroken["warnings"]
    job["checkpoint"] = str(tmp_path / "checkpoint")
    chance = random.Random(7)
    for _ in range(kills):
        session = start()
        session.send_transcribe(recording, progressToken=1, **job)
        percentage = chance.uniform(5, 90)
        session.wait_for(
            lambda m, least=percentage: (  # type: ignore[misc]
                m.get("params", {}).get("value", {}).get("percentage", 0) >= least
            )
        )
        kill_hard(session.process.pid)
    resumed = worker.transcribe(recording, **job)
    assert same(resumed) == same(unbroken)
    assert kinds(resumed) == ["resumed"] * len(resumed["warnings"])
    again = worker.transcribe(recording, **job)
    assert same(again) == same(unbroken)
    assert len(again["warnings"]) == 3  # nothing is left to compute in any stage


class Counting:
    """The real model, which counts what it is asked to compute."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return self._model.encode(*args, **kwargs)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[], tuple[int, bytes]]]:
    """Transcribe in this process: how often the encoder ran, and the text."""
    job = Job(Call("work", b"1", b""), None, lambda reply: None)  # type: ignore[arg-type]
    engine = FasterWhisperEngine()
    engine.load(job, LoadParams(model=str(MODEL)))

    def transcribe() -> tuple[int, bytes]:
        counting = Counting(engine._model.model)
        engine._model.model = counting
        request = TranscribeParams(
            audio=str(DEMO), model=str(MODEL), checkpoint=str(tmp_path / "checkpoint")
        )
        asked = EngineTranscribeParams(
            request=request, given=[], queue_seconds=0.0, load_seconds=0.0
        )
        result = engine.transcribe(job, asked)
        assert engine._model.model is counting
        engine._model.model = counting._model
        return counting.asked, result.text.encode()

    yield transcribe


def test_finished_windows_are_not_computed_again(
    run: Callable[[], tuple[int, bytes]], tmp_path: Path
) -> None:
    windows, text = run()
    assert windows > 3
    assert run() == (0, text)
    kept = tmp_path / "checkpoint" / "recognition.jsonl"
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:-1]))
    assert run() == (1, text)


@pytest.mark.parametrize("damage", [lambda line: line[:-9], lambda line: b"\0rubbish\xff\n"])
def test_a_damaged_line_is_computed_again(
    run: Callable[[], tuple[int, bytes]], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    _, text = run()
    kept = tmp_path / "checkpoint" / "recognition.jsonl"
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join([*lines[:-1], damage(lines[-1])]))
    assert run() == (1, text)
    assert run() == (0, text)


def test_another_version_ignores_the_checkpoint(
    run: Callable[[], tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, text = run()
    monkeypatch.setattr(ctranslate2, "__version__", "of another time")
    assert run() == (windows, text)
    assert run() == (0, text)


def test_another_model_ignores_the_checkpoint(tmp_path: Path) -> None:
    directory = str(tmp_path)
    first = Checkpoint(directory, "recognition", "one", print)
    first.put(first.key(b"samples", {"beamSize": 5}), ["text"])
    first.close()
    for model, options, expected in (
        ("one", {"beamSize": 5}, ["text"]),
        ("two", {"beamSize": 5}, None),
        ("one", {"beamSize": 6}, None),
    ):
        checkpoint = Checkpoint(directory, "recognition", model, print)
        assert checkpoint.get(checkpoint.key(b"samples", options), list[str]) == expected
        checkpoint.close()


def test_a_checkpoint_is_private(worker: Session, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "checkpoint"
    worker.transcribe(RECORDINGS / "en-01.flac", checkpoint=str(directory))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (kept,) = directory.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_unwritable_checkpoint_is_only_a_warning(worker: Session, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    result = worker.transcribe(RECORDINGS / "en-01.flac", checkpoint=str(tmp_path / "taken"))
    assert kinds(result) == ["checkpoint_failed"]
    assert result["text"]


def test_a_device_is_not_read_as_a_checkpoint(worker: Session, tmp_path: Path) -> None:
    (tmp_path / "recognition.jsonl").symlink_to("/dev/zero")
    result = worker.transcribe(RECORDINGS / "en-01.flac", checkpoint=str(tmp_path))
    assert kinds(result) == ["checkpoint_failed"]
    assert result["text"]


def test_a_disk_that_fills_during_a_checkpoint_is_only_a_warning(
    start: Start, tmp_path: Path
) -> None:
    import resource

    session = start()
    unbroken = session.transcribe(DEMO, temperature=0)
    # As a full disk does, it lets a part of a line be written.
    resource.prlimit(session.engine_pid(), resource.RLIMIT_FSIZE, (300, 300))
    options = {"temperature": 0, "checkpoint": str(tmp_path / "checkpoint")}
    result = session.transcribe(DEMO, **options)
    assert "checkpoint_failed" in kinds(result)
    assert same(result) == same(unbroken)
    assert (tmp_path / "checkpoint" / "recognition.jsonl").stat().st_size == 300
    with Session() as other:
        assert same(other.transcribe(DEMO, **options)) == same(unbroken)
