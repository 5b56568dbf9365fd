"""Real voices in recordings that are diarized by stretches, against the pipeline on the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.diarization.material import Recording, Turn, compose, excerpts, load
from benchmarks.diarization.score import score
from examples.models import call
from protocol.diarization import DiarizeResult
from tests.test_long_diarization import DiarizationEngine, Watched, diarize, shorter
from worker.engines.contract import LoadDiarizationParams
from worker.engines.diarization import linkage

SECONDS = 40
"""A stretch has the windows of 36 s."""


@pytest.fixture(scope="module")
def engine(models: Path) -> DiarizationEngine:
    found = DiarizationEngine()
    found.load(Watched(), LoadDiarizationParams(model=str(models / "diarization")))
    return found


def turns(result: DiarizeResult) -> list[Turn]:
    return [Turn(turn.start, turn.end, turn.speaker) for turn in result.turns]


def error(recording: Recording, result: DiarizeResult) -> float:
    """Percent, without a collar."""
    return score([(recording, turns(result))]).rates[0]


def test_stretches_give_what_the_whole_gives(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compose("call", [load(call() / "sample.wav")], 1.2, 1).write(tmp_path)
    whole = diarize(engine, path)
    shorter(monkeypatch, SECONDS)
    stretched = diarize(engine, path)
    assert len(whole.speakers) == 2
    assert stretched.turns == whole.turns
    assert stretched.exclusive_turns == whole.exclusive_turns


@pytest.mark.parametrize("options", [{}, {"max_speakers": 4}])
def test_meetings_by_stretches_are_as_good_as_whole(
    engine: DiarizationEngine,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    """As good within a percent, even if no more windows fit into memory than of one stretch."""
    meetings = compose("meetings", excerpts(recordings), 2, 1)
    path = meetings.write(tmp_path)
    whole = diarize(engine, path, **options)
    shorter(monkeypatch, SECONDS)
    assert diarize(engine, path, **options).turns == whole.turns
    monkeypatch.setattr(linkage, "MOST", 50)
    monkeypatch.setattr(linkage, "_BLOCK", 50)
    fewer = diarize(engine, path, **options)
    assert error(meetings, fewer) <= error(meetings, whole) + 1
    assert abs(len(fewer.speakers) - len(whole.speakers)) <= 1
