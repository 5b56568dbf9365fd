"""Alignment and diarization of live streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.streams import Stream, joined, silence
from tests.support import ALIGNMENT_MODEL, DIARIZATION_MODEL, Session, samples_of


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all tests."""
    with Session() as session:
        yield session


@pytest.fixture(scope="module")
def speech() -> Any:
    """Six seconds of English, and a second of silence."""
    return joined(samples_of("en-02.flac"), silence(1.0))


def test_words_are_aligned_under_the_same_id(session: Session, speech: Any) -> None:
    stream = Stream(session, align={"model": str(ALIGNMENT_MODEL)}, language="en")
    stream.speak(joined(speech, speech))
    result = stream.finish()
    assert result["warnings"] == []
    for segment in result["segments"]:
        words = segment["words"]
        assert "".join(each["word"] for each in words).strip() == segment["text"]
    told = {each["id"]: each["words"] for each in stream.ordered()}
    for segment in result["segments"]:  # the last of each id is the aligned one
        assert [each["start"] for each in segment["words"]] == [
            each["start"] for each in told[segment["id"]]
        ]


@pytest.mark.slow
def test_speakers_are_assigned_at_the_end(session: Session) -> None:
    stream = Stream(session, diarize={"model": str(DIARIZATION_MODEL)}, language="en")
    stream.speak(joined(samples_of("en-02.flac"), silence(1), samples_of("en-03.flac")))
    result = stream.finish()
    assert result["speakers"]
    assert all("speaker" in each for each in result["segments"])
    assert {each["id"] for each in result["segments"]} <= set(stream.segments)


def test_a_stage_that_fails_leaves_the_words(session: Session, speech: Any) -> None:
    stream = Stream(session, align={"model": "/nowhere"}, diarize={"model": "/nowhere"})
    stream.speak(speech)
    result = stream.finish()
    assert result["segments"]
    assert {each["option"] for each in result["warnings"]} == {"align", "diarize"}
