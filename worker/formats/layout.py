"""Splits a text into cues, and each cue into lines: the best of all splits, not the first to fit.

Every split has a cost, and dynamic programming finds the cheapest, as Knuth and Plass do for
paragraphs ("Breaking Paragraphs into Lines", Software: Practice and Experience 11, 1981). First the
text is split into cues; a split costs more

- with each further cue, and with cues of uneven length,
- within a clause or a sentence, less so where the speaker pauses,
- for a word alone in a cue,
- for a cue too short to be noticed (0.8 s) or read (21 columns a second).

Then each cue is split into as few lines as it needs; these cost by unevenness, by where they break,
and for a word alone on a line. Lines fill a cue from any word as far as their greedy filling does,
which takes the fewest lines; so it tells which cues are possible before any line is chosen.

Both take time in proportion to the length of the text: of very long lines and cues, only the
fuller ones are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

Span = tuple[int, int]

SHORTEST: Final = 800
"""Milliseconds below which a cue is hardly noticed."""
READING_SPEED: Final = 21
"""Columns a second that can be read. Netflix's limit for adults is 20 characters in English."""

_TRIED: Final = 64  # places to begin a line or a cue that are tried for each end

# What a cue costs, besides 1 for being there
_BREAK: Final = 1.5  # times `break_cost`
_REST: Final = 700  # milliseconds of pause that make any break good
_UNEVEN: Final = 0.5
_ALONE: Final = 4.0
_BRIEF: Final = 2.0
_FAST: Final = 1.0

# What a line costs
_LINE_BREAK: Final = 0.4  # times `break_cost`
_LINE_ALONE: Final = 2.0

# What is a word alone
_ALONE_WIDTH: Final = 0.4  # share of a line from which a single word is not
_FEW: Final = 4  # columns up to which anything is
_USUAL_LINE: Final = 42  # columns, where lines have no limit


class Units(NamedTuple):
    """What stays together, in order; the lists have a member for each."""

    spans: Sequence[Span]
    begins: Sequence[int]
    """Columns of the text before each."""
    ends: Sequence[int]
    """Columns of the text up to its end."""
    costs: Sequence[float]
    """How much a break after it hurts."""
    starts: Sequence[int]
    """When it begins to be said, in milliseconds."""
    stops: Sequence[int]
    """When it has been said."""


class Limits(NamedTuple):
    """What a cue may hold. None means any number."""

    line: int | None
    """Columns."""
    first_line: int | None
    """Columns of a cue's first line, which may have a label; at most `line`."""
    lines: int | None
    duration: int | None
    """Milliseconds."""


def lay_out(units: Units, limits: Limits) -> list[list[Span]]:
    """The lines of each cue. A unit that exceeds the limits has a line, or cue, of its own."""
    count = len(units.spans)
    line = _reaches(units, limits.line)
    first = _reaches(units, limits.first_line)
    if limits.lines is None:
        fits = [count] * count
    else:
        more = _repeated(line, limits.lines - 1)
        fits = [more[end] for end in first[:count]]
    if limits.duration is not None:
        lasts = _longest(units.starts, units.stops, limits.duration)
        fits = [min(a, b) for a, b in zip(fits, lasts, strict=True)]
    cues = [(0, count)] if fits[0] == count else _cues(units, limits, fits)
    return [_lines(units, limits, first, line, a, b) for a, b in cues]


def _reaches(units: Units, limit: int | None) -> list[int]:
    """For each unit the end of the longest line that begins with it."""
    count = len(units.spans)
    if limit is None:
        return [count] * (count + 1)
    return [*_longest(units.begins, units.ends, limit), count]


def _longest(begins: Sequence[int], ends: Sequence[int], limit: int) -> list[int]:
    """For each unit the end of the longest run from its begin that keeps within the limit."""
    found: list[int] = []
    end = 0
    for i, begin in enumerate(begins):
        end = max(end, i + 1)
        while end < len(begins) and ends[end] - begin <= limit:
            end += 1
        found.append(end)
    return found


