"""The scorer of `benchmarks/real` counts what a viewer of captions would notice."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.real.score import character_errors, right_words, score, total, word_errors
from benchmarks.real.truth import Truth, Utterance

TRUTH = Truth(
    id="two",
    file="two.wav",
    duration=30.0,
    utterances=(
        Utterance("first", 5.0, 8.0, "We must find a new home.", "en"),
        Utterance("second", 20.0, 23.0, "The horizon seems distant.", "en"),
    ),
    note="",
)
FIRST = {"start": 5.0, "end": 8.0, "text": "We must find a new home."}
SECOND = {"start": 20.0, "end": 23.0, "text": "the horizon seems distant"}


def scored(*segments: dict[str, Any]) -> Any:
    return score(TRUTH, {"language": "en", "segments": list(segments)})


def test_the_truth_scores_perfectly() -> None:
    found = scored(FIRST, SECOND)
    assert (found.errors, found.invented, found.lost, found.captions) == (0, 0, 0.0, 0)
    assert (found.silence, found.speech) == (24.0, 6.0)
    assert found.starts == (0.0, 0.0)


def test_words_in_silence_are_invented() -> None:
    found = scored(FIRST, {"start": 12.0, "end": 14.0, "text": "Thank you."}, SECOND)
    assert (found.insertions, found.invented) == (2, 2)
    assert total([found]).invented == pytest.approx(5.0)  # a minute of silence


def test_an_utterance_without_its_words_is_lost() -> None:
    found = scored(FIRST)
    assert found.lost == pytest.approx(3.0)
    assert found.lost_utterances == ("second",)
    assert found.deletions == 4


def test_a_caption_across_a_silence_is_counted() -> None:
    found = scored({"start": 5.0, "end": 23.0, "text": f"{FIRST['text']} {SECOND['text']}"})
    assert (found.captions, found.caption_seconds) == (1, 12.0)


def test_late_starts_are_measured() -> None:
    found = scored({**FIRST, "start": 5.5}, {**SECOND, "start": 19.0})
    assert found.starts == (0.5, -1.0)
    assert total([found]).start_p95 == pytest.approx(0.975)


def test_a_repeated_phrase_is_a_loop() -> None:
    assert scored(FIRST, {**SECOND, "text": "the sea " * 5}).loops == 1
    assert scored(FIRST, {**SECOND, "text": "very very very"}).loops == 0


def test_spelling_case_and_punctuation_are_no_errors() -> None:
    assert (
        word_errors("He's 21 years old, colour!", "he is twenty one years old color", "en")[0] == 0
    )
    assert word_errors("你好世界。", "你好 世间", "zh") == (1, 4)
    assert character_errors("Ça va !", "ça va", "fr") == (0, 4)


def test_the_right_words_of_each_segment_are_told() -> None:
    segments = [{"text": "We must find a knew"}, {"text": " "}, {"text": "home, again."}]
    found = right_words("We must find a new home.", segments, "en")
    assert found == [
        ([True, True, True, True, False], segments[0]),
        ([True, False], segments[2]),
    ]
