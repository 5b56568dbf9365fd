"""Options have their documented effect on real speech."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest

from benchmarks.real.score import character_errors, words
from tests.containers import RATE, Track
from tests.containers import write as write_track
from tests.real.speech import int16, join, sample, text_of
from tests.support import SAMPLE_RATE, Session, write_wav


def test_a_hotword_is_heard(models: Path, worker: Session) -> None:
    file = sample(models, "zh/nihao_shijie")
    options = {"model": str(models / "base"), "computeType": "float32"}  # in int8, CPUs differ
    package = options | {"engine": "faster-whisper"}
    assert "世界" not in worker.transcribe(file, **package)["text"]
    for each in (options, package):
        assert "世界" in worker.transcribe(file, hotwords="世界", **each)["text"]


def test_a_prompt_tells_what_it_is_about(models: Path, worker: Session) -> None:
    file, model = sample(models, "es/pangrama"), str(models / "base")
    prompted = worker.transcribe(file, model=model, initialPrompt="murciélago hindú")["text"]
    assert "murciélago hindú" in prompted
    assert "murciélago" not in worker.transcribe(file, model=model)["text"]


def test_translate_gives_english(models: Path, worker: Session) -> None:
    for mode in ({}, {"batchSize": 2}):
        result = worker.transcribe(
            sample(models, "fr/bonjour_monde"), model=str(models / "base"), task="translate", **mode
        )
        assert result["language"] == "fr"
        assert "hello" in result["text"].lower()
        assert "world" in result["text"].lower()


def test_multilingual_hears_each_window_in_its_own_language(
    models: Path, worker: Session, tmp_path: Path
) -> None:
    english, german = sample(models, "en/quick_brown_fox"), sample(models, "pt/pangrama")
    silence = 30 - len(int16(english)) / SAMPLE_RATE
    file = join(tmp_path / "two.wav", english, silence, german)
    result = worker.transcribe(file, model=str(models / "base"), multilingual=True)
    second = " ".join(each["text"] for each in result["segments"] if each["start"] >= 29.5)
    errors, count = character_errors(text_of(german), second, "pt")
    assert errors / count <= 0.1
    assert words(text_of(english), "en") == words(result["segments"][0]["text"], "en")


def test_each_channel_is_a_speaker(models: Path, worker: Session, tmp_path: Path) -> None:
    left, right = (
        int16(sample(models, f"en/{name}")) for name in ("hello_world", "quick_brown_fox")
    )
    both = np.zeros((len(left) + len(right) + SAMPLE_RATE, 2), np.int16)
    both[: len(left), 0] = left
    both[-len(right) :, 1] = right
    file = write_wav(tmp_path / "both.wav", both, channels=2)
    result = worker.transcribe(file, model=str(models / "base"), channelSpeakers=["A", "B"])
    said = [(each["speaker"], words(each["text"], "en")) for each in result["segments"]]
    assert said == [
        ("A", ["hello", "world"]),
        ("B", words(text_of(sample(models, "en/quick_brown_fox")), "en")),
    ]
    assert result["speakers"] == ["A", "B"]


def test_the_same_request_gives_the_same_segments_whatever_came_before(
    models: Path, tmp_path: Path
) -> None:
    # Noise, over which every temperature is tried.
    noise = np.random.default_rng(5).normal(0, 600, 40 * SAMPLE_RATE).cumsum() % 4000 - 2000
    file = write_wav(tmp_path / "noise.wav", noise.astype(np.int16))
    speech = sample(models, "en/quick_brown_fox")
    options = {"model": str(models / "base"), "temperature": [0.4, 1.0], "logProbThreshold": 0.0}
    options |= {"noSpeechThreshold": None, "vadFilter": False}
    with Session() as first, Session() as second:
        wanted = [first.transcribe(each, **options)["segments"] for each in (file, speech)]
        assert all(wanted)
        found = [second.transcribe(each, **options)["segments"] for each in (speech, file)]
        assert found[::-1] == wanted
        assert second.transcribe(file, **options)["segments"] == wanted[0]


def test_a_window_has_as_many_tokens_as_asked_for(models: Path, worker: Session) -> None:
    speech = sample(models, "en/quick_brown_fox")
    options = {"model": str(models / "base"), "language": "en", "temperature": 0.0}
    whole = worker.transcribe(speech, **options)["text"].split()
    cut = worker.transcribe(speech, maxNewTokens=4, **options)["text"].split()
    assert cut[:4] == whole[:4]  # words of one token each


def test_times_are_a_players(models: Path, worker: Session, tmp_path: Path) -> None:
    speech = sample(models, "en/quick_brown_fox")
    samples = int16(speech)
    late = write_track(
        tmp_path / "late.mkv", Track(np.repeat(samples, RATE // SAMPLE_RATE), late=5.0), video=12
    )
    options = {"model": str(models / "base"), "language": "en", "wordTimestamps": True}
    plain, shifted = (worker.transcribe(each, **options) for each in (speech, late))
    assert plain["text"] == shifted["text"]
    moved = [
        after["start"] - before["start"]
        for first, second in zip(plain["segments"], shifted["segments"], strict=True)
        for before, after in zip(first["words"], second["words"], strict=True)
    ]
    assert statistics.median(moved) == pytest.approx(5.0, abs=0.05)
