"""Diarization by stretches: it gives what the pipeline gives for the whole recording."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from protocol.diarization import DiarizationOptions, DiarizeResult
from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from tests.measures import diarization_error
from tests.support import DIARIZATION_MODEL, MIXTURES, SAMPLE_RATE, load_truth, write_wav
from worker.engines.common import recording
from worker.engines.contract import EngineDiarizeParams, LoadDiarizationParams, Source
from worker.engines.diarization.engine import DiarizationEngine
from worker.session.job import Job

TRUTH = load_truth(MIXTURES)

# The engine, with shorter pieces than it has


class Watched(Job):
    """A job without a client: keeps percentages, and may be cancelled by a report."""

    def __init__(self, cancel_at: Callable[[ProgressReport], bool] = lambda report: False) -> None:
        super().__init__(Call("diarize", b"1", b""), None, lambda reply: None)  # type: ignore[arg-type]
        self.told: list[float] = []
        self._cancel_at = cancel_at

    def report(self, report: ProgressReport) -> None:
        if report.percentage is not None:
            self.told.append(report.percentage)
        if self._cancel_at(report):
            self.stop("client")


@pytest.fixture(scope="module")
def engine() -> DiarizationEngine:
    found = DiarizationEngine()
    found.load(Watched(), LoadDiarizationParams(model=str(DIARIZATION_MODEL)))
    return found


def engine_with_vbx(directory: Path) -> DiarizationEngine:
    """An engine whose pipeline clusters as pyannote's community-1 does."""
    shutil.copytree(DIARIZATION_MODEL, directory)
    config = directory / "config.yaml"
    text = config.read_text("utf-8").replace("AgglomerativeClustering", "VBxClustering")
    for ours, vbx in (
        ("method: centroid", "threshold: 0.6"),
        ("min_cluster_size: 3", "Fa: 0.07"),
        ("threshold: 0.85", "Fb: 0.8"),
    ):
        text = text.replace(ours, vbx)
    config.write_text(text, "utf-8")
    found = DiarizationEngine()
    found.load(Watched(), LoadDiarizationParams(model=str(directory)))
    return found


def diarize(
    engine: DiarizationEngine,
    path: Path,
    job: Watched | None = None,
    start: float = 0,
    checkpoint: str | None = None,
    **options: Any,
) -> DiarizeResult:
    params = EngineDiarizeParams(
        source=Source(path=str(path), start=start),
        checkpoint=checkpoint,
        options=DiarizationOptions(threads=1, **options),
    )
    return engine.diarize(job or Watched(), params)


