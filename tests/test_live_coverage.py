"""Speech without words: the stretches that are decoded again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.recognition.live.coverage import without_words
from worker.engines.recognition.whisper.word_times import TimedWord

STEP = 0.032


def word(start: float, end: float) -> TimedWord:
    return TimedWord(" a", start, end, 1.0)


def probabilities(*spans: tuple[float, float], seconds: float = 10.0) -> np.ndarray:
    found = np.zeros(round(seconds / STEP), np.float32)
    for start, end in spans:
        found[round(start / STEP) : round(end / STEP)] = 1.0
    return found


def test_speech_after_the_last_word_is_found() -> None:
    found = without_words(probabilities((1.0, 6.0)), [word(1.0, 2.0), word(2.0, 3.0)], 0.5)
    assert found is not None
    assert abs(found[0] - 3.1) < 0.2 and abs(found[1] - 6.0) < 0.1


def test_speech_between_words_is_found() -> None:
    found = without_words(probabilities((1.0, 8.0)), [word(1.0, 2.0), word(6.0, 8.0)], 0.5)
    assert found is not None
    assert abs(found[0] - 2.1) < 0.2 and abs(found[1] - 5.9) < 0.2


def test_silence_needs_no_words() -> None:
    assert without_words(probabilities((1.0, 2.0)), [word(1.0, 2.0)], 0.5) is None
    assert without_words(probabilities(), [], 0.5) is None
    assert without_words(np.zeros(0, np.float32), [], 0.5) is None


def test_short_sounds_need_no_words() -> None:
    sounds = probabilities((1.0, 1.9), (2.5, 3.4), (4.0, 4.9))
    assert without_words(sounds, [], 0.5) is None


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(0, 3)), max_size=6),
    st.lists(st.floats(0, 1), max_size=300),
)
def test_what_is_found_is_speech_in_no_word(
    words: list[tuple[float, float]], heard: list[float]
) -> None:
    spans = [word(start, start + length) for start, length in words]
    array = np.array(heard, np.float32)
    found = without_words(array, spans, 0.5)
    assert np.array_equal(array, np.array(heard, np.float32))
    if found:
        start, end = found
        assert 0 <= start < end <= len(heard) * STEP + 1e-6
        assert end - start >= 1.2
        first, last = round(start / STEP), round(end / STEP) - 1
        assert array[first] >= 0.5 and array[last] >= 0.5
        middles = [(place + 0.5) * STEP for place in (first, last)]
        assert not any(w.start <= middle <= w.end for w in spans for middle in middles)
