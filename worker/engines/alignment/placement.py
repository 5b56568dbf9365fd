"""Groups segments, and decides in which part of the audio to search for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from protocol.alignment import SegmentText
from protocol.values import Notice
from worker.engines.common.notices import listed


@dataclass
class SegmentGroup:
    """Segments to align together, between two times in seconds of the file.

    Either one segment with times; or all segments of a language between two such, since nothing
    says where one ends and the next begins.
    """

    indices: list[int]
    start: float
    end: float


def group_segments(
    segments: Sequence[SegmentText], start: float, end: float
) -> tuple[list[SegmentGroup], list[Notice]]:
    """Group the segments of audio from `start` to `end`, in their order; skip those without text.

    Impossible times (reversed, or outside the audio) are corrected if possible, else ignored, with
    a warning.
    """
    spans: list[tuple[float, float] | None] = []
    mended: list[int] = []
    for index, segment in enumerate(segments):
        span, wrong = _span(segments, index, start, end)
        spans.append(span)
        if wrong:
            mended.append(index if segment.id is None else segment.id)
    groups: list[SegmentGroup] = []
    waiting: list[int] = []
    reached = start

    def close(until: float) -> None:
        for _, together in groupby(waiting, key=lambda index: segments[index].language):
            groups.append(SegmentGroup([*together], min(reached, until), max(reached, until)))
        waiting.clear()

    for index, span in enumerate(spans):
        if not segments[index].text.strip():
            continue
        if span is None:
            waiting.append(index)
        else:
            close(span[0])
            groups.append(SegmentGroup([index], *span))
            reached = span[1]
    close(end)
    notices = []
    if mended:
        message = f"The impossible times of these segments were replaced: {listed(mended)}."
        notices.append(Notice(kind="times_mended", message=message))
    return groups, notices


def _span(
    segments: Sequence[SegmentText], index: int, start: float, end: float
) -> tuple[tuple[float, float] | None, bool]:
    """A segment's times, if known; and whether the given ones had to be corrected."""
    given = segments[index]
    if given.start is None and given.end is None:
        return None, False
    first, last = given.start, given.end
    if first is None:
        first = max((s.end for s in segments[:index] if s.end is not None), default=start)
    if last is None:
        last = min((s.start for s in segments[index + 1 :] if s.start is not None), default=end)
    if last <= first or first >= end or last <= start:
        return None, True
    inside = max(first, start), min(last, end)
    # Rounding, and windows that end in silence, exceed the end a little: no reason to warn.
    return inside, first < start - 0.5 or last > end + 0.5
