"""Speech for which a hypothesis has no words.

Whisper writes down once what is said twice in a row, and sometimes stops early. Speech detection
knows better: a long stretch of speech without words is decoded again by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from worker.audio import SAMPLE_RATE
from worker.engines.common.speech import WINDOW

if TYPE_CHECKING:
    from worker.audio import Samples
    from worker.engines.recognition.whisper.word_times import TimedWord

_LEAST: Final = 1.2
"""Seconds of speech that words have to be found in."""
_PAUSE: Final = 0.4
"""Seconds without speech within a stretch."""
_AROUND: Final = 0.15
"""Seconds around words that belong to them: their times are not exact."""
_STEP: Final = WINDOW / SAMPLE_RATE


def without_words(
    probabilities: Samples, words: Sequence[TimedWord], threshold: float
) -> tuple[float, float] | None:
    """The longest stretch of speech in no word, in seconds from the first window; or None.

    `probabilities` are those of speech in successive windows, and times of words count from the
    first window.
    """
    import numpy as np

    spoken = probabilities >= threshold
    for word in words:
        spoken[max(0, int((word.start - _AROUND) / _STEP)) : int((word.end + _AROUND) / _STEP)] = 0
    places = np.flatnonzero(spoken)
    if not len(places):
        return None
    cuts = np.flatnonzero(np.diff(places) > _PAUSE / _STEP) + 1
    longest = max(np.split(places, cuts), key=len)
    if len(longest) * _STEP < _LEAST:
        return None
    return float(longest[0]) * _STEP, float(longest[-1] + 1) * _STEP
