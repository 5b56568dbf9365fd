"""Where the speaker of a segment changes, for the result of `transcribe` and for every format.

Words know who says them; a segment has one speaker, so it is cut where the speaker changes. Words
near a change are often given to the wrong side, and a voice that is heard for a moment within
another's sentence is more often a mistake than a remark. So a change counts only if the new speaker
says at least two words and speaks for half a second. What is shorter stays with a neighbour: with
the one speaker around it, or where it lies between two, such that the fewest words change hands. A
word more may change hands if the cut then comes after a sentence; among equal places it comes after
a sentence, then at the longest pause. Words without a
speaker go with the word before. A word that stays with a neighbour keeps its own `speaker`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_WORDS: Final = 2
_SECONDS: Final = 0.5
_SLIP: Final = 1  # words beyond a change, one of which may end the sentence of the speaker before

_SENTENCE_ENDS: Final = (*".?!…。？！।؟۔",)
_QUOTES: Final = "\"'”’»)]}」』"
_AHEAD: Final = 32  # characters beyond which a word must not be looked for: it may be missing


class Said(NamedTuple):
    """A word: its text, who says it, and when in seconds."""

    text: str
    speaker: str | None
    start: float
    end: float


class Part(NamedTuple):
    """The words `first` to `last` (exclusive) of a segment, and who says them."""

    first: int
    last: int
    speaker: str | None


def parts(words: Sequence[Said]) -> list[Part]:
    """The words of a segment by speaker; a single part if the speaker does not change."""
    runs = _runs(words)
    long = [run for run in runs if _counts(words, run)]
    if len({run.speaker for run in long}) < 2:
        return [Part(0, len(words), long[0].speaker if long else None)]
    found: list[Part] = []
    for run in long:
        if found and found[-1].speaker == run.speaker:
            found[-1] = found[-1]._replace(last=run.last)
        else:
            found.append(run)
    edges = [0]
    for before, after in pairwise(found):
        edges.append(_cut(words, before, after, edges[-1] + 1))
    edges.append(len(words))
    return [
        Part(first, last, run.speaker)
        for (first, last), run in zip(pairwise(edges), found, strict=True)
    ]


def locate(words: Sequence[str], text: str) -> list[tuple[int, int] | None]:
    """The place of each word in `text`; None for words that it lacks."""
    spans: list[tuple[int, int] | None] = []
    at = 0
    for word in words:
        # Not far ahead: a missing word must not take the place of a later one.
        found = text.find(word, at, at + len(word) + _AHEAD) if word else -1
        spans.append((found, found + len(word)) if found >= 0 else None)
        if found >= 0:
            at = found + len(word)
    return spans


def ends_sentence(word: str) -> bool:
    """Whether a sentence ends with this word."""
    return word.strip().rstrip(_QUOTES).endswith(_SENTENCE_ENDS)


def _runs(words: Sequence[Said]) -> list[Part]:
    """Neighbouring words of one speaker."""
    named = next((word.speaker for word in words if word.speaker), None)
    found: list[Part] = []
    for i, word in enumerate(words):
        named = word.speaker or named
        if found and found[-1].speaker == named:
            found[-1] = found[-1]._replace(last=i + 1)
        else:
            found.append(Part(i, i + 1, named))
    return found


def _counts(words: Sequence[Said], run: Part) -> bool:
    seconds = words[run.last - 1].end - words[run.first].start
    return run.last - run.first >= _WORDS and round(seconds, 3) >= _SECONDS


def _cut(words: Sequence[Said], before: Part, after: Part, least: int) -> int:
    """The index of the first word of the second of two speakers; it is at least `least`."""

    def belongs(place: int, run: Part) -> bool:
        return words[place].speaker in (None, run.speaker)

    first = max(least, before.last - _SLIP)
    last = min(after.last - 1, after.first + _SLIP)
    strays = sum(not belongs(place, after) for place in range(first, last))
    best, cut = None, before.last
    for place in range(first, last + 1):
        if place > first:
            strays += belongs(place - 1, after) - belongs(place - 1, before)
        counted = strays
        if not before.last <= place <= after.first:
            # A sentence is rarely finished by somebody else: its last word may change hands.
            beside = (words[place - 1], words[place])
            if not all(word.speaker for word in beside) or not ends_sentence(beside[0].text):
                continue
            counted -= 1
        worth = _worth(words, place, counted)
        if best is None or worth > best:
            best, cut = worth, place
    return cut


def _worth(words: Sequence[Said], cut: int, strays: int) -> tuple[int, bool, float]:
    """How good a cut is that leaves so many words with another speaker."""
    before, after = words[cut - 1], words[cut]
    return -strays, ends_sentence(before.text), after.start - before.end
