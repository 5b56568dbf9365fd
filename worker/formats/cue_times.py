"""Makes the times of cues fit for a screen.

The cues of one speaker follow each other: of two that overlap, the earlier ends where the later
begins, and those that begin together share their time by the width of their texts. Different
speakers may be heard, and shown, at the same time.

A cue that is too short to be noticed or read stays for longer if nothing follows it at once. If the
same speaker's next cue does, and has time to spare, it begins a little later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from worker.formats.breaking import width
from worker.formats.cue import Cue
from worker.formats.layout import READING_SPEED, SHORTEST

_TOGETHER: Final = 300  # milliseconds within which cues begin together
_LEAST: Final = 10  # milliseconds, which formats with hundredths of a second can hold
_LINGER: Final = 2_000  # milliseconds that a cue stays at most after its last word
_LATE: Final = 500  # milliseconds that a cue may begin after its first word


def settle(cues: Sequence[Cue]) -> list[Cue]:
    """Correct the times of cues, and return them in the order of their starts."""
    by_speaker: dict[str | None, list[Cue]] = {}
    for cue in sorted(cues, key=lambda cue: cue.start):
        by_speaker.setdefault(cue.speaker, []).append(cue)
    for own in by_speaker.values():
        _separate(own)
    ordered = sorted(cues, key=lambda cue: cue.start)
    _extend(ordered)
    for cue in ordered:
        if cue.longest is not None:
            cue.end = min(cue.end, cue.start + cue.longest)
    return sorted(ordered, key=lambda cue: cue.start)


def _separate(cues: Sequence[Cue]) -> None:
    """Let the cues of one speaker follow each other."""
    now, first = 0, 0
    while first < len(cues):
        start, until = max(cues[first].start, now), cues[first].end
        last = first + 1
        while last < len(cues) and cues[last].start < min(until, start + _TOGETHER):
            until = max(until, cues[last].end)
            last += 1
        if last < len(cues):
            until = min(until, cues[last].start)
        now = _share(cues[first:last], start, until)
        first = last


def _share(cues: Sequence[Cue], start: int, until: int) -> int:
    """Give cues their parts of a time, or the least that they need; return when it ends."""
    weights = [1 + _columns(cue) for cue in cues]
    total, done, now = sum(weights), 0, start
    for cue, weight in zip(cues, weights, strict=True):
        done += weight
        cue.start = now
        now = cue.end = max(now + _LEAST, start + (until - start) * done // total)
    return now


def _extend(cues: Sequence[Cue]) -> None:
    """Let short cues end later; `cues` are in the order of their starts."""
    for i, cue in enumerate(cues):
        wanted = _wanted(cue)
        following = cues[i + 1] if i + 1 < len(cues) else None
        end = min(cue.start + wanted, cue.end + _LINGER)
        if following is None or end <= following.start:
            cue.end = max(cue.end, end)
            continue
        cue.end = max(cue.end, min(end, following.start))
        if cue.end != following.start or cue.speaker != following.speaker:
            continue
        spare = following.end - following.start - _wanted(following)
        late = min(SHORTEST, wanted) - (cue.end - cue.start)
        if i + 2 < len(cues):
            spare = min(spare, cues[i + 2].start - following.start)
        late = min(late, spare, _LATE)
        if late > 0:
            cue.end += late
            following.start += late


def _wanted(cue: Cue) -> int:
    """Milliseconds in which a cue can be read."""
    wanted = max(SHORTEST, _columns(cue) * 1000 // READING_SPEED)
    return wanted if cue.longest is None else min(wanted, cue.longest)


def _columns(cue: Cue) -> int:
    return sum(width(cue.text[a:b]) for a, b in cue.lines)
