"""Where in the audio each stretch of text is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.alignment import SegmentText
from protocol.values import Notice


@dataclass
class Unit:
    """Segments that are aligned together, between two times in seconds of the recording.

    One with times of its own; or all that stand between two such, for which nobody knows where one
    ends and the next begins.
    """

    indices: list[int]
    start: float
    end: float


def place(
    segments: Sequence[SegmentText], start: float, end: float
) -> tuple[list[Unit], list[Notice]]:
    """Units for audio from `start` to `end`, in the order of the segments.

    Times that cannot be (reversed, or outside of the audio) are mended as far as possible, else
    passed over, with a warning; a segment without text is in no unit.
    """
    spans: list[tuple[float, float] | None] = []
    mended: list[int] = []
    for index, segment in enumerate(segments):
        span, wrong = _span(segments, index, start, end)
        spans.append(span)
        if wrong:
            mended.append(index if segment.id is None else segment.id)
    units: list[Unit] = []
    waiting: list[int] = []
    reached = start

    def close(until: float) -> None:
        if waiting:
            units.append(Unit([*waiting], min(reached, until), max(reached, until)))
            waiting.clear()

    for index, span in enumerate(spans):
        if not segments[index].text.strip():
            continue
        if span is None:
            waiting.append(index)
        else:
            close(span[0])
            units.append(Unit([index], *span))
            reached = span[1]
    close(end)
    notices = []
    if mended:
        which = ", ".join(map(str, mended[:10])) + (" …" if len(mended) > 10 else "")
        message = f"Segments with impossible times were placed anew: {which}."
        notices.append(Notice(kind="times_mended", message=message))
    return units, notices


def _span(
    segments: Sequence[SegmentText], index: int, start: float, end: float
) -> tuple[tuple[float, float] | None, bool]:
    """Where a segment is, if that is known; and whether what it says had to be mended."""
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
    # Rounding, and windows that end with silence, reach a little over the end: no reason to warn.
    return inside, first < start - 0.5 or last > end + 0.5