def shorter(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setattr(recording, "LONGEST_PIECE", seconds)


def spoken(name: str, speakers: set[str]) -> npt.NDArray[np.int16]:
    """What some speakers of a mixture say, with pauses between."""
    samples = samples_of_mixture(name)
    pause = np.zeros(SAMPLE_RATE // 2, np.int16)
    parts = [
        part
        for turn in TRUTH[name]["turns"]
        if turn["speaker"] in speakers
        for part in (
            samples[round(turn["start"] * SAMPLE_RATE) : round(turn["end"] * SAMPLE_RATE)],
            pause,
        )
    ]
    return np.concatenate(parts)


def samples_of_mixture(name: str) -> npt.NDArray[np.int16]:
    from worker.audio import decode

    return np.round(decode(str(MIXTURES / name)) * 32768).astype(np.int16)


def repeated(path: Path, name: str, times: int, silence: float) -> list[dict[str, Any]]:
    """Write a mixture again and again, with silences between; return who speaks when."""
    samples = samples_of_mixture(name)
    part = np.concatenate([samples, np.zeros(round(silence * SAMPLE_RATE), np.int16)])
    write_wav(path, np.tile(part, times))
    return [
        {**turn, "start": turn["start"] + at, "end": turn["end"] + at}
        for number in range(times)
        for at in [number * len(part) / SAMPLE_RATE]
        for turn in TRUTH[name]["turns"]
    ]


def error_rate(truth: list[dict[str, Any]], result: DiarizeResult) -> float:
    turns = [msgspec.to_builtins(turn) for turn in result.turns]
    wrong, length = diarization_error(truth, turns)
    return wrong / length


@pytest.fixture(
    params=[
        {},
        "VBx",
        pytest.param(
            {"clustering": {"method": "average", "threshold": 0.4}}, marks=pytest.mark.slow
        ),
        pytest.param({"segmentation": {"min_duration_off": 0.3}}, marks=pytest.mark.slow),
    ],
    ids=["as it is", "VBx", "average", "gaps filled"],
)
def pipeline(
    request: pytest.FixtureRequest, engine: DiarizationEngine, tmp_path: Path
) -> Iterator[DiarizationEngine]:
    """The engine with other settings of its pipeline."""
    if request.param == "VBx":
        yield engine_with_vbx(tmp_path / "pipeline")
        return
    usual = engine._pipeline.parameters(instantiated=True)
    engine._pipeline.instantiate(
        {part: {**values, **request.param.get(part, {})} for part, values in usual.items()}
    )
    yield engine
    engine._pipeline.instantiate(usual)


@pytest.mark.parametrize("seconds", [8, 30])
def test_stretches_give_what_the_whole_gives(
    pipeline: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    path = tmp_path / "long.wav"
    truth = repeated(path, "mixture-09.flac", 3, 2.0)
    whole = diarize(pipeline, path, embeddings=True)
    shorter(monkeypatch, seconds)
    job = Watched()
    stretched = diarize(pipeline, path, job, embeddings=True)
    assert stretched.turns == whole.turns
    assert stretched.exclusive_turns == whole.exclusive_turns
    assert isinstance(whole.embeddings, dict)
    assert isinstance(stretched.embeddings, dict)
    assert list(stretched.embeddings) == list(whole.embeddings)
    for speaker, vector in whole.embeddings.items():
        assert stretched.embeddings[speaker] == pytest.approx(vector, abs=1e-5)
    assert stretched.warnings == whole.warnings == []
    assert stretched.duration == whole.duration
    assert error_rate(truth, stretched) < 0.5
    assert job.told == sorted(job.told)
    assert len({each // 20 for each in job.told}) == 5


def test_a_speaker_silent_for_a_piece_keeps_the_name(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [
        spoken("mixture-09.flac", {who}) for who in ("voice-0", "voice-1", "voice-0", "voice-1")
    ]
    longest = max(map(len, parts)) + 2 * SAMPLE_RATE
    parts = [np.pad(part, (0, longest - len(part))) for part in parts]
    path = write_wav(tmp_path / "turns.wav", np.concatenate(parts))
    shorter(monkeypatch, longest // SAMPLE_RATE + 1)
    result = diarize(engine, path, start=0.5)
    bounds = [longest / SAMPLE_RATE * number for number in range(5)]
    by_part = [
        {turn.speaker for turn in result.turns if low - 0.1 <= turn.start < high - 0.1}
        for low, high in pairwise(bounds)
    ]
    assert by_part == [{"SPEAKER_00"}, {"SPEAKER_01"}, {"SPEAKER_00"}, {"SPEAKER_01"}]


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        pytest.param({"num_speakers": 1}, {1}, marks=pytest.mark.slow),
        ({"num_speakers": 2}, {2}),
        pytest.param({"num_speakers": 5}, {5}, marks=pytest.mark.slow),
        ({"max_speakers": 2}, {1, 2}),
        ({"min_speakers": 4}, {4, 5}),
    ],
)
def test_the_number_of_speakers_holds_for_the_whole_recording(
    engine: DiarizationEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    counts: set[int],
) -> None:
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 2, 1.0)
    shorter(monkeypatch, 20)
    assert len(diarize(engine, path, **options).speakers) in counts


def test_too_few_speakers_is_a_warning(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 2, 1.0)
    shorter(monkeypatch, 20)
    result = diarize(engine, path, num_speakers=100)
    assert [warning.kind for warning in result.warnings] == ["fewer_speakers"]


def test_times_of_pieces_are_those_of_the_recording(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 3, 1.0)
    shorter(monkeypatch, 20)
    whole = diarize(engine, path)
    later = diarize(engine, path, start=16.0)
    expected = [turn.start for turn in whole.turns if turn.start >= 16.0]
    assert [turn.start for turn in later.turns] == pytest.approx(expected, abs=0.3)
    assert all(turn.start < turn.end <= 48.5 for turn in whole.turns)


def test_only_the_piece_that_ran_out_of_memory_is_repeated(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 3, 1.0)
    shorter(monkeypatch, 20)
    infer = engine._pipeline._segmentation.infer
    batches: list[int] = []
    fails_after = math.inf

    def short_of_memory(windows: Any) -> Any:
        nonlocal fails_after
        if job.told and job.told[-1] > fails_after:
            fails_after = math.inf
            batches.append(0)
            raise MemoryError
        batches.append(len(windows))
        return infer(windows)

    monkeypatch.setattr(engine._pipeline._segmentation, "infer", short_of_memory)
    job = Watched()
    expected = diarize(engine, path, job, batch_size=2)
    windows = sum(batches)
    batches.clear()
    job, fails_after = Watched(), 34.0
    result = diarize(engine, path, job, batch_size=2)
    assert [warning.kind for warning in result.warnings] == ["memory_saved"]
    failure = batches.index(0)
    assert max(batches[:failure]) == 2
    assert set(batches[failure + 1 :]) == {1}
    assert windows < sum(batches) < windows * 4 / 3
    assert [turn.speaker for turn in result.turns] == [turn.speaker for turn in expected.turns]
    assert job.told == sorted(job.told)


@pytest.mark.parametrize("percentage", [10.0, 50.0])
def test_a_job_can_be_cancelled_in_any_piece(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percentage: float
) -> None:
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 3, 1.0)
    shorter(monkeypatch, 20)
    job = Watched(lambda report: (report.percentage or 0) > percentage)
    with pytest.raises(RpcError) as caught:
        diarize(engine, path, job)
    assert caught.value.kind == "cancelled"
    assert percentage < job.told[-1] < percentage + 30


def test_a_long_job_resumes_with_any_number_of_speakers(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the models find does not depend on it."""
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 3, 1.0)
    shorter(monkeypatch, 20)
    kept = str(tmp_path / "checkpoint")
    job = Watched(lambda report: (report.percentage or 0) > 50)
    with pytest.raises(RpcError):
        diarize(engine, path, job, checkpoint=kept)
    expected = diarize(engine, path)
    resumed = diarize(engine, path, checkpoint=kept)
    assert [warning.kind for warning in resumed.warnings] == ["resumed"]
    assert resumed.turns == expected.turns

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(engine._pipeline._segmentation, "infer", forbidden)
    one = diarize(engine, path, checkpoint=kept, max_speakers=1)
    assert one.speakers == ["SPEAKER_00"]


def test_a_legacy_pipeline_gives_embeddings_only_by_stretches(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own output is nothing but turns."""
    path = tmp_path / "long.wav"
    repeated(path, "mixture-01.flac", 2, 1.0)
    monkeypatch.setattr(engine._pipeline, "legacy", True)
    whole = diarize(engine, path, embeddings=True)
    assert [warning.kind for warning in whole.warnings] == ["option_ignored"]
    shorter(monkeypatch, 20)
    stretched = diarize(engine, path, embeddings=True)
    assert stretched.turns == whole.turns
    assert isinstance(stretched.embeddings, dict)
    assert list(stretched.embeddings) == stretched.speakers
