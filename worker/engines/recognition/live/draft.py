"""The segment that is being said, and its id.

A segment ends with the utterance, and before that where a sentence ends and the word after that is
final (see `worker.engines.recognition.whisper.segments`), or where it becomes too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from worker.engines.recognition.live.events import LiveSegment, LiveWord
from worker.engines.recognition.whisper.segments import breaks, ends_clause
from worker.engines.recognition.whisper.word_times import TimedWord

_SHARE: Final = 0.6
"""Of the longest segment: one that has lasted that long ends at a comma."""
_SHORTEST: Final = 0.02  # seconds of a word


class Draft:
    """Its methods yield the segments that changed; at most the last of them is not final."""

    def __init__(self, first_id: int, longest: float, start: float) -> None:
        self._id = first_id
        self._longest = longest
        self._final: list[TimedWord] = []
        self._shown: LiveSegment | None = None
        """This segment as it was last told."""
        self._end = start
        """Where the last final word ends."""

    @property
    def end(self) -> float:
        """Where the last final word ends."""
        return self._end

    def show(
        self, final: Sequence[TimedWord], open_: Sequence[TimedWord], language: str
    ) -> Iterator[LiveSegment]:
        """Add words that are final now; `open_` are those after them."""
        yield from self._add(final, language)
        live = [_live(word, True) for word in self._final]
        live += [_live(word, False) for word in _in_order(open_, self._end)]
        shown = self._shown
        if live:
            span = live[0].start, live[-1].end
        elif shown and shown.words:
            span = shown.start, shown.end
        else:
            return
        told = LiveSegment(self._id, tuple(live), *span, language, False)
        if told != shown:
            self._shown = told
            yield told

    def close(self, final: Sequence[TimedWord], language: str) -> Iterator[LiveSegment]:
        """Add words and end the segment; what is not final by now is not said."""
        yield from self._add(final, language)
        if self._final or self._shown:
            yield self._close(language)

    def _add(self, final: Sequence[TimedWord], language: str) -> Iterator[LiveSegment]:
        for word in _in_order(final, self._end):
            if self._final and (breaks(self._final, word) or self._is_full()):
                yield self._close(language)
            self._final.append(word)
            self._end = word.end

    def _is_full(self) -> bool:
        """Whether the next word has to be in another segment; after a comma that is sooner so."""
        seconds = self._final[-1].end - self._final[0].start
        return seconds > (_SHARE if ends_clause(self._final[-1]) else 1.0) * self._longest

    def _close(self, language: str) -> LiveSegment:
        words, shown = self._final, self._shown
        start, end = (shown.start, shown.end) if shown else (self._end, self._end)
        if words:
            start, end = words[0].start, words[-1].end
        live = tuple(_live(word, True) for word in words)
        closed = LiveSegment(self._id, live, start, end, language, True)
        self._id += 1
        self._final = []
        self._shown = None
        return closed


def _in_order(words: Sequence[TimedWord], start: float) -> Iterator[TimedWord]:
    """The words with times that ascend from `start`."""
    for word in words:
        first = round(max(word.start, start), 3)
        start = round(max(word.end, first + _SHORTEST), 3)
        yield word._replace(start=first, end=start)


def _live(word: TimedWord, final: bool) -> LiveWord:
    return LiveWord(word.word, word.start, word.end, word.probability, final)
