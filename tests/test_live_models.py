"""Live recognition with a real detector of speech and a real, if small, Whisper model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.real.sounds import Sounds, at_level, hum
from tests.support import MODEL, RECORDINGS, SAMPLE_RATE
from tests.test_live_recogniser import check, drain
from worker.audio import decode
from worker.engines.common.recording import InMemory
from worker.engines.common.speech import WINDOW, Detector, speech_probabilities
from worker.engines.recognition.live.events import Event, Language
from worker.engines.recognition.live.listener import WhisperListener
from worker.engines.recognition.live.recogniser import LiveOptions, LiveRecogniser
from worker.engines.recognition.whisper.model import load_encoding_singly

WHOLE = 3000
"""Frames that this model was trained on; with fewer it loops."""


@pytest.fixture(scope="module")
def model() -> Any:
    return load_encoding_singly(
        str(MODEL),
        device="cpu",
        device_index=0,
        compute_type="int8",
        cpu_threads=1,
        local_files_only=True,
    )


def listen(model: Any, samples: Any, chunk: int = 1600, **options: Any) -> list[Event]:
    recogniser = LiveRecogniser(WhisperListener(model, WHOLE), Detector(), LiveOptions(**options))
    events: list[Event] = []
    for place in range(0, len(samples), chunk):
        recogniser.feed(samples[place : place + chunk])
        events += drain(recogniser)
    recogniser.finish()
    return events + drain(recogniser)


def said(truth: dict[str, Any], name: str) -> list[str]:
    return " ".join(segment["text"] for segment in truth[name]["segments"]).split()


@pytest.mark.parametrize("name", ["en-02.flac", "de-03.flac"])
def test_a_recording_is_written_down_with_its_language(
    model: Any, truth: dict[str, Any], name: str
) -> None:
    events = listen(model, decode(str(RECORDINGS / name)))
    words = [word.word.strip() for word in check(events)]
    expected = said(truth, name)
    assert len(set(expected) & set(words)) > 0.7 * len(set(expected))
    assert abs(len(words) - len(expected)) < 0.3 * len(expected)
    [language] = [event for event in events if isinstance(event, Language)]
    assert language.language == name[:2]


def test_chunks_change_nothing(model: Any) -> None:
    samples = decode(str(RECORDINGS / "en-02.flac"))
    expected = listen(model, samples)
    for chunk in (16, 1111, 160_000):
        assert listen(model, samples, chunk) == expected


def test_utterances_alone_are_written_down(model: Any, truth: dict[str, Any]) -> None:
    words = check(listen(model, decode(str(RECORDINGS / "en-02.flac")), interim=False))
    assert [word.word.strip() for word in words] == said(truth, "en-02.flac")


def test_what_is_said_twice_is_written_twice(model: Any, truth: dict[str, Any]) -> None:
    samples = decode(str(RECORDINGS / "en-01.flac"))
    expected = said(truth, "en-01.flac")
    for gap in (0.0, 0.4, 1.5):
        twice = np.concatenate([samples, np.zeros(round(gap * SAMPLE_RATE), np.float32), samples])
        words = [word.word.strip() for word in check(listen(model, twice))]
        assert len(words) > 1.4 * len(expected)


def test_what_is_no_speech_gives_no_event(model: Any) -> None:
    count = 20 * SAMPLE_RATE
    sounds = Sounds(3)
    for sound in (np.zeros(count), hum(count), sounds.pink(count), sounds.typing(count)):
        quiet = at_level(sound, -35).astype(np.float32)
        assert listen(model, quiet) == []


def test_speech_is_detected_as_in_a_whole_recording() -> None:
    samples = decode(str(RECORDINGS / "en-01.flac"))
    whole = speech_probabilities(InMemory(samples), lambda seconds: None)
    detector = Detector()
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    found = np.concatenate([detector.hear(window) for window in windows])
    assert np.abs(found - whole[: len(found)]).max() < 1e-4
