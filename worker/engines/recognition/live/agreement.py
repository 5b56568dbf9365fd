"""Which words are certain: those on which two hypotheses in a row agree.

LocalAgreement-2 (Liu et al. 2020, arXiv 2005.11185), as whisper_streaming applies it to Whisper
(Macháček et al. 2023, arXiv 2307.14743): the audio since some word is decoded again and again as it
grows, and the longest common prefix of the last two hypotheses is final. Whisper writes a word now
with a capital or a comma and now without, so words are compared without them; the later form
counts, because its decoder heard more.

A hypothesis also has the words that are final already, perhaps heard otherwise this time. Where
they end is decided by the fewest edits of letters, so that "side by side" may become
"side-by-side", and by the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.engines.recognition.whisper.word_times import TimedWord

_HYPHENS: Final = ("-", "‐", "‑")

_PER_SECOND: Final = 3.0
"""Cost, in edits, of a second between where the final words end and where they end here."""


class Agreement:
    """Compares hypotheses about the same stretch of audio; times are those of the stream."""

    def __init__(self) -> None:
        self.kept: list[TimedWord] = []
        """The final words that are in the audio that is still decoded."""
        self.open: list[TimedWord] = []
        """The words of the last hypothesis that are not final."""

    def hear(self, hypothesis: Sequence[TimedWord], before: float) -> list[TimedWord]:
        """Take in a hypothesis; return the words that are final by now, and were not.

        Words that end later than `before` do not become final: they may be cut.
        """
        words = list(hypothesis[end_of_known(self.kept, hypothesis) :])
        count = 0
        for word, other in zip(words, self.open, strict=False):
            if folded(word) != folded(other) or word.end > before:
                break
            count += 1
        count = _without_part(words, count)
        self.kept += words[:count]
        self.open = words[count:]
        return words[:count]

    def accept(self, before: float = float("inf")) -> list[TimedWord]:
        """Make the other words of the last hypothesis final that end before a time."""
        count = _without_part(self.open, sum(word.end <= before for word in self.open))
        words, self.open = self.open[:count], self.open[count:]
        self.kept += words
        return words

    def doubt(self) -> None:
        """Forget the last hypothesis: the next one is not to agree with it."""
        self.open = []

    def trim(self, time: float) -> list[TimedWord]:
        """Forget the final words that end before a time; return them."""
        count = sum(word.end <= time for word in self.kept)
        trimmed, self.kept = self.kept[:count], self.kept[count:]
        return trimmed


def _without_part(words: Sequence[TimedWord], count: int) -> int:
    """How many of the first words there are without the first part of a hyphenated one."""
    while 0 < count < len(words) and words[count].word[:1] in _HYPHENS:
        count -= 1
    return count


def folded(word: TimedWord) -> str:
    """A word without case, and without punctuation around it."""
    text = word.word.strip().casefold()
    first, last = 0, len(text)
    while first < last and not text[first].isalnum():
        first += 1
    while first < last and not text[last - 1].isalnum():
        last -= 1
    return text[first:last] or text


def end_of_known(known: Sequence[TimedWord], hypothesis: Sequence[TimedWord]) -> int:
    """How many words of a hypothesis are those that are known."""
    if not known:
        return 0
    heard = [_letters(word) for word in hypothesis]
    costs = _edits("".join(map(_letters, known)), "".join(heard))
    stops = [0, *accumulate(map(len, heard))]

    def cost(count: int) -> float:
        end = hypothesis[count - 1].end if count else known[0].start
        return costs[stops[count]] + _PER_SECOND * abs(end - known[-1].end)

    return min(range(len(stops)), key=cost)


def _letters(word: TimedWord) -> str:
    return "".join(filter(str.isalnum, word.word)).casefold()


def _edits(known: str, heard: str) -> list[int]:
    """The edits from a text to the first n characters of another, for each n."""
    costs = list(range(len(heard) + 1))
    for row, letter in enumerate(known, 1):
        diagonal, left = costs[0], row
        costs[0] = row
        for column, other in enumerate(heard, 1):
            above = costs[column]
            best = diagonal if letter == other else 1 + min(diagonal, above, left)
            costs[column] = left = best
            diagonal = above
    return costs
