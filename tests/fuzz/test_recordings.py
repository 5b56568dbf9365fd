"""Damaged recordings get an answer of an allowed kind, and the worker survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.recordings import ENCODINGS, fuzz


@pytest.mark.parametrize(
    "encodings",
    [
        pytest.param(ENCODINGS[::5], id="some"),
        pytest.param(ENCODINGS, id="all", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_recording_is_one_answer(tmp_path: Path, encodings: tuple[str, ...]) -> None:
    outcomes = fuzz(tmp_path, 2, 7, encodings)
    assert len(outcomes.by_encoding) == len(encodings)
