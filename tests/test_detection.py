"""`detectSpeech` and `detectLanguage`: against the truth, and against faster-whisper's own VAD."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RpcError
from protocol.transcription import VadParameters
from tests.support import MODEL, RECORDINGS, SAMPLE_RATE, Session, samples_of, write_wav
from worker.audio import decode
from worker.engines.common import speech
from worker.engines.common.recording import InMemory
from worker.engines.common.speech import WINDOW, Span
from worker.engines.recognition.language import Heard, Window, choose_windows, combine


def detect_speech(worker: Session, audio: Path, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = worker.call("detectSpeech", {"audio": str(audio), **options})
    return result


def detect_language(worker: Session, audio: Path, **options: Any) -> dict[str, Any]:
    params = {"audio": str(audio), "model": str(MODEL), **options}
    result: dict[str, Any] = worker.call("detectLanguage", params)
    return result


# Speech


@given(
    probabilities=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200),
    missing=st.integers(1, WINDOW),
    threshold=st.sampled_from([0.25, 0.5, 0.75]),
    neg_threshold=st.sampled_from([None, 0.125, 0.5]),
    shortest=st.sampled_from([None, 0.0, 0.25]),
    longest=st.sampled_from([None, 0.5, 1.0, 3.0]),
    silent=st.sampled_from([None, 0.0, 0.1, 0.5]),
    pad=st.sampled_from([None, 0.0, 0.03]),
)
def test_spans_are_those_of_faster_whisper(
    probabilities: list[float],
    missing: int,
    threshold: float,
    neg_threshold: float | None,
    shortest: float | None,
    longest: float | None,
    silent: float | None,
    pad: float | None,
) -> None:
    from faster_whisper import vad

    count = len(probabilities) * WINDOW - missing
    told = np.array(probabilities, np.float32)
    options = {
        "threshold": threshold,
        "neg_threshold": neg_threshold,
        "min_speech_duration_ms": shortest and shortest * 1000,
        "max_speech_duration_s": longest,
        "min_silence_duration_ms": None if silent is None else silent * 1000,
        "speech_pad_ms": None if pad is None else pad * 1000,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vad, "get_vad_model", lambda: lambda _: told)
        theirs = vad.get_speech_timestamps(
            np.zeros(count, np.float32),
            **{name: value for name, value in options.items() if value is not None},
        )
    parameters = VadParameters(
        threshold=threshold,
        neg_threshold=neg_threshold,
        min_speech_duration=shortest,
        max_speech_duration=longest,
        min_silence_duration=silent,
        speech_pad=pad,
    )
    ours = speech.speech_spans(told, count, parameters)
    assert [(span.start, span.end) for span in ours] == [(s["start"], s["end"]) for s in theirs]
    assert all(0 <= span.probability <= 1 for span in ours)


def test_probabilities_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from faster_whisper.vad import get_vad_model

    samples = decode(str(RECORDINGS / "en-12.flac"))
    for length in (len(samples), 8 * WINDOW, 8 * WINDOW + 1):
        part = samples[:length]
        whole = get_vad_model()(np.pad(part, (0, WINDOW - len(part) % WINDOW))).reshape(-1)
        monkeypatch.setattr(speech, "_BLOCK", 8 * WINDOW)
        ours = speech.speech_probabilities(InMemory(part), lambda _: None)
        assert ours.shape == whole.shape
        assert np.abs(ours - whole).max() < 1e-5


def test_speech_covers_every_word_and_no_silence(
    worker: Session, truth: dict[str, Any], tmp_path: Path
) -> None:
    samples = samples_of("en-06.flac")
    silence = np.zeros(5 * SAMPLE_RATE, np.int16)
    file = write_wav(tmp_path / "gaps.wav", np.concatenate([silence, samples, silence, samples]))
    result = detect_speech(worker, file, vadParameters={"minSilenceDuration": 0.5})
    spans = [(span["start"], span["end"]) for span in result["speech"]]
    length = len(samples) / SAMPLE_RATE
    for offset in (5.0, 10.0 + length):
        for segment in truth["en-06.flac"]["segments"]:
            for word in segment["words"]:
                middle = offset + (word["start"] + word["end"]) / 2
                assert any(start <= middle <= end for start, end in spans)
    assert all(end <= 4.5 + 0.6 or start >= 4.5 for start, end in spans)
    assert all(end <= 5.5 + length or start >= 9.5 + length for start, end in spans)
    assert all(0.5 < span["probability"] <= 1 for span in result["speech"])
    assert result["duration"] == pytest.approx(10 + 2 * length, abs=0.01)
    assert result["speechDuration"] == pytest.approx(sum(e - s for s, e in spans), abs=0.01)
    assert result["timings"]["speechDetection"] > 0


def test_silence_has_no_speech(worker: Session, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "silence.wav", np.zeros(3 * SAMPLE_RATE, np.int16))
    result = detect_speech(worker, file)
    assert (result["speech"], result["speechDuration"], result["duration"]) == ([], 0.0, 3.0)


def test_a_part_keeps_the_times_of_the_recording(worker: Session) -> None:
    options = {"vadParameters": {"minSilenceDuration": 0.3}}
    whole = detect_speech(worker, RECORDINGS / "demo.flac", **options)["speech"]
    part = detect_speech(worker, RECORDINGS / "demo.flac", start=20, end=60, **options)["speech"]
    inner = [span for span in whole if span["start"] > 22 and span["end"] < 58]
    assert len(inner) > 3
    assert all(20 <= span["start"] < span["end"] <= 60 for span in part)
    for span in inner:
        middle = (span["start"] + span["end"]) / 2
        assert any(each["start"] < middle < each["end"] for each in part)


def test_vad_parameters_are_checked(worker: Session) -> None:
    with pytest.raises(RpcError) as caught:
        detect_speech(worker, RECORDINGS / "demo.flac", vadParameters={"threshold": 2})
    assert caught.value.data["path"] == "$.vadParameters.threshold"


def test_progress_of_speech_detection_reaches_its_end(worker: Session) -> None:
    id_ = worker.send(
        "detectSpeech", {"audio": str(RECORDINGS / "demo.flac"), "progressToken": "speech"}
    )
    told: list[dict[str, Any]] = []
    worker.result(id_, lambda method, params: told.append(params["value"]))
    percentages = [each["percentage"] for each in told if each.get("percentage") is not None]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100


# Language


@pytest.mark.parametrize("name", ["de-03.flac", "de-04.flac", "en-06.flac", "demo.flac"])
def test_the_language_is_the_true_one(worker: Session, truth: dict[str, Any], name: str) -> None:
    result = detect_language(worker, RECORDINGS / name)
    assert result["language"] == truth[name]["language"]
    likeliest = result["languages"][0]
    assert likeliest == {"language": result["language"], "probability": result["probability"]}
    probabilities = [each["probability"] for each in result["languages"]]
    assert len(probabilities) <= 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1.001


def test_each_window_tells_its_language(worker: Session, tmp_path: Path) -> None:
    german = samples_of("de-04.flac")
    english = samples_of("demo.flac")[: 60 * SAMPLE_RATE]
    pause = np.zeros(40 * SAMPLE_RATE, np.int16)
    file = write_wav(tmp_path / "greeting.wav", np.concatenate([german, pause, english]))
    result = detect_language(worker, file)
    windows = result["windows"]
    assert windows[0]["language"] == "de"
    assert windows[0]["end"] <= 30
    assert {window["language"] for window in windows[1:]} == {"en"}
    assert all(window["end"] - window["start"] <= 30 for window in windows)
    assert result["language"] == "en"  # which is spoken for longer
    later = detect_language(worker, file, start=40)
    assert all(window["start"] >= 40 for window in later["windows"])
    assert later["language"] == "en"


def test_silence_has_no_language(worker: Session, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "silence.wav", np.zeros(2 * SAMPLE_RATE, np.int16))
    result = detect_language(worker, file)
    assert result["language"] is None
    assert (result["probability"], result["languages"], result["windows"]) == (0.0, [], [])


spans = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 90)), max_size=30)
"""Seconds of silence, then of speech."""


@given(spans, st.integers(1, 8))
def test_windows_lie_in_order_and_hold_speech(lengths: list[tuple[int, int]], count: int) -> None:
    found, now = [], 0
    for silence, spoken in lengths:
        start = now + silence * SAMPLE_RATE
        now = start + spoken * SAMPLE_RATE
        found.append(Span(start, now, 1.0))
    windows = choose_windows(found, count)
    assert len(windows) <= count
    assert bool(windows) == bool(found)
    for window in windows:
        assert 0 < window.speech <= window.end - window.start <= 30 * SAMPLE_RATE
    for before, after in pairwise(windows):
        assert before.end <= after.start


def test_windows_are_spread_over_the_speech() -> None:
    windows = choose_windows([Span(0, 3000 * SAMPLE_RATE, 1.0)], 3)
    middles = [(window.start + window.end) / 2 / SAMPLE_RATE for window in windows]
    assert middles == pytest.approx([500, 1500, 2500], abs=30)


def test_a_window_counts_by_its_speech() -> None:
    heard = [
        Heard(Window(0, 10, 1), [("de", 0.9), ("en", 0.1)]),
        Heard(Window(20, 30, 9), [("en", 0.8), ("de", 0.2)]),
    ]
    assert combine(heard) == [("en", pytest.approx(0.73)), ("de", pytest.approx(0.27))]
