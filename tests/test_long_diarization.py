"""Diarization of recordings that are cut into pieces: every voice keeps its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from worker.engines.diarization.linking import embeddings, joined, link, threshold_of
from worker.engines.diarization.piece import NumberedTurn, PieceSpeakers, Voice
from worker.session.job import Job

TRUTH = load_truth(MIXTURES)

# Linking

A, B, C = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
NEAR_A, NEAR_B = [0.98, 0.2, 0.0], [0.2, 0.98, 0.0]


def piece(number: int, *voices: tuple[float, list[float] | None]) -> PieceSpeakers:
    """10 s in which everybody speaks, one after another, as long as they do."""
    turns = []
    at = 10.0 * number
    for speaker, (seconds, _) in enumerate(voices):
        turns.append(NumberedTurn(at, at + seconds, speaker))
        at += seconds
    return PieceSpeakers(
        start=10.0 * number,
        end=10.0 * (number + 1),
        turns=turns,
        exclusive_turns=turns,
        voices=[Voice(seconds=seconds, embedding=vector) for seconds, vector in voices],
    )


def partition(numbers: Sequence[Sequence[int]]) -> list[list[int]]:
    """Numbered in order of appearance."""
    seen: dict[int, int] = {}
    return [[seen.setdefault(number, len(seen)) for number in each] for each in numbers]


def test_a_voice_has_one_number_in_all_pieces() -> None:
    found = [piece(0, (5, A), (4, B)), piece(1, (5, C)), piece(2, (4, NEAR_B), (5, NEAR_A))]
    assert partition(link(found, 0.3)) == [[0, 1], [2], [1, 0]]


def test_speakers_of_one_piece_are_never_joined() -> None:
    found = [piece(0, (4, A), (4, NEAR_A)), piece(1, (4, A))]
    assert partition(link(found, 1.9)) == [[0, 1], [0]]


def test_voices_farther_apart_than_the_threshold_are_not_joined() -> None:
    found = [piece(0, (5, A)), piece(1, (5, NEAR_A))]
    distance = 1 - 0.98 / math.hypot(0.98, 0.2)
    assert partition(link(found, distance * 1.01)) == [[0], [0]]
    assert partition(link(found, distance * 0.99)) == [[0], [1]]


def test_the_least_number_of_speakers_holds() -> None:
    found = [piece(0, (5, A)), piece(1, (5, NEAR_A)), piece(2, (5, A))]
    assert partition(link(found, 0.3, least=2)) == [[0], [1], [0]]
    assert partition(link(found, 0.3, least=3)) == [[0], [1], [2]]


def test_brief_speakers_count_towards_the_least() -> None:
    """Nobody who is known to be one is taken for two because of those."""
    found = [piece(0, (5, A), (1, C)), piece(1, (5, NEAR_A), (1, B))]
    assert partition(link(found, 0.3, least=2)) == [[0, 1], [0, 1]]
    assert partition(link(found, 0.3, least=3)) == [[0, 1], [0, 2]]


def test_the_most_number_of_speakers_holds() -> None:
    found = [piece(0, (5, A)), piece(1, (5, B)), piece(2, (5, NEAR_B), (2, [0.6, 0.0, 0.8]))]
    assert partition(link(found, 0.01, most=2)) == [[0], [1], [1, 0]]


def test_the_most_number_of_speakers_holds_in_dead_ends() -> None:
    """The joining of the two nearest, piece by piece, ends at more than two."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        found = [
            piece(
                number,
                *((float(rng.uniform(2, 5)), rng.normal(size=3).tolist()),) * 1,
                (float(rng.uniform(2, 5)), rng.normal(size=3).tolist()),
            )
            for number in range(6)
        ]
        numbers = link(found, 0.01, most=2)
        assert {number for each in numbers for number in each} == {0, 1}
        assert all(len(set(each)) == 2 for each in numbers)


def test_a_brief_speaker_joins_the_nearest_voice() -> None:
    brief = 1.0
    far = [0.5, 0.6, 0.7]
    found = [piece(0, (5, A), (5, B)), piece(1, (brief, far), (5, B)), piece(2, (brief, C))]
    numbers = partition(link(found, 0.1))
    assert numbers[1] == [0, 1]
    assert numbers[2][0] in (0, 1)


def test_a_speaker_without_embedding_joins_the_nearest_in_time() -> None:
    found = [piece(0, (5, A), (5, B)), piece(1, (0.3, None)), piece(2, (5, A), (5, B))]
    assert partition(link(found, 0.1)) == [[0, 1], [1], [0, 1]]
    found[1] = piece(1, (0.3, None), (5, B))
    assert partition(link(found, 0.1)) == [[0, 1], [0, 1], [0, 1]]


