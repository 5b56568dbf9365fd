"""When each place of an utterance's text is spoken, and where its speaker pauses.

Words with times decide; text without them is spread over the time between by its width. A passage
is what is said without a long pause: between words that lie far apart, an utterance is cut. Without
word times only the transcript's silences tell of pauses. The text is then divided among the speech
around them, by its seconds, at places where it breaks well. That is a guess, so that each cue lasts
no longer than its text can be read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from worker.formats.breaking import break_cost, units, width, widths
from worker.formats.phrases import phrase_starts
from worker.formats.timeline import READING_PACE, Utterance

Span = tuple[int, int]

_LEAST: Final = 500  # milliseconds that text without times may take beside a pause
_CALM_PACE: Final = 83  # milliseconds per column, at which anybody reads
_CALM: Final = (1_500, 7_000)  # milliseconds that any text is shown at least and at most
_TRIED: Final = 16  # places on each side of a silence's own at which the text is divided
_DISTANCE: Final = 20.0  # columns that a good break may be away from there


class Clock:
    """Tells when each place in a text is spoken."""

    def __init__(self, columns: Sequence[int], spans: Sequence[tuple[int, int, int, int]]) -> None:
        self._widths = columns  # before each place
        self._spans = spans  # from, to, start, end
        self._starts = [span[0] for span in spans]

    def start_of(self, place: int) -> int:
        """When the text from `place` on begins."""
        index = max(0, bisect_right(self._starts, place) - 1)
        if place >= self._spans[index][1] and index + 1 < len(self._spans):
            return self._spans[index + 1][2]
        return self._within(index, place)

    def end_of(self, place: int) -> int:
        """When the text before `place` ends."""
        index = max(0, bisect_right(self._starts, place - 1) - 1)
        return self._within(index, place)

    def _within(self, index: int, place: int) -> int:
        a, b, start, end = self._spans[index]
        total = self._widths[b] - self._widths[a]
        done = self._widths[min(max(place, a), b)] - self._widths[a]
        if not total:
            return end if place >= b else start
        return start + (end - start) * done // total


class Passage(msgspec.Struct, frozen=True):
    """A part of an utterance's text that is said without a long pause."""

    span: Span
    clock: Clock
    guessed: bool = False
    """Whether its times come from silences alone."""

    def longest(self, columns: int) -> int | None:
        """Milliseconds that text of a width may be shown; None if its times decide."""
        if not self.guessed:
            return None
        low, high = _CALM
        return min(max(low, columns * _CALM_PACE), high)


def passages(
    utterance: Utterance, silences: Sequence[Span], max_pause: int | None
) -> list[Passage]:
    """The passages of an utterance that has text; pauses longer than `max_pause` ms are between."""
    text, columns = utterance.text, widths(utterance.text)
    quiet = [] if max_pause is None else _within(silences, utterance, max_pause)
    if any(word.timed and word.span for word in utterance.words or ()):
        timed = _timed(utterance, quiet, max_pause)
        clock = Clock(columns, timed)
        cuts = [] if max_pause is None else _cuts(text, timed, max_pause)
        return [Passage(span, clock) for span in pairwise((0, *cuts, len(text)))]
    speech = _speech(utterance.start, utterance.end, quiet)
    if not quiet or not speech:
        whole = [(0, len(text), utterance.start, utterance.end)]
        return [Passage((0, len(text)), Clock(columns, whole), guessed=bool(quiet))]
    shared = [
        (a, b, start, end)
        for (a, b), (start, end) in zip(_divided(text, columns, speech), speech, strict=True)
        if a < b
    ]
    return [Passage(span[:2], Clock(columns, [span]), guessed=True) for span in shared]


def _within(silences: Sequence[Span], utterance: Utterance, max_pause: int) -> list[Span]:
    """The long silences of an utterance."""
    first = bisect_right(silences, utterance.start, key=lambda span: span[1])
    last = bisect_left(silences, utterance.end, key=lambda span: span[0])
    clipped = (
        (max(start, utterance.start), min(end, utterance.end))
        for start, end in silences[first:last]
    )
    return [(start, end) for start, end in clipped if end - start > max_pause]


def _speech(start: int, end: int, quiet: Sequence[Span]) -> list[Span]:
    """The rest of a time with silences."""
    edges = [start, *(time for span in quiet for time in span), end]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def _timed(
    utterance: Utterance, quiet: Sequence[Span], max_pause: int | None
) -> list[tuple[int, int, int, int]]:
    """The text in order as (from, to, start, end), by its words."""
    text = utterance.text
    found: list[tuple[int, int, int, int]] = []

    def fill(a: int, b: int, start: int, end: int) -> None:
        """Place text without word times between the words beside it, but not through a pause."""
        if any(char.isalnum() for char in text[a:b]):
            guess = max(_LEAST, READING_PACE * width(text[a:b]))
            if max_pause is not None and end - start > guess + max_pause:
                end = start + guess
            found.append((a, b, start, end))

    at, now = 0, utterance.start
    for word in utterance.words or ():
        if word.timed and word.span:
            start, end = _loud(word.start, word.end, quiet) if quiet else (word.start, word.end)
            start = min(max(start, now), utterance.end)
            end = min(max(end, start), utterance.end)
            fill(at, word.span[0], now, start)
            found.append((*word.span, start, end))
            at, now = word.span[1], end
    fill(at, len(text), now, utterance.end)
    return found


def _loud(start: int, end: int, quiet: Sequence[Span]) -> Span:
    """The longest part of a word's time without a silence."""
    first = bisect_right(quiet, start, key=lambda span: span[1])
    last = bisect_left(quiet, end, key=lambda span: span[0])
    speech = _speech(start, end, quiet[first:last])
    return max(speech, key=lambda span: span[1] - span[0], default=(start, end))


def _cuts(text: str, timed: Sequence[tuple[int, int, int, int]], max_pause: int) -> list[int]:
    """Places in the text where its speaker pauses."""
    found: list[int] = []
    begins: list[int] = []
    for (_, end, _, stop), (following, _, start, _) in pairwise(timed):
        if start - stop > max_pause:
            begins = begins or [a for a, _ in units(text)]
            place = bisect_left(begins, end)
            near = begins[place] if place < len(begins) else following
            found.append(near if near <= following else following)
    return sorted(set(found) - {0})


def _divided(text: str, columns: Sequence[int], speech: Sequence[Span]) -> list[Span]:
    """The text in as many parts as there is speech; some may be empty."""
    spans, phrases = units(text), phrase_starts(text)
    begins = [*(columns[a] for a, _ in spans), columns[-1]]
    total = sum(end - start for start, end in speech)
    places, done, before = [0], 0, 0
    for start, end in speech[:-1]:
        done += end - start
        ideal = columns[-1] * done / total
        near = bisect_left(begins, ideal)

        def cost(i: int, ideal: float = ideal, before: int = before) -> float:
            inside = before < i < len(spans)
            breaking = break_cost(text, spans[i - 1][1], spans[i][0], phrases) if inside else 1.0
            return breaking + abs(begins[i] - ideal) / _DISTANCE

        tried = range(max(before, near - _TRIED), min(len(spans), near + _TRIED) + 1)
        before = min(tried, key=cost, default=before)
        places.append(spans[before][0] if 0 < before < len(spans) else len(text) * (before > 0))
    return list(pairwise((*places, len(text))))
