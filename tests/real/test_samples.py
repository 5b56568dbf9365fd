"""Short samples in nine languages: their language and text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.real.score import character_errors
from tests.real.speech import samples, text_of
from tests.support import Session

Heard = list[tuple[str, str, str, str]]
"""True and recognised language and text."""


@pytest.fixture(scope="module")
def heard(models: Path, worker: Session) -> Heard:
    """All samples, transcribed by Whisper base with default options."""
    found: Heard = []
    for path, language in samples(models):
        result = worker.transcribe(path, model=str(models / "base"))
        found.append((language, text_of(path), result["language"], result["text"]))
    assert len(found) == 27
    return found


def test_the_language_is_right(heard: Heard) -> None:
    assert sum(language == found for language, _, found, _ in heard) >= 22


def test_what_is_said_without_numbers_is_written_down(heard: Heard) -> None:
    # Whisper writes numbers as digits, people wrote them as words.
    pairs = [
        character_errors(said, written, language)
        for language, said, _, written in heard
        if not re.search(r"\d", said + written)
    ]
    assert sum(count for _, count in pairs) > 300
    assert sum(errors for errors, _ in pairs) / sum(count for _, count in pairs) <= 0.38


def test_english_is_written_down_without_a_fault(heard: Heard) -> None:
    english = [(said, written) for language, said, _, written in heard if language == "en"]
    assert len(english) == 3
    assert all(character_errors(said, written, "en")[0] == 0 for said, written in english)


def test_detect_language_is_right(models: Path, worker: Session) -> None:
    found = [
        (
            language,
            worker.call("detectLanguage", {"audio": str(path), "model": str(models / "base")}),
        )
        for path, language in samples(models)
    ]
    assert sum(language == result["language"] for language, result in found) >= 22
    sure = [(language, result) for language, result in found if result["probability"] > 0.7]
    assert len(sure) >= 15
    assert all(language == result["language"] for language, result in sure)
