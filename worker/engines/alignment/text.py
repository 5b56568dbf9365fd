"""Text as alignment sees it: words that join to the text again, and what of them is heard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.alignment import Character, Word

_WORD: Final = re.compile(r"\s*\S+")
_SPOKEN_SYMBOLS: Final = frozenset("%‰&@#€$£¥+=°§")
_APOSTROPHES: Final = str.maketrans("’‘ʼ`´", "'''''")

UNKNOWN: Final = -1
"""Stands for a character that is said, but that the model has no label for."""
SILENT: Final = None
"""Stands for a character that is not heard, such as a comma."""


@dataclass
class TimedWord:
    """A word of a text, and what alignment found of it. Times are seconds of the recording."""

    text: str
    """With the space before it."""
    labels: list[int | None]
    """What the model calls each character; UNKNOWN or SILENT."""
    starts: list[float | None]
    ends: list[float | None]
    scores: list[float | None]
    """By character."""
    start: float | None = None
    end: float | None = None
    score: float | None = None
    """Of the word; None where no character of it is known to the model."""

    def to_word(self, characters: bool) -> Word:
        """As the result has it; the word must have times by now."""
        assert self.start is not None and self.end is not None
        word = Word(
            start=round(self.start, 3),
            end=round(self.end, 3),
            word=self.text,
            probability=None if self.score is None else round(self.score, 3),
        )
        if self.score is None:
            word.interpolated = True
        if characters:
            word.characters = [
                Character(char=char, start=_rounded(start), end=_rounded(end), score=score)
                for char, start, end, score in zip(
                    self.text, self.starts, self.ends, map(_rounded, self.scores), strict=True
                )
                if not char.isspace()
            ]
        return word


def split(text: str, spaced: bool, dictionary: Mapping[str, int]) -> list[TimedWord]:
    """The words of a text; each character is one where the language writes no spaces."""
    text = text.strip()
    pattern = _WORD if spaced else re.compile(r"\s*\S")
    words = []
    for found in pattern.findall(text):
        labels = [_label(char, dictionary) for char in found]
        nothing: list[float | None] = [None] * len(labels)
        words.append(TimedWord(found, labels, [*nothing], [*nothing], [*nothing]))
    return words


def _label(char: str, dictionary: Mapping[str, int]) -> int | None:
    """The label of a character, or of its base letter: an English model knows no accents."""
    lowered = char.lower().translate(_APOSTROPHES)
    for form in (lowered, unicodedata.normalize("NFKC", lowered), _base(lowered)):
        if form in dictionary and not form.isspace() and form != "|":
            return dictionary[form]
    if char.isalnum() or char in _SPOKEN_SYMBOLS:
        return UNKNOWN
    return SILENT


def _base(char: str) -> str:
    return unicodedata.normalize("NFKD", char)[:1]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def fill_times(words: Sequence[TimedWord], start: float, end: float, interpolation: str) -> None:
    """Give times to words that have none, between those that have or within `start` and `end`.

    `linear` spreads them over the gap by their length; `nearest` puts them where the word before
    ends, or where the one after begins.
    """
    place = 0
    while place < len(words):
        if words[place].start is not None:
            place += 1
            continue
        stop = place
        while stop < len(words) and words[stop].start is None:
            stop += 1
        run = words[place:stop]
        before = words[place - 1].end if place else None
        after = words[stop].start if stop < len(words) else None
        everything = before is None and after is None
        if interpolation == "nearest" and not everything:
            point = before if before is not None else after
            for word in run:
                word.start = word.end = point
        else:
            first = start if before is None else before
            last = max(first, end if after is None else after)
            _spread(run, first, last)
        place = stop


def _spread(words: Sequence[TimedWord], start: float, end: float) -> None:
    total = sum(len(word.text.strip()) for word in words)
    moment = start
    for word in words:
        word.start = moment
        moment = min(end, moment + (end - start) * len(word.text.strip()) / total)
        word.end = moment
