"""A short soak; `python -m tests.soak` runs a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.life import Life, grown


def test_mixed_jobs_leave_nothing(tmp_path: Path) -> None:
    life = Life(1, tmp_path / "run", alignment=False)
    life.live(30)
    life.end()
    assert (life.lost, life.duplicated) == (0, 0)
    assert {(sample.processes, sample.files) for sample in life.samples} == {(1, 0)}


@pytest.mark.slow
def test_hundreds_of_mixed_jobs_grow_nothing(tmp_path: Path) -> None:
    life = Life(1, tmp_path / "run", alignment=False)
    for _ in range(7):
        life.live(30)
    life.end()
    assert (life.lost, life.duplicated) == (0, 0)
    assert {(sample.processes, sample.files) for sample in life.samples} == {(1, 0)}
    assert grown(life.samples, megabytes=8) == []
    assert {"result", "cancelled", "audio_not_found", "invalid_params"} <= set(life.answers)
