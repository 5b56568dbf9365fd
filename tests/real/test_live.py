"""Live recognition with Whisper base on people's speech, at simulated real time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.live.measures import delays
from benchmarks.live.simulate import Run, simulate
from benchmarks.real.score import word_errors
from benchmarks.real.truth import load_manifest
from tests.real.speech import call_lines, sample, text_of
from tests.streams import Stream
from tests.support import SAMPLE_RATE, Session, kill_hard
from tests.test_live_recogniser import check
from worker.audio import decode
from worker.engines.common.speech import Detector
from worker.engines.recognition.live.events import Language
from worker.engines.recognition.live.listener import WhisperListener
from worker.engines.recognition.live.recogniser import LiveOptions, LiveRecogniser
from worker.engines.recognition.whisper.model import load_encoding_singly


@pytest.fixture(scope="module")
def base(models: Path) -> Any:
    return load_encoding_singly(
        str(models / "base"),
        device="cpu",
        device_index=0,
        compute_type="int8",
        cpu_threads=1,
        local_files_only=True,
    )


def listen(model: Any, path: Path, **options: Any) -> Run:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    recogniser = LiveRecogniser(WhisperListener(model), Detector(), LiveOptions(**options))
    run = simulate(recogniser, np.concatenate([decode(str(path)), silence]))
    check(told.event for told in run.told)
    assert delays(run, []).revised == 0
    return run


def test_a_telephone_call_is_written_while_it_is_spoken(base: Any, telephone: Path) -> None:
    run = listen(base, telephone)
    errors, count = word_errors(" ".join(line.text for line in call_lines()), run.text, "en")
    assert errors / count < 0.25


@pytest.mark.parametrize("name", ["fr/pangrama", "en/quick_brown_fox", "es/pangrama"])
def test_the_language_is_detected(base: Any, models: Path, name: str) -> None:
    path = sample(models, name)
    run = listen(base, path)
    told = [each.event.language for each in run.told if isinstance(each.event, Language)]
    assert told in ([], [name[:2]])
    errors, count = word_errors(text_of(path), run.text, name[:2])
    assert errors / count < 0.6


def test_errors_are_near_those_of_the_same_recordings_offline(base: Any, recordings: Path) -> None:
    wrong = total = 0
    for recording in load_manifest(recordings).values():
        if recording.language == "en" and 9 < recording.duration < 45:
            errors, count = word_errors(recording.text, listen(base, recording.path).text, "en")
            wrong, total = wrong + errors, total + count
    assert wrong / total < 0.08


def test_a_call_through_the_worker_survives_its_engine(models: Path, telephone: Path) -> None:
    samples = (decode(str(telephone)) * 32767).astype("<i2")
    with Session() as session:
        stream = Stream(session, model=str(models / "base"), encoderContext=8, language="en")
        half = len(samples) // 2
        stream.speak(samples[:half])
        stream.until(lambda: any(each["final"] and each["text"] for each in stream.ordered()))
        kill_hard(session.engine_pid())
        stream.speak(samples[half:])
        result = stream.finish()
    assert [each["kind"] for each in result["warnings"]] == ["engine_restarted"]
    assert result["gaps"] == []
    errors, count = word_errors(" ".join(line.text for line in call_lines()), result["text"], "en")
    assert errors / count < 0.3
