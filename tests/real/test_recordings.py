"""More recordings: short ones of people, and composed ones whose truth is exact to the sample.

The bounds are those that our own recogniser promises, with a margin, and for a package's, which
are there to compare, close to current measurements, its errors included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from benchmarks.real.compose import compose
from benchmarks.real.score import GROUPS, right_words, score, total, word_errors
from benchmarks.real.truth import Truth, load_manifest
from tests.support import Session


class Bound(NamedTuple):
    """The maximum errors of a group; see `benchmarks.real.score.Total` for the units."""

    wer: float = 0.0
    invented: float = 0.0
    lost: float = 0.0
    caption_seconds: float = 0.0
    start_p95: float = 0.0
    loops: int = 0


DEFAULTS: Final[Mapping[str, Bound]] = {
    "gaps": Bound(wer=1.5, start_p95=0.6),
    "long-gaps": Bound(wer=3.5, start_p95=0.6),
    "langs": Bound(wer=14, start_p95=2.2),
    "degraded": Bound(wer=14, lost=13, start_p95=2),
    "nonspeech": Bound(),
}
SEQUENTIAL: Final[Mapping[str, Bound]] = {
    "gap-pink": Bound(wer=3, start_p95=0.7),
    "lang-first-short": Bound(wer=12, start_p95=2.2),
}
PACKAGE: Final[Mapping[str, Bound]] = {
    "gaps": Bound(wer=2, invented=0.4, caption_seconds=40, start_p95=0.8),
    "degraded": Bound(wer=14, invented=0.4, lost=14, caption_seconds=3, start_p95=0.9),
    "ns-silence": Bound(),
}

MODES: Final[Mapping[str, tuple[dict[str, Any], Mapping[str, Bound]]]] = {
    "defaults": ({}, DEFAULTS),
    "one window after another": ({"batchSize": 1}, SEQUENTIAL),
    "faster-whisper": (
        {"engine": "faster-whisper", "vadFilter": True, "wordTimestamps": True},
        PACKAGE,
    ),
}

Transcribe = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def transcribe(models: Path, worker: Session) -> Transcribe:
    """Transcribe with Whisper base."""
    return lambda path, **options: worker.transcribe(path, model=str(models / "base"), **options)


@pytest.fixture(scope="module")
def composed(
    recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, Truth]]]:
    """The composed recordings' directory, and their truth by id."""
    out = tmp_path_factory.mktemp("composed")
    yield out, {truth.id: truth for truth in compose(recordings, out)}


@pytest.mark.parametrize(
    ("mode", "group"), [(mode, group) for mode, (_, bounds) in MODES.items() for group in bounds]
)
def test_a_composed_group_is_no_worse_than_it_was(
    composed: tuple[Path, dict[str, Truth]], transcribe: Transcribe, mode: str, group: str
) -> None:
    directory, truths = composed
    options, bounds = MODES[mode]
    found = total(
        score(truth, transcribe(directory / truth.file, **options))
        for truth in (truths[id_] for id_ in GROUPS.get(group, (group,)) if id_ in truths)
    )
    measured = Bound(
        found.wer or 0.0,
        found.invented,
        found.lost,
        found.caption_seconds,
        found.start_p95 or 0.0,
        found.loops,
    )
    bound = bounds[group]
    worse = {
        name: (value, most)
        for name, value, most in zip(Bound._fields, measured, bound, strict=True)
        if value > most
    }
    assert not worse


@pytest.fixture(scope="module")
def heard(recordings: Path, transcribe: Transcribe) -> dict[str, dict[str, Any]]:
    """Each short recording, transcribed with default options."""
    manifest = load_manifest(recordings)
    return {id_: transcribe(recording.path) for id_, recording in manifest.items()}


@pytest.mark.parametrize(("english", "most"), [(True, 0.05), (False, 0.22)])
def test_the_words_of_short_recordings_are_heard(
    recordings: Path, heard: dict[str, dict[str, Any]], english: bool, most: float
) -> None:
    pairs = [
        word_errors(recording.text, heard[id_]["text"], recording.text_language)
        for id_, recording in load_manifest(recordings).items()
        if recording.text and (recording.text_language == "en") == english
    ]
    assert sum(errors for errors, _ in pairs) / sum(count for _, count in pairs) <= most


def test_the_language_of_short_recordings_is_right(
    recordings: Path, heard: dict[str, dict[str, Any]]
) -> None:
    wrong = {
        id_: heard[id_]["language"]
        for id_, recording in load_manifest(recordings).items()
        if recording.text and heard[id_]["language"] not in recording.language
    }
    assert wrong == {}


def test_words_of_high_confidence_are_right(
    recordings: Path, heard: dict[str, dict[str, Any]]
) -> None:
    told = {0.9: [0, 0], 0.0: [0, 0]}
    for id_, recording in load_manifest(recordings).items():
        segments = heard[id_]["segments"]
        for right, segment in right_words(recording.text, segments, recording.text_language):
            count = told[0.9 if segment["confidence"] >= 0.9 else 0.0]
            count[0] += sum(right)
            count[1] += len(right)
    (sure, of_sure), (unsure, of_unsure) = told.values()
    assert of_sure > of_unsure > 100
    assert sure / of_sure >= 0.9
    assert unsure / of_unsure < sure / of_sure


def test_lost_speech_is_told(recordings: Path, heard: dict[str, dict[str, Any]]) -> None:
    for result in heard.values():
        assert 0 <= result["lostSeconds"] <= result["speechSeconds"] <= result["duration"]
        assert (result["lostSeconds"] > 0) == any(
            warning["kind"] == "speech_without_text" for warning in result["warnings"]
        )
        spoken = sum(each["seconds"] for each in result["languages"])
        assert spoken == pytest.approx(result["speechSeconds"], abs=0.01)


def test_int8_hears_nearly_the_words_of_float32(
    recordings: Path, heard: dict[str, dict[str, Any]], transcribe: Transcribe
) -> None:
    differing = spoken = 0
    for id_, recording in load_manifest(recordings).items():
        if recording.language == "en" and recording.duration < 6:
            exact = transcribe(recording.path, computeType="float32")["text"]
            errors, count = word_errors(exact, heard[id_]["text"], "en")
            differing += errors
            spoken += count
    assert spoken > 80
    assert differing / spoken <= 0.05