def test_surplus_brief_speakers_become_voices() -> None:
    found = [piece(0, (5, A)), piece(1, (1, A), (1, B), (0.1, None))]
    numbers = partition(link(found, 0.1))
    assert numbers[0][0] == numbers[1][0]
    assert len(set(numbers[1])) == 3


def test_brief_speakers_alone_are_linked_among_themselves() -> None:
    found = [piece(0, (1, A)), piece(1, (1, B)), piece(2, (1, NEAR_A))]
    assert partition(link(found, 0.3)) == [[0], [1], [0]]


def test_without_embeddings_no_speakers_are_linked() -> None:
    found = [piece(0, (5, None), (4, None)), piece(1), piece(2, (5, None))]
    assert partition(link(found, 0.3)) == [[0, 1], [], [2]]
    assert link([], 0.3) == []


def test_one_piece_is_unchanged() -> None:
    voices: list[tuple[float, list[float] | None]] = [(5, A), (1, A), (0.1, None), (3, NEAR_A)]
    assert partition(link([piece(0, *voices)], 2.0)) == [[0, 1, 2, 3]]


def test_embeddings_are_means_weighted_by_speech() -> None:
    found = [piece(0, (6, A)), piece(1, (2, B), (3, None))]
    assert embeddings(found, [[0], [0, 1]]) == {0: pytest.approx([0.75, 0.25, 0.0])}


def test_a_turn_across_pieces_is_joined() -> None:
    found = [
        PieceSpeakers(0, 10, [NumberedTurn(1, 4, 0), NumberedTurn(8, 9.98, 1)], [], []),
        PieceSpeakers(10, 20, [NumberedTurn(10.02, 12, 0), NumberedTurn(10.05, 11, 1)], [], []),
        PieceSpeakers(20, 30, [NumberedTurn(20.5, 22, 0)], [], []),
    ]
    numbers = [[0, 1], [1, 0], [0]]
    assert joined(found, numbers, lambda each: each.turns) == [
        NumberedTurn(1, 4, 0),
        NumberedTurn(8, 12, 1),
        NumberedTurn(10.05, 11, 0),
        NumberedTurn(20.5, 22, 0),
    ]


def test_a_piece_round_trips_as_json() -> None:
    found = piece(3, (5, [0.1, np.float32(0.1).item(), 1e-30]), (1, None))
    assert msgspec.json.decode(msgspec.json.encode(found), type=PieceSpeakers) == found


@pytest.mark.parametrize(
    ("threshold", "method", "expected"),
    [(0.8, "centroid", 0.32), (0.4, "average", 0.4), (0.8, "ward", 0.25), (0.6, None, 0.25)],
)
def test_the_threshold_comes_from_the_pipeline(
    threshold: float, method: str | None, expected: float
) -> None:
    class Clustering:
        metric = "cosine"

    clustering = Clustering()
    clustering.__dict__.update(threshold=threshold, method=method)
    assert threshold_of(clustering) == pytest.approx(expected)
    assert threshold_of(None) == pytest.approx(0.25)


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


def diarize(
    engine: DiarizationEngine,
    path: Path,
    job: Watched | None = None,
    start: float = 0,
    **options: Any,
) -> DiarizeResult:
    params = EngineDiarizeParams(
        source=Source(path=str(path), start=start),
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


def test_pieces_are_about_as_good_as_the_whole(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    truth = repeated(path, "mixture-09.flac", 3, 2.0)
    whole = diarize(engine, path)
    shorter(monkeypatch, 30)
    job = Watched()
    stretched = diarize(engine, path, job, embeddings=True)
    assert error_rate(truth, stretched) < error_rate(truth, whole) + 0.03
    assert len(stretched.speakers) == 3
    assert stretched.duration == whole.duration
    assert stretched.warnings == []
    assert isinstance(stretched.embeddings, dict)
    assert list(stretched.embeddings) == stretched.speakers
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


def test_a_legacy_pipeline_is_linked_by_its_embedding_model(
    engine: DiarizationEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.wav"
    truth = repeated(path, "mixture-09.flac", 3, 2.0)
    shorter(monkeypatch, 30)
    monkeypatch.setattr(engine._pipeline, "legacy", True)
    result = diarize(engine, path)
    assert error_rate(truth, result) < 0.2
    monkeypatch.setattr(DiarizationEngine, "_embedding_model", None)
    apart = diarize(engine, path, embeddings=True)
    assert [warning.kind for warning in apart.warnings] == ["speakers_not_linked", "option_ignored"]
    assert len(apart.speakers) > len(result.speakers)