def _repeated(step: Sequence[int], times: int) -> list[int]:
    """Where so many steps lead, from each place; by squaring."""
    times = min(times, len(step))
    found = list(range(len(step)))
    power = list(step)
    while times:
        if times % 2:
            found = [power[place] for place in found]
        power = [power[place] for place in power]
        times //= 2
    return found


def _cues(units: Units, limits: Limits, fits: Sequence[int]) -> list[Span]:
    """The cues as units from and to; `fits` has the end of the longest cue from each unit."""
    _, begins, ends, _, starts, stops = units
    count = len(begins)
    room = 0
    if limits.line is not None and limits.first_line is not None and limits.lines is not None:
        room = limits.first_line + limits.line * (limits.lines - 1)
    breaks = _cue_breaks(units)
    alone = _ALONE_WIDTH * (limits.line or _USUAL_LINE)
    best = [0.0] + [float("inf")] * count
    origins = [0] * (count + 1)
    low = 0
    for end in range(1, count + 1):
        while fits[low] < end:
            low += 1
        columns, stop = ends[end - 1], stops[end - 1]
        least, origin = float("inf"), low
        for i in range(low, min(end, low + _TRIED)):
            cost = best[i]
            wide, lasts = columns - begins[i], stop - starts[i]
            if room:
                slack = 1 - wide / room
                cost += _UNEVEN * slack * slack
            if wide <= alone and (i == end - 1 or wide <= _FEW):
                cost += _ALONE
            if lasts < SHORTEST:
                cost += _BRIEF * (SHORTEST - lasts) / SHORTEST
            needed = wide * 1000 / READING_SPEED
            if lasts < needed:
                cost += _FAST * (1 - lasts / needed)
            if cost < least:
                least, origin = cost, i
        best[end] = least + breaks[end - 1] + 1
        origins[end] = origin
    return _path(origins, 0, count)


def _cue_breaks(units: Units) -> list[float]:
    """What it costs to end a cue with each unit; nothing for the last."""
    rests = [
        min(max(start - stop, 0) / _REST, 1)
        for start, stop in zip(units.starts[1:], units.stops, strict=False)
    ]
    return [_BREAK * cost * (1 - rest) for cost, rest in zip(units.costs, (*rests, 1), strict=True)]


def _lines(
    units: Units, limits: Limits, first: Sequence[int], line: Sequence[int], begin: int, end: int
) -> list[Span]:
    """The lines of the cue from unit `begin` to `end`."""
    if limits.line is None or limits.first_line is None or first[begin] >= end:
        return [(units.spans[begin][0], units.spans[end - 1][1])]
    best: list[tuple[int, float]] = [(0, 0.0)] + [(end - begin + 1, 0.0)] * (end - begin)
    origins = [0] * (end - begin + 1)
    alone = _ALONE_WIDTH * limits.line
    for i in range(begin, end):
        count, cost = best[i - begin]
        budget = limits.first_line if i == begin else limits.line
        until = min(first[i] if i == begin else line[i], end)
        for j in range(max(i + 1, until - _TRIED), until + 1):
            wide = units.ends[j - 1] - units.begins[i]
            slack = max(0.0, 1 - wide / budget)
            own = slack * slack
            if j < end:
                own += _LINE_BREAK * units.costs[j - 1]
            if wide <= alone and (j == i + 1 or wide <= _FEW):
                own += _LINE_ALONE
            candidate = (count + 1, cost + own)
            if candidate < best[j - begin]:
                best[j - begin] = candidate
                origins[j - begin] = i - begin
    return [
        (units.spans[begin + a][0], units.spans[begin + b - 1][1])
        for a, b in _path(origins, 0, end - begin)
    ]


def _path(origins: Sequence[int], begin: int, end: int) -> list[Span]:
    """The stretches that lead from `begin` to `end`."""
    places = [end]
    while places[-1] != begin:
        places.append(origins[places[-1]])
    return list(pairwise(reversed(places)))
