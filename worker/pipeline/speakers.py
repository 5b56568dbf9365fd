"""Who says which word: assigns the speakers of turns to words and segments.

There are two ways. `whisperx` is the whisperx package's `assign_word_speakers`: a word or segment
gets the speaker whose turns overlap it the longest, or none where no turn does. `nearest` uses the
turns without overlap, so that an interjection does not take words from the speaker who goes on; a
word in no turn goes to the nearest turn (somebody said it), and a segment to the speaker who says
most of it. Where two speak at once at the edge of a sentence, words go to who says most of that.

A segment in which the speaker changes is then cut into parts (`worker.formats.speaker_changes`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from protocol.values import Notice
from worker.formats import speaker_changes

if TYPE_CHECKING:
    from protocol.alignment import Word
    from protocol.diarization import Assignment, Turn
    from protocol.transcription import Segment


def assign(
    segments: Iterable[Segment],
    turns: Sequence[Turn],
    exclusive_turns: Sequence[Turn],
    assignment: Assignment,
) -> None:
    """Set `speaker` on segments and their words; without turns, change nothing."""
    if not turns:
        return
    if assignment == "whisperx":
        _assign_overlapping(segments, _Turns(turns))
    else:
        _assign_nearest(segments, _Turns(exclusive_turns or turns), _Turns(turns))


def without_words(segments: Sequence[Segment]) -> list[Notice]:
    """A warning if segments have no word times."""
    count = sum(1 for segment in segments if not segment.words)
    if not count:
        return []
    message = (
        f"{count} of {len(segments)} segments have no word times: each has one speaker, even if "
        "several speak in it."
    )
    return [Notice(kind="speakers_by_segment", option="diarize", message=message)]


def order_of_appearance(segments: Iterable[Segment]) -> list[str]:
    """The speakers, in the order of their first words."""
    found: dict[str, None] = {}
    for segment in segments:
        for speaker in [*(word.speaker for word in segment.words or ()), segment.speaker]:
            if isinstance(speaker, str):
                found[speaker] = None
    return list(found)


def parts(segment: Segment) -> list[Segment]:
    """The segment, cut where its speaker changes; the parts have its id, measures and language.

    The words of each part, joined, are its text, as those of the segment are.
    """
    words = segment.words or []
    said = [
        speaker_changes.Said(each.word, each.speaker or None, each.start, each.end)
        for each in words
    ]
    found = speaker_changes.parts(said)
    if len(found) < 2:
        return [segment]
    spaced = words[0].word[:1].isspace()
    made: list[Segment] = []
    for part in found:
        own = words[part.first : part.last]
        text = "".join(word.word for word in own)
        if not spaced:
            own[0] = msgspec.structs.replace(own[0], word=own[0].word.lstrip())
        made.append(
            msgspec.structs.replace(
                segment,
                start=own[0].start,
                end=own[-1].end,
                text=text.strip(),
                words=own,
                speaker=part.speaker or segment.speaker,
            )
        )
    made[0].start, made[-1].end = segment.start, segment.end
    return made


class _Turns:
    """Turns in the order of their starts, found by time in logarithmic time."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._turns = sorted(turns, key=lambda turn: turn.start)
        self._starts = [turn.start for turn in self._turns]
        self._latest_ends = list(accumulate((turn.end for turn in self._turns), max))

    def overlaps(self, start: float, end: float) -> dict[str, float]:
        """Seconds that each speaker speaks between `start` and `end`."""
        first = bisect_right(self._latest_ends, start)
        found: dict[str, float] = {}
        for turn in self._turns[first : bisect_left(self._starts, end)]:
            seconds = min(turn.end, end) - max(turn.start, start)
            if seconds > 0:
                found[turn.speaker] = found.get(turn.speaker, 0.0) + seconds
        return found

    def nearest(self, start: float, end: float) -> str:
        """Who speaks last before, or first after, a span of time in which nobody speaks."""
        after = bisect_left(self._starts, end)
        sides = self._turns[max(0, after - 1) : after + 1]
        return min(sides, key=lambda turn: max(turn.start - end, start - turn.end)).speaker


def _longest(seconds: dict[str, float]) -> str:
    return max(seconds, key=lambda speaker: seconds[speaker])


def _assign_overlapping(segments: Iterable[Segment], turns: _Turns) -> None:
    for segment in segments:
        for timed in (segment, *(segment.words or ())):
            heard = turns.overlaps(timed.start, timed.end)
            if heard:
                timed.speaker = _longest(heard)


def _assign_nearest(segments: Iterable[Segment], exclusive: _Turns, spoken: _Turns) -> None:
    for segment in segments:
        words = segment.words or []
        for word in words:
            heard = exclusive.overlaps(word.start, word.end)
            word.speaker = _longest(heard) if heard else exclusive.nearest(word.start, word.end)
        for sentence in _sentences(words):
            _complete(sentence, spoken)
        said = _seconds(words) or exclusive.overlaps(segment.start, segment.end)
        segment.speaker = _longest(said) if said else exclusive.nearest(segment.start, segment.end)


def _complete(sentence: Sequence[Word], spoken: _Turns) -> None:
    """Give words at the edges of a sentence to who says most of it, where that speaker speaks, too.

    Where one speaker takes over from another they often speak at once, and turns without overlap
    give all of that time to one of them.
    """
    said = _seconds(sentence)
    main = _longest(said)
    if said[main] <= 0.5 * sum(said.values()):
        return
    for words in (sentence, sentence[::-1]):
        for word in words:
            heard = spoken.overlaps(word.start, word.end).get(main, 0.0)
            if word.speaker == main or heard < 0.5 * (word.end - word.start):
                break
            word.speaker = main


def _sentences(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    first = 0
    for i, word in enumerate(words, 1):
        if i == len(words) or speaker_changes.ends_sentence(word.word):
            yield words[first:i]
            first = i


def _seconds(words: Iterable[Word]) -> dict[str, float]:
    """How long each speaker speaks in these words, which have speakers."""
    said: dict[str, float] = {}
    for word in words:
        if word.speaker is not UNSET:
            said[word.speaker] = said.get(word.speaker, 0.0) + max(word.end - word.start, 1e-3)
    return said
