"""Splits text into words for alignment, maps characters to labels, and interpolates times."""

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
"""In place of a label: the character is spoken, but the model has no label for it."""
SILENT: Final = None
"""In place of a label: the character is not spoken, such as a comma."""


@dataclass
class WordAlignment:
    """A word of a text, and what alignment found: times in seconds, scores from 0 to 1."""

    text: str
    """The word with the space before it; the texts of all words join to the whole text."""
    labels: list[int | None]
    """The model's label of each character, or UNKNOWN or SILENT."""
    starts: list[float | None]
    ends: list[float | None]
    scores: list[float | None]
    """One per character, as `starts` and `ends`."""
    start: float | None = None
    end: float | None = None
    score: float | None = None
    """None if the model has no label for any of its characters."""

    def to_word(self, characters: bool) -> Word:
        """Convert to the result's `Word`; the word must have times by now."""
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


def split(text: str, spaced: bool, dictionary: Mapping[str, int]) -> list[WordAlignment]:
    """Split a text at spaces, or into single characters if the language writes no spaces."""
    text = text.strip()
    pattern = _WORD if spaced else re.compile(r"\s*\S")
    words = []
    for found in pattern.findall(text):
        labels = [_label(char, dictionary) for char in found]
        nothing: list[float | None] = [None] * len(labels)
        words.append(WordAlignment(found, labels, [*nothing], [*nothing], [*nothing]))
    return words


def _label(char: str, dictionary: Mapping[str, int]) -> int | None:
    """The label of a character, or of its base letter: an English model has no accents."""
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


def fill_times(words: Sequence[WordAlignment], start: float, end: float, method: str) -> None:
    """Give times to words without: between their neighbours, or within `start` and `end`.

    `linear` spreads them over the gap by their length; `nearest` puts them where the word before
    ends, or where the one after begins.
    """
    index = 0
    while index < len(words):
        if words[index].start is not None:
            index += 1
            continue
        stop = index
        while stop < len(words) and words[stop].start is None:
            stop += 1
        run = words[index:stop]
        before = words[index - 1].end if index else None
        after = words[stop].start if stop < len(words) else None
        point = after if before is None else before
        if method == "nearest" and point is not None:
            for word in run:
                word.start = word.end = point
        else:
            first = start if before is None else before
            last = max(first, end if after is None else after)
            _spread(run, first, last)
        index = stop


def _spread(words: Sequence[WordAlignment], start: float, end: float) -> None:
    total = sum(len(word.text.strip()) for word in words)
    moment = start
    for word in words:
        word.start = moment
        moment = min(end, moment + (end - start) * len(word.text.strip()) / total)
        word.end = moment
