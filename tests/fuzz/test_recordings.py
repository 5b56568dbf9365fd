"""Damaged recordings: an answer of the kinds that are promised, and the worker goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.recordings import ENCODINGS, fuzz


@pytest.mark.timeout(600)  # for machines that do much else
def test_a_damaged_recording_in_any_container_is_one_answer_and_the_worker_goes_on(
    tmp_path: Path,
) -> None:
    outcomes = fuzz(tmp_path, 2, seed=7)
    assert len(outcomes.by_encoding) == len(ENCODINGS)
