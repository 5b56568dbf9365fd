"""The clock puts each frame where a player plays it, whatever the time stamps say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.audio.clock import LONGEST_HOLE, LONGEST_OVERLAP, TOLERANCE, Clock

LENGTH = 0.02
Stamps = Sequence[float | None]


def play(stamps: Stamps, clock: Clock | None = None) -> list[tuple[float, float]]:
    """Place frames of 20 ms; return from when to when each is heard."""
    clock = clock or Clock()
    heard = []
    for time, following in pairwise([*stamps, None]):
        if clock.runs_on(time, LENGTH):
            heard.append((clock.position - LENGTH, clock.position))
            continue
        placed = clock.place(time, LENGTH, following)
        heard.append((clock.position - LENGTH + placed.cut, clock.position))
    return heard


def regular(count: int, first: float = 0.0) -> list[float]:
    return [first + i * LENGTH for i in range(count)]


def test_regular_frames_follow_each_other() -> None:
    heard = play(regular(100))
    assert heard[-1][1] == pytest.approx(2.0)


def test_a_late_start_is_kept() -> None:
    assert play(regular(3, first=5.0))[0][0] == pytest.approx(5.0)


def test_the_containers_start_is_zero() -> None:
    assert play(regular(3, first=1.4), Clock(1.4))[0][0] == pytest.approx(0.0)


def test_a_negative_start_is_cut() -> None:
    heard = play(regular(50, first=-0.5))
    assert heard[-1][1] == pytest.approx(0.5, abs=TOLERANCE)


def test_a_hole_is_kept() -> None:
    heard = play(regular(10) + regular(10, first=6.2))
    assert heard[10][0] == pytest.approx(6.2)


def test_jitter_moves_nothing() -> None:
    stamps = [time + (0.02 if i % 2 else -0.02) for i, time in enumerate(regular(100, 0.02))]
    heard = play(stamps)
    assert all(b[0] == pytest.approx(a[1]) for a, b in pairwise(heard))


def test_drift_is_mended() -> None:
    stamps = [time * 1.01 for time in regular(5000)]
    for stamp, (start, _) in zip(stamps, play(stamps), strict=True):
        assert start == pytest.approx(stamp, abs=TOLERANCE + LENGTH)


def test_an_overlap_is_heard_once() -> None:
    heard = play(regular(100) + regular(100, first=1.5))
    assert heard[-1][1] == pytest.approx(3.5, abs=TOLERANCE)


def test_one_stamp_out_of_line_counts_for_nothing() -> None:
    for wrong in (99_999.0, 3.0, -4.0):
        stamps: list[float | None] = [*regular(20)]
        stamps[10] = wrong
        assert play(stamps)[-1][1] == pytest.approx(0.4)


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, LONGEST_HOLE + 1, -LONGEST_OVERLAP - 1])
def test_a_jump_that_no_recording_explains_is_not_followed(jump: float) -> None:
    heard = play(regular(10) + regular(10, first=jump + 0.2))
    assert heard[-1][1] == pytest.approx(0.4)


def test_stamps_that_hardly_advance_lose_no_audio() -> None:
    stamps = regular(10) + [0.2 - 1.0 + i * 0.001 for i in range(100)]
    heard = play(stamps)
    assert heard[-1][1] == pytest.approx(110 * LENGTH, abs=LENGTH)


def test_a_clock_that_starts_anew_goes_on() -> None:
    heard = play(regular(100) + regular(100), Clock(restarts=True))
    assert heard[-1][1] == pytest.approx(4.0)


def test_frames_without_stamps_follow_each_other() -> None:
    assert play([None] * 10)[-1][1] == pytest.approx(0.2)


@given(
    st.lists(
        st.none() | st.floats(-1e6, 1e6) | st.floats(-2, 2) | st.floats(allow_nan=False),
        max_size=50,
    ),
    st.booleans(),
)
def test_frames_never_overlap_nor_lie_before_the_start(stamps: Stamps, restarts: bool) -> None:
    heard = play(stamps, Clock(restarts=restarts))
    for before, (start, end) in pairwise([(0.0, 0.0), *heard]):
        assert before[1] - 1e-6 <= start <= end + 1e-6
    assert not heard or heard[-1][1] <= len(stamps) * (LONGEST_HOLE + LENGTH) + 1e-6
