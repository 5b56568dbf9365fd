"""Real voices in recordings that are diarized by stretches, against the pipeline on the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.diarization.material import Recording, Turn, compose, excerpts, load
from benchmarks.diarization.score import score
from examples.models import call
from protocol.diarization import DiarizeResult
from tests.test_long_diarization import Watched, diarize, shorter
from worker.engines.contract import LoadDiarizationParams
from worker.engines.diarization import linkage
from worker.engines.diarization.engine import DiarizationEngine

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


def test_meetings_by_stretches_are_as_good_as_whole(
    engine: DiarizationEngine, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As good within a percent, even if no more windows fit into memory than of one stretch."""
    meetings = compose("meetings", excerpts(recordings)[-4:], 1, 1)
    path = meetings.write(tmp_path)
    whole = diarize(engine, path)
    shorter(monkeypatch, SECONDS)
    checkpoint = str(tmp_path / "checkpoint")  # the models need not run again
    assert diarize(engine, path, checkpoint=checkpoint).turns == whole.turns
    monkeypatch.setattr(linkage, "MOST", 40)
    monkeypatch.setattr(linkage, "_BLOCK", 40)
    fewer = diarize(engine, path, checkpoint=checkpoint)
    assert error(meetings, fewer) <= error(meetings, whole) + 1
    assert abs(len(fewer.speakers) - len(whole.speakers)) <= 1
