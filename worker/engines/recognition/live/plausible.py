"""Which words of a hypothesis somebody can have said.

Where Whisper hears nothing more, it may go on: with a phrase again and again, or with words for
which no audio is left, and which the alignment squeezes into the last moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from worker.engines.recognition.whisper.segments import without_loops

if TYPE_CHECKING:
    from worker.engines.recognition.whisper.word_times import TimedWord

_WORDS: Final = 4
_SECONDS: Final = 0.28  # that so many words take at least
_SPEAKABLE: Final = 0.12  # seconds that a word of a phrase takes that is said again
_LONGEST_PHRASE: Final = 12  # words


def plausible(words: Sequence[TimedWord], repeats: bool) -> list[TimedWord]:
    """The words without loops and hasty repetitions, up to where they are squeezed.

    `repeats` says that Whisper's thresholds call the text repetitive.
    """
    kept, _ = without_loops(words, repeats)
    first = 0
    while first < len(kept):
        if first + _WORDS <= len(kept) and _seconds(kept, first, _WORDS) < _SECONDS:
            return kept[:first]
        size = _hasty_repetition(kept, first)
        del kept[first + size : first + 2 * size]
        first += 1
    return kept


def _hasty_repetition(words: Sequence[TimedWord], first: int) -> int:
    """How many words from a place are said again at once, faster than anybody can; 0 if none."""
    texts = [word.word.strip().casefold() for word in words[first : first + 2 * _LONGEST_PHRASE]]
    for size in range(1, len(texts) // 2 + 1):
        if texts[:size] == texts[size : 2 * size]:
            copies = first, first + size
            if min(_seconds(words, copy, size) for copy in copies) < _SPEAKABLE * size:
                return size
    return 0


def _seconds(words: Sequence[TimedWord], first: int, count: int) -> float:
    return words[first + count - 1].end - words[first].start
