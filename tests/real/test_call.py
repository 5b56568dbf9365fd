"""A telephone call of two people: its words, their times, and parts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.real.score import word_errors, words
from tests.real.speech import call_errors, call_lines
from tests.support import Session


@pytest.mark.parametrize(
    ("model", "options", "errors"),
    [
        ("base", {}, 0.23),
        ("base", {"computeType": "float32"}, 0.35),
        ("base", {"batchSize": 4}, 0.30),
        ("base", {"vadFilter": True, "wordTimestamps": True}, 0.30),
        ("tiny.en", {}, 0.35),
    ],
    ids=str,
)
def test_the_words_are_heard(
    models: Path,
    telephone: Path,
    worker: Session,
    model: str,
    options: dict[str, Any],
    errors: float,
) -> None:
    result = worker.transcribe(telephone, model=str(models / model), **options)
    assert result["language"] == "en"
    assert call_errors(result) <= errors


def test_auto_computes_in_int8_on_a_cpu(models: Path, telephone: Path, worker: Session) -> None:
    result = worker.transcribe(telephone, model=str(models / "base"), device="cpu", end=10)
    assert result["computeType"].startswith("int8")
    assert result["warnings"] == []


def test_words_are_where_they_are_said(models: Path, telephone: Path, worker: Session) -> None:
    result = worker.transcribe(telephone, model=str(models / "base"), wordTimestamps=True)
    found = [word for segment in result["segments"] for word in segment["words"]]
    assert all(0 <= word["start"] <= word["end"] <= 30 for word in found)
    placed = 0
    for line in call_lines():
        there = [
            heard
            for word in found
            if line.start - 0.5 <= (word["start"] + word["end"]) / 2 <= line.end + 0.5
            for heard in words(word["word"], "en")
        ]
        placed += sum(said in there for said in words(line.text, "en"))
    total = sum(len(words(line.text, "en")) for line in call_lines())
    assert placed / total >= 0.8


def test_a_part_is_heard_with_the_times_of_the_whole(
    models: Path, telephone: Path, worker: Session
) -> None:
    result = worker.transcribe(telephone, model=str(models / "base"), start=17.7, end=21.5)
    assert words(result["text"], "en")[-7:] == words("I'm in New Jersey now though.", "en")
    assert all(17.7 <= segment["start"] <= 21.5 for segment in result["segments"])


def test_clips_alone_are_heard(models: Path, telephone: Path, worker: Session) -> None:
    result = worker.transcribe(
        telephone, model=str(models / "base"), clipTimestamps=[12.5, 14.2, 20.1, 21.5]
    )
    wanted = "This is Diane in New Jersey. I'm in New Jersey now though."
    errors, count = word_errors(wanted, result["text"], "en")
    assert errors <= 3 < count
    assert all(12 < segment["start"] < 22 for segment in result["segments"])


def test_what_libraries_print_stays_off_the_terminal(models: Path, telephone: Path) -> None:
    with Session() as session:
        session.transcribe(telephone, model=str(models / "base"), computeType="default", end=10)
    assert session.stderr == b""
