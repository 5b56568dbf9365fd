"""Word times of Whisper base on people's speech, against pocketsphinx's forced alignment.

The times below are of pocketsphinx 5.1.1 with its English model, of words whose edges it hears
clearly: within some 20 ms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.real.speech import sample
from worker.audio import SAMPLE_RATE, decode
from worker.engines.recognition.whisper.word_times import TimedWord, silent_spans, time_words

FOX: Final = {
    "quick": (0.09, 0.35),
    "brown": (0.35, 0.68),
    "over": (1.57, 1.70),
    "the": (1.70, 1.79),
    "lazy": (1.79, 2.16),
}
CALL: Final = {
    "didn't": (8.92, 9.14),
    "Neither": (9.96, 10.30),
    "thought": (11.31, 11.73),
    "heard": (11.98, 12.15),
    "beep": (12.19, 12.49),
    "Diane": (12.78, 13.29),
    "Sheila": (14.70, 15.28),
    "Yankee": (26.25, 26.74),
    "down": (26.74, 27.07),
}
SAID: Final = (
    " Hello? Hello? Oh, hello. I didn't know you were there. Neither did I. Okay, then I thought"
    " you know, I heard a beep. This is Diane in New Jersey. And I'm Sheila in Texas, originally"
    " from Chicago. Oh, I'm originally from Chicago also. I'm in New Jersey now though. Well, there"
    " isn't that much difference. At least you know, they all call me a Yankee down here, so what"
    " can I say? Oh, I don't hear that in New Jersey now."
)


def words_of(models: Path, path: Path, text: str, start: float = 0.0) -> list[TimedWord]:
    """The words of a recording from `start` to its end; their times are those of the recording."""
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.vad import get_vad_model

    model = WhisperModel(str(models / "base"), device="cpu", compute_type="int8", cpu_threads=2)
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    samples = decode(str(path))
    end = len(samples) / SAMPLE_RATE
    speech = get_vad_model()(np.pad(samples, (0, 512 - len(samples) % 512))).reshape(-1)
    window = samples[round(start * SAMPLE_RATE) :]
    features = np.zeros((1, 80, 3000), np.float32)
    found = model.feature_extractor(window)[:, :3000]
    features[0, :, : found.shape[1]] = found
    (words,) = time_words(
        model,
        model.encode(features),
        tokenizer,
        [tokenizer.encode(text)],
        [len(window) * 100 // SAMPLE_RATE],
        [silent_spans(speech, start, end)],
    )
    return [word._replace(start=word.start + start, end=word.end + start) for word in words]


def off(words: list[TimedWord], expected: dict[str, tuple[float, float]]) -> list[float]:
    """How far starts and ends are off, in seconds."""
    found = {word.word.strip(" .,?"): word for word in words}
    return [
        abs(time - true)
        for word, edges in expected.items()
        for time, true in zip((found[word].start, found[word].end), edges, strict=True)
    ]


def test_words_of_a_sentence_are_where_they_are_said(models: Path) -> None:
    # "the" is the second.
    text = " The quick brown fox jumps over the lazy dog."
    errors = off(words_of(models, sample(models, "en/quick_brown_fox"), text), FOX)
    assert np.mean(errors) <= 0.04
    assert max(errors) <= 0.12


def test_words_of_a_telephone_call_are_where_they_are_said(models: Path, telephone: Path) -> None:
    words = words_of(models, telephone, SAID, start=6.5)
    errors = off(words, CALL)
    assert np.mean(errors) <= 0.05
    assert max(errors) <= 0.15


def test_pauses_of_a_telephone_call_are_part_of_no_word(models: Path, telephone: Path) -> None:
    first, second, *_ = words_of(models, telephone, SAID, start=6.5)
    assert first.start == pytest.approx(6.72, abs=0.1)
    assert second.start == pytest.approx(7.6, abs=0.1)
    assert second.start - first.end >= 0.3
