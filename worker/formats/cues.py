"""Splits utterances into cues: the text that a player shows at one time, in lines that fit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from protocol.transcript import ExportOptions
from worker.formats.breaking import units, width, widths
from worker.formats.timeline import Timeline, Utterance

Span = tuple[int, int]
Text = Callable[[str], str]

_MIN_CUE: Final = 1


class CueWord(msgspec.Struct, kw_only=True):
    """A word of a cue: its span of the utterance's text, and its times in milliseconds."""

    span: Span
    start: int
    end: int


class Cue(msgspec.Struct, kw_only=True):
    """Lines, as spans of `text`, that a player shows from `start` to `end` (milliseconds)."""

    start: int
    end: int
    text: str
    lines: list[Span]
    label: str
    """Precedes the first line: `[SPEAKER_00]: `, or nothing."""
    speaker: str | None
    words: list[CueWord]

    def render(self, escape: Text, marked: Span | None = None, mark: Text = str) -> list[str]:
        """The lines, escaped; `mark` is applied to the span `marked` as well."""
        lines: list[str] = []
        for a, b in self.lines:
            c, d = (max(a, marked[0]), min(b, marked[1])) if marked else (b, b)
            if c < d:
                parts = (escape(self.text[a:c]), mark(escape(self.text[c:d])))
                lines.append("".join((*parts, escape(self.text[d:b]))))
            else:
                lines.append(escape(self.text[a:b]))
        lines[0] = escape(self.label) + lines[0]
        return lines


class Clock:
    """Tells when each place in an utterance's text is spoken.

    Words with times decide; text without them is spread over the time by its width.
    """

    def __init__(self, utterance: Utterance) -> None:
        self._widths = widths(utterance.text)
        self._spans: list[tuple[int, int, int, int]] = []  # from, to, start, end
        at, now = 0, utterance.start
        for word in utterance.words or ():
            if word.timed and word.span:
                start = min(max(word.start, now), utterance.end)
                end = min(max(word.end, start), utterance.end)
                self._fill(utterance.text, at, word.span[0], now, start)
                self._spans.append((*word.span, start, end))
                at, now = word.span[1], end
        self._fill(utterance.text, at, len(utterance.text), now, utterance.end)
        self._starts = [span[0] for span in self._spans]

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

    def _fill(self, text: str, a: int, b: int, start: int, end: int) -> None:
        """Place text without word times between the words beside it."""
        whole = not self._spans and b == len(text)
        if whole or any(char.isalnum() for char in text[a:b]):
            self._spans.append((a, b, start, end))


def cues(timeline: Timeline, options: ExportOptions, *, labels: bool) -> list[Cue]:
    """All cues in order; utterances without text have none.

    With `labels`, each cue names its speaker: for formats that have no syntax for speakers.
    """
    made: list[Cue] = []
    for utterance in timeline.utterances:
        if utterance.text:
            shown = labels and options.speaker_labels and utterance.speaker
            label = f"[{utterance.speaker}]: " if shown else ""
            made += _cues_of(utterance, options, label)
    made.sort(key=lambda cue: cue.start)
    return made


def _cues_of(utterance: Utterance, options: ExportOptions, label: str) -> list[Cue]:
    text, clock = utterance.text, Clock(utterance)
    longest = None if options.max_duration is None else round(options.max_duration * 1000)
    made: list[Cue] = []
    now = utterance.start
    for lines in _layout(text, options, width(label), clock, longest):
        start = utterance.start if not made else max(now, clock.start_of(lines[0][0]))
        last = lines[-1][1] == len(text)
        end = utterance.end if last else clock.end_of(lines[-1][1])
        end = now = max(end, start + _MIN_CUE)
        if longest is not None:
            end = min(end, start + longest)
        words = [
            CueWord(span=word.span, start=word.start, end=word.end)
            for word in utterance.words or ()
            if word.timed and word.span and _overlap(word.span, lines)
        ]
        made.append(
            Cue(
                start=start,
                end=end,
                text=text,
                lines=lines,
                label=label,
                speaker=utterance.speaker,
                words=words,
            )
        )
    return made


def _overlap(span: Span, lines: Sequence[Span]) -> bool:
    return span[0] < lines[-1][1] and span[1] > lines[0][0]


def _layout(
    text: str, options: ExportOptions, indent: int, clock: Clock, longest: int | None
) -> list[list[Span]]:
    """The lines of each cue. `indent` is the label's width, `longest` is in milliseconds."""
    limit = options.max_line_length
    if limit is None and longest is None:
        return [[(0, len(text))]]
    # A long label still leaves half of the line.
    first_limit = max(limit - indent, limit // 2) if limit else None
    columns = widths(text)
    made: list[list[Span]] = []
    for a, b in units(text, first_limit):
        lines = made[-1] if made else []
        too_long = longest is not None and clock.end_of(b) - _begin(lines, clock, a) > longest
        if not lines or too_long:
            made.append([(a, b)])
            continue
        budget = first_limit if len(lines) == 1 else limit
        if budget is None or columns[b] - columns[lines[-1][0]] <= budget:
            lines[-1] = (lines[-1][0], b)
        elif options.max_lines is None or len(lines) < options.max_lines:
            lines.append((a, b))
        else:
            made.append([(a, b)])
    return made


def _begin(lines: Sequence[Span], clock: Clock, otherwise: int) -> int:
    return clock.start_of(lines[0][0] if lines else otherwise)


def highlighted(cue: Cue) -> list[tuple[int, int, Span | None]]:
    """The cue in parts (start, end, span), each marking the word that is spoken, or None."""
    parts: list[tuple[int, int, Span | None]] = []
    now = cue.start
    for word in cue.words:
        start, end = max(word.start, now), min(word.end, cue.end)
        if end <= start:
            continue
        if start > now:
            parts.append((now, start, None))
        parts.append((start, end, word.span))
        now = end
    if now < cue.end or not parts:
        parts.append((now, cue.end, None))
    return parts


def clock_text(milliseconds: int, decimal: str) -> str:
    """HH:MM:SS, then `decimal` and milliseconds."""
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{decimal}{rest % 1000:03}"
