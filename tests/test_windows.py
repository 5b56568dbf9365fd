"""How our own recogniser cuts a recording into windows, and which language each gets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.recognition.findings import Evidence
from worker.engines.recognition.whisper.languages import Languages
from worker.engines.recognition.whisper.windows import (
    PAUSE,
    Stretch,
    Window,
    cut_long,
    windows_of,
    within,
)

LONGEST = 29.0
STEP = 0.032
SURE = {"en": 0.97, "de": 0.01, "cy": 0.01, "fr": 0.01}
GERMAN = {"en": 0.01, "de": 0.98, "cy": 0.0, "fr": 0.01}


def speech(*times: float) -> list[Stretch]:
    """Stretches from pairs of start and end."""
    return [Stretch(*pair) for pair in zip(times[::2], times[1::2], strict=True)]


durations = st.floats(0.05, 28.0)
pauses = st.floats(0.01, 6.0)


@st.composite
def recordings(draw: st.DrawFn) -> list[Stretch]:
    found, now = [], 0.0
    for pause, duration in draw(st.lists(st.tuples(pauses, durations), max_size=30)):
        found.append(Stretch(now + pause, now + pause + duration))
        now = found[-1].end
    return found


@given(recordings())
def test_windows_hold_all_speech_once_in_order(found: list[Stretch]) -> None:
    windows = windows_of(found, LONGEST)
    assert [stretch for window in windows for stretch in window.speech] == found


@given(recordings())
def test_no_window_is_longer_than_whisper_hears(found: list[Stretch]) -> None:
    for window in windows_of(found, LONGEST):
        assert window.speech[-1].end - window.speech[0].start <= LONGEST
        assert window.end - window.start <= 30


@given(recordings())
def test_no_window_stands_across_a_long_pause(found: list[Stretch]) -> None:
    for window in windows_of(found, LONGEST):
        assert all(b.start - a.end <= PAUSE for a, b in pairwise(window.speech))


def test_a_window_is_cut_at_its_longest_pause() -> None:
    found = speech(0, 9, 9.5, 19, 20.5, 28, 28.4, 40)
    assert [window.speech[0].start for window in windows_of(found, LONGEST)] == [0, 20.5]


@given(st.floats(30.0, 400.0), st.integers(0, 2**32 - 1))
def test_speech_without_a_pause_is_cut_into_windows(seconds: float, seed: int) -> None:
    probabilities = np.random.default_rng(seed).random(int(seconds / STEP) + 1, np.float32)
    found = cut_long(speech(0, seconds), LONGEST, probabilities, STEP)
    assert found[0].start == 0
    assert found[-1].end == seconds
    assert all(a.end == b.start for a, b in pairwise(found))
    assert all(0 < stretch.seconds <= LONGEST for stretch in found)


def test_speech_without_a_pause_is_cut_where_it_is_least_probable() -> None:
    probabilities = np.ones(int(40 / STEP), np.float32)
    probabilities[int(20 / STEP) : int(20.3 / STEP)] = 0.3
    first, _ = cut_long(speech(0, 40), LONGEST, probabilities, STEP)
    assert first.end == pytest.approx(20.15, abs=0.2)


def test_clips_keep_their_part_of_the_speech() -> None:
    assert within(speech(0, 4, 5, 9), [(3, 6), (8, 20)]) == speech(3, 4, 5, 6, 8, 9)


def languages(windows: list[Window], heard: dict[float, dict[str, float]]) -> list[Window]:
    """The windows with their languages; `heard` by the start of the part."""
    return Languages(Evidence(), lambda part, _: heard[part[0].start]).tell_apart(windows, LONGEST)


def test_a_window_is_cut_where_the_language_changes() -> None:
    [window] = windows_of(speech(0, 10, 10.5, 20), LONGEST)
    found = languages([window], {0: SURE, 10.5: GERMAN})
    assert [(each.language, each.speech) for each in found] == [
        ("en", (Stretch(0, 10),)),
        ("de", (Stretch(10.5, 20),)),
    ]


def test_parts_of_one_language_stay_together() -> None:
    [window] = windows_of(speech(0, 10, 10.5, 20), LONGEST)
    assert languages([window], {0: SURE, 10.5: SURE}) == [Window(window.speech, "en")]


def test_an_unsure_part_has_the_language_of_the_recording() -> None:
    windows = windows_of(speech(0, 10, 20, 21.5, 40, 50), LONGEST)
    unsure = {"cy": 0.5, "en": 0.3}
    found = languages(windows, {0: SURE, 20: unsure, 40: SURE})
    assert [window.language for window in found] == ["en", "en", "en"]


def test_a_greeting_does_not_decide_the_recording() -> None:
    evidence = Evidence()
    evidence.add({"fr": 0.9, "en": 0.05}, 1.0)
    for _ in range(3):
        evidence.add(SURE, 10.0)
    assert evidence.main == "en"
    assert evidence.language_of({"fr": 0.9, "en": 0.05}, 1.5, None) == "fr"
    assert evidence.language_of({"cy": 0.5, "en": 0.2}, 1.5, None) == "en"


def test_a_short_part_goes_with_the_one_before_it() -> None:
    evidence = Evidence()
    evidence.add(SURE, 10.0)
    assert evidence.language_of({"nl": 0.4, "de": 0.3, "en": 0.1}, 2.0, "de") == "de"


def test_each_part_is_asked_once() -> None:
    asked = []

    def ask(part: tuple[Stretch, ...], whole: bool) -> dict[str, float]:
        asked.append(part)
        return SURE

    known = Languages(Evidence(), ask)
    windows = windows_of(speech(0, 10, 20, 30), LONGEST)
    known.listen(windows)
    known.tell_apart(windows, LONGEST)
    assert len(asked) == 2


def test_the_end_of_a_cut_window_joins_the_next_of_its_language() -> None:
    windows = [Window(tuple(speech(0, 12, 13, 24))), Window(tuple(speech(25, 36, 36.5, 47)))]
    found = languages(windows, {0: SURE, 13: GERMAN, 25: GERMAN, 36.5: SURE})
    assert [(each.language, each.speech[0].start) for each in found] == [
        ("en", 0),
        ("de", 13),
        ("en", 36.5),
    ]
