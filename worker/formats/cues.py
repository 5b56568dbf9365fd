"""Splits utterances into cues, in lines that fit.

An utterance is cut at long pauses (`passages`), each passage is laid out (`layout`), and when all
cues are there, their times are made fit for a screen (`cue_times`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from itertools import pairwise
from typing import Final

from protocol.transcript import ExportOptions
from worker.formats.breaking import break_cost, units, width, widths
from worker.formats.cue import Cue, CueWord
from worker.formats.cue_times import settle
from worker.formats.layout import Limits, Units, lay_out
from worker.formats.passages import Passage, passages
from worker.formats.phrases import phrase_starts
from worker.formats.timeline import Timeline, Utterance

_MIN_CUE: Final = 1
_MOST: Final = 1e6  # seconds; longer options mean the same


def cues(timeline: Timeline, options: ExportOptions, *, labels: bool) -> list[Cue]:
    """All cues in order; utterances without text have none.

    With `labels`, each cue names its speaker: for formats that have no syntax for speakers.
    """
    made: list[Cue] = []
    for utterance in timeline.utterances:
        if utterance.text:
            shown = labels and options.speaker_labels and utterance.speaker
            label = f"[{utterance.speaker}]: " if shown else ""
            language = utterance.language if utterance.language != timeline.language else None
            maker = _Maker(utterance, _limits(options, width(label)), label, language)
            for passage in passages(utterance, timeline.silences, max_pause(options)):
                made += maker.cues(passage)
    return settle(made)


def max_pause(options: ExportOptions) -> int | None:
    """Milliseconds; None if no pause is too long."""
    return _milliseconds(options.max_pause or None)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(min(seconds, _MOST) * 1000)


def _limits(options: ExportOptions, indent: int) -> Limits:
    """`indent` is the label's width: a long one still leaves half of the line."""
    line = options.max_line_length
    first = None if line is None else max(line - indent, line // 2)
    lines = 1 if line is None else options.max_lines
    return Limits(line, first, lines, _milliseconds(options.max_duration))


class _Maker:
    """Makes the cues of an utterance."""

    def __init__(
        self, utterance: Utterance, limits: Limits, label: str, language: str | None
    ) -> None:
        self._utterance = utterance
        self._limits = limits
        self._label = label
        self._language = language
        self._words = [
            CueWord(span=word.span, start=word.start, end=word.end)
            for word in utterance.words or ()
            if word.timed and word.span
        ]
        self._columns = widths(utterance.text)
        whole = limits.line is None and limits.duration is None
        self._phrases: Collection[int] = () if whole else phrase_starts(utterance.text)

    def cues(self, passage: Passage) -> list[Cue]:
        """The cues of one passage."""
        clock, columns = passage.clock, self._columns
        made: list[Cue] = []
        for lines in lay_out(self._units(passage), self._limits):
            first, last = lines[0][0], lines[-1][1]
            start = max(clock.start_of(first), made[-1].end if made else 0)
            end = max(clock.end_of(last), start + _MIN_CUE)
            bounds = (self._limits.duration, passage.longest(columns[last] - columns[first]))
            longest = min((bound for bound in bounds if bound is not None), default=None)
            begin = bisect_left(self._words, True, key=lambda word: word.span[1] > first)
            until = bisect_left(self._words, last, key=lambda word: word.span[0])
            made.append(
                Cue(
                    start=start,
                    end=end if longest is None else min(end, start + longest),
                    text=self._utterance.text,
                    lines=lines,
                    label=self._label,
                    speaker=self._utterance.speaker,
                    language=self._language,
                    words=self._words[begin:until],
                    longest=longest,
                )
            )
        return made

    def _units(self, passage: Passage) -> Units:
        """What stays together in a passage."""
        (a, b), text, clock = passage.span, self._utterance.text, passage.clock
        found = units(text[a:b], self._limits.first_line) or [(0, b - a)]
        spans = [(a + first, a + last) for first, last in found]
        costs = (break_cost(text, end, at, self._phrases) for (_, end), (at, _) in pairwise(spans))
        return Units(
            spans=spans,
            begins=[self._columns[first] for first, _ in spans],
            ends=[self._columns[last] for _, last in spans],
            costs=[*costs, 0.0],
            starts=[clock.start_of(first) for first, _ in spans],
            stops=[clock.end_of(last) for _, last in spans],
        )
