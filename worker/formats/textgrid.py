"""Praat's TextGrid, in the long form."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.transcript import ExportOptions
from worker.formats.timeline import Timeline

Interval = tuple[int, int, str]
"""Start, end (milliseconds), text."""


def write_textgrid(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """Tiers `words`, `segments` and `turns`, one of each per speaker.

    Intervals of a tier cannot overlap: those that would go to another tier, `segments 2`.
    """
    tiers = [
        (f"{title} {layer}" if layer > 1 else title, intervals)
        for title, found in _titled(timeline, options).items()
        for layer, intervals in enumerate(_layers(found), 1)
    ]
    tiers = tiers or [("segments", [])]
    end = max((interval[1] for _, intervals in tiers for interval in intervals), default=1)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_seconds(end)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (title, intervals) in enumerate(tiers, 1):
        lines += _tier(number, title, list(_filled(intervals, end)), end)
    return "\n".join((*lines, ""))


def _titled(timeline: Timeline, options: ExportOptions) -> dict[str, list[Interval]]:
    """Intervals by the title of their tier; they may overlap."""
    found: dict[str, list[Interval]] = {}

    def add(what: str, speaker: str | None, *interval: Interval) -> None:
        who = f"{speaker} - " if speaker and options.speaker_labels else ""
        found.setdefault(who + what, []).extend(interval)

    for each in timeline.utterances:
        if each.has_word_times:
            add("words", each.speaker, *((w.start, w.end, w.text) for w in each.words or ()))
        add("segments", each.speaker, (each.start, each.end, each.text))
    for turn in timeline.turns:
        add("turns", turn.speaker, (turn.start, turn.end, turn.speaker))
    return found


def _layers(intervals: Iterable[Interval]) -> list[list[Interval]]:
    """Lists without overlaps: each interval goes into the first list with room for it."""
    layers: list[list[Interval]] = []
    for interval in sorted(intervals, key=lambda interval: interval[:2]):
        layer = next((each for each in layers if each[-1][1] <= interval[0]), None)
        if layer is None:
            layers.append([interval])
        else:
            layer.append(interval)
    return layers


def _filled(intervals: Iterable[Interval], end: int) -> Iterable[Interval]:
    """The intervals, with empty ones in the gaps: Praat's tiers have none."""
    now = 0
    for interval in intervals:
        if interval[0] > now:
            yield now, interval[0], ""
        yield interval
        now = interval[1]
    if now < end:
        yield now, end, ""


def _tier(number: int, title: str, intervals: list[Interval], end: int) -> list[str]:
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(title)}",
        "        xmin = 0",
        f"        xmax = {_seconds(end)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for i, (start, stop, text) in enumerate(intervals, 1):
        lines += [
            f"        intervals [{i}]:",
            f"            xmin = {_seconds(start)}",
            f"            xmax = {_seconds(stop)}",
            f"            text = {_quoted(text)}",
        ]
    return lines


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}" if milliseconds else "0"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
