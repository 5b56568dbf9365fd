"""A transcript made ready to be written: clean text, and times that every format can hold.

Times are whole milliseconds here. Nothing is dropped: times that are missing are interpolated,
times that cannot be are mended, and `Timeline.warnings` says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from protocol.transcript import Segment, Transcript, Turn, Word
from protocol.values import Notice
from worker.formats.breaking import is_wide_script, width

MIN_SEGMENT: Final = 10
"""Milliseconds: the shortest that the formats with hundredths can hold."""
MIN_WORD: Final = 1
READING_PACE: Final = 60
"""Milliseconds a column of text takes to say: the guess for a segment without times."""
TOLERANCE: Final = 20
"""Milliseconds: a time moved by no more, one step of Whisper's clock, is not worth a warning."""

_FAR_OFF: Final = -1e9
"""Seconds."""

_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class TimedWord(msgspec.Struct, kw_only=True):
    """A word of an utterance. `timed` tells times that were given from interpolated ones."""

    text: str
    start: int
    end: int
    timed: bool
    span: tuple[int, int] | None
    """Where it stands in the utterance's text."""
    score: float | None
    speaker: str | None


class Utterance(msgspec.Struct, kw_only=True):
    """A segment with times: 0 <= start < end."""

    start: int
    end: int
    text: str
    """On one line, without control characters."""
    raw_text: str
    speaker: str | None
    words: list[TimedWord] | None

    @property
    def has_word_times(self) -> bool:
        """Whether any word came with times."""
        return any(word.timed for word in self.words or ())


class SpeakerTurn(msgspec.Struct, kw_only=True):
    """A turn with times: 0 <= start < end."""

    start: int
    end: int
    speaker: str


class Timeline(msgspec.Struct, kw_only=True):
    """Utterances in the order of their starts."""

    utterances: list[Utterance]
    turns: list[SpeakerTurn]
    language: str | None
    warnings: list[Notice]

    @property
    def has_speakers(self) -> bool:
        """Whether any utterance has a speaker."""
        return any(utterance.speaker for utterance in self.utterances)


def build_timeline(transcript: Transcript) -> Timeline:
    """Mend what has to be, and tell what was."""
    notes = _Notes()
    segments = transcript.segments
    times = _segment_times(segments, notes)
    order = sorted(range(len(segments)), key=lambda i: times[i][0])
    notes.reordered = sum(1 for place, i in enumerate(order) if place != i)
    utterances = [_utterance(segments[i], i, *times[i], notes) for i in order]
    notes.overlapping = _count_overlaps(utterances)
    turns = _turns(transcript.turns or (), notes)
    return Timeline(
        utterances=utterances,
        turns=turns,
        language=transcript.language,
        warnings=notes.warnings(),
    )


def clean(text: str) -> str:
    """Text on one line: line breaks, tabs and control characters become single spaces."""
    return _BREAKS.sub(" ", text).strip(" ")


class _Notes:
    """What had to be done to the times, by index of the segment."""

    def __init__(self) -> None:
        self.interpolated: list[int] = []
        self.mended: list[int] = []
        self.words_mended: list[int] = []
        self.turns_mended = 0
        self.reordered = 0
        self.overlapping = 0

    def warnings(self) -> list[Notice]:
        """One for each thing that was done."""
        found = [
            ("times_interpolated", self.interpolated, "had no times: they were estimated"),
            ("times_mended", self.mended, "had impossible times: they were mended"),
            ("word_times_mended", self.words_mended, "had words out of order: they were mended"),
        ]
        notices = [
            Notice(kind=kind, message=f"{_segments(len(set(which)))}{_first(which)} {what}.")
            for kind, which, what in found
            if which
        ]
        if self.turns_mended:
            message = f"{self.turns_mended} of the turns had impossible times: they were mended."
            notices.append(Notice(kind="times_mended", message=message))
        if self.reordered:
            message = "The segments were not in the order of their starts: they were sorted."
            notices.append(Notice(kind="segments_reordered", message=message))
        if self.overlapping:
            message = f"{_segments(self.overlapping)} of one speaker overlap the one before."
            notices.append(Notice(kind="segments_overlap", message=message))
        return notices


def _segments(count: int) -> str:
    return f"{count} segment{'s' if count != 1 else ''}"


def _first(which: Sequence[int]) -> str:
    return f" (from index {min(which)})"


def _milliseconds(seconds: float) -> int:
    # A negative time, however far off, becomes 0 later on; infinity could not be rounded.
    return round(max(seconds, _FAR_OFF) * 1000)


def _given(seconds: float | None) -> int | None:
    return None if seconds is None else _milliseconds(seconds)


def _segment_times(segments: Sequence[Segment], notes: _Notes) -> list[tuple[int, int]]:
    known = [_known_times(segment) for segment in segments]
    times: list[tuple[int, int]] = []
    previous_end = 0
    i = 0
    while i < len(segments):
        start, end = known[i]
        if start is None and end is None:
            stop = next((j for j in range(i, len(known)) if known[j] != (None, None)), len(known))
            limit = _anchor(known[stop], segments[stop]) if stop < len(known) else None
            run = _spread(segments[i:stop], previous_end, limit)
            notes.interpolated += range(i, stop)
            i = stop
        else:
            if start is None or end is None:
                notes.interpolated.append(i)
                following = known[i + 1][0] if i + 1 < len(known) else None
                start, end = _complete(start, end, _guess(segments[i]), previous_end, following)
            run = [_mend(start, end, MIN_SEGMENT)]
            if max(abs(run[0][0] - start), abs(run[0][1] - end)) > MIN_SEGMENT:
                notes.mended.append(i)
            i += 1
        times += run
        previous_end = max(previous_end, run[-1][1])
    return times


def _known_times(segment: Segment) -> tuple[int | None, int | None]:
    """What is given, or follows from the words."""
    start, end = _given(segment.start), _given(segment.end)
    words = segment.words or ()
    if start is None:
        start = min((_milliseconds(w.start) for w in words if w.start is not None), default=None)
    if end is None:
        end = max((_milliseconds(w.end) for w in words if w.end is not None), default=None)
    return start, end


def _guess(segment: Segment) -> int:
    """Milliseconds that the text takes to say."""
    return max(500, READING_PACE * width(clean(segment.text)))


def _anchor(known: tuple[int | None, int | None], segment: Segment) -> int:
    """Where a segment of which one time is known begins."""
    start, end = known
    if start is not None:
        return max(0, start)
    assert end is not None
    return max(0, end - _guess(segment))


def _complete(
    start: int | None, end: int | None, guess: int, previous_end: int, following: int | None
) -> tuple[int, int]:
    if start is None:
        assert end is not None
        return max(min(previous_end, end - MIN_SEGMENT), end - guess), end
    limit = start + guess
    return start, min(limit, following) if following is not None and following > start else limit


def _spread(segments: Sequence[Segment], begin: int, limit: int | None) -> list[tuple[int, int]]:
    """Times between `begin` and `limit`, shared out by length; at a usual pace without a limit."""
    weights = [_guess(segment) for segment in segments]
    if limit is None:
        limit = begin + sum(weights)
    if limit - begin < MIN_SEGMENT * len(segments):
        # No room: they stand before what follows, and are as short as can be.
        return [(limit, limit + MIN_SEGMENT)] * len(segments)
    times: list[tuple[int, int]] = []
    room = limit - begin - MIN_SEGMENT * len(segments)
    total, done, at = sum(weights), 0, begin
    for count, weight in enumerate(weights, 1):
        done += weight
        end = begin + count * MIN_SEGMENT + room * done // total
        times.append((at, end))
        at = end
    return times


def _mend(start: int, end: int, least: int) -> tuple[int, int]:
    """Not negative, not reversed, not empty."""
    start, end = max(0, min(start, end)), max(0, start, end)
    return start, max(end, start + (least if end == start else 1))


def _utterance(segment: Segment, index: int, start: int, end: int, notes: _Notes) -> Utterance:
    text = clean(segment.text) or _joined(segment.words or ())
    speaker = _speaker(segment.speaker)
    words = None
    if segment.words is not None:
        words = _words(segment.words, text, start, end)
        if _were_moved(segment.words, words):
            notes.words_mended.append(index)
        said_by = Counter(word.speaker for word in words if word.speaker)
        speaker = speaker or next((name for name, _ in said_by.most_common(1)), None)
    return Utterance(
        start=start,
        end=end,
        text=text,
        raw_text=segment.text,
        speaker=speaker,
        words=words,
    )


def _speaker(name: str | None) -> str | None:
    return clean(name or "") or None


def _joined(words: Sequence[Word]) -> str:
    """Text from words, which are with their leading spaces (Whisper) or without (whisperX)."""
    texts = [word.word for word in words]
    spaced = any(text[:1].isspace() for text in texts)
    wide = all(is_wide_script(char) for text in texts for char in text)
    return clean(("" if spaced or wide else " ").join(texts))


def _words(words: Sequence[Word], text: str, start: int, end: int) -> list[TimedWord]:
    spans = _locate([clean(word.word) for word in words], text)
    times = _word_times(words, start, end)
    return [
        TimedWord(
            text=clean(word.word),
            start=times[i][0],
            end=times[i][1],
            timed=word.start is not None or word.end is not None,
            span=spans[i],
            score=word.score if word.score is not None else word.probability,
            speaker=_speaker(word.speaker),
        )
        for i, word in enumerate(words)
    ]


def _word_times(words: Sequence[Word], start: int, end: int) -> list[tuple[int, int]]:
    """Times in order: no word begins before the one before it ends."""
    times: list[tuple[int, int]] = []
    at = max(0, min((_milliseconds(w.start) for w in words if w.start is not None), default=start))
    for i, word in enumerate(words):
        known_start, known_end = _given(word.start), _given(word.end)
        if known_start is not None and known_end is not None:
            known_start, known_end = _mend(known_start, known_end, MIN_WORD)
        if known_start is None:
            known_start = at if known_end is None else min(at, known_end)
        if known_end is None:
            later = _next_start(words[i + 1 :])
            bound, share = later if later else (end, len(words) - i)
            known_end = known_start + max(bound - known_start, 0) // share
        begin = max(known_start, at)
        at = max(known_end, begin + MIN_WORD)
        times.append((begin, at))
    return times


def _next_start(words: Sequence[Word]) -> tuple[int, int] | None:
    """The next given time in milliseconds, and how many words share the way to it."""
    for count, word in enumerate(words, 1):
        if word.start is not None:
            return _milliseconds(word.start), count
        if word.end is not None:
            return _milliseconds(word.end), count + 1
    return None


def _were_moved(given: Sequence[Word], made: Sequence[TimedWord]) -> bool:
    pairs = [(a.start, b.start) for a, b in zip(given, made, strict=True)]
    pairs += [(a.end, b.end) for a, b in zip(given, made, strict=True)]
    return any(a is not None and abs(_milliseconds(a) - b) > TOLERANCE for a, b in pairs)


def _locate(words: Sequence[str], text: str) -> list[tuple[int, int] | None]:
    """Where each word stands in `text`; None for one that is not there."""
    spans: list[tuple[int, int] | None] = []
    at = 0
    for word in words:
        # Not far ahead: a word that is missing must not take the place of a later one.
        found = text.find(word, at, at + len(word) + 32) if word else -1
        spans.append((found, found + len(word)) if found >= 0 else None)
        if found >= 0:
            at = found + len(word)
    return spans


def _count_overlaps(utterances: Sequence[Utterance]) -> int:
    ends: dict[str | None, int] = {}
    count = 0
    for utterance in utterances:
        count += utterance.start < ends.get(utterance.speaker, 0) - TOLERANCE
        ends[utterance.speaker] = max(ends.get(utterance.speaker, 0), utterance.end)
    return count


def _turns(turns: Iterable[Turn], notes: _Notes) -> list[SpeakerTurn]:
    made: list[SpeakerTurn] = []
    for turn in turns:
        given = _milliseconds(turn.start), _milliseconds(turn.end)
        start, end = _mend(*given, MIN_WORD)
        notes.turns_mended += given[0] < 0 or given[0] > given[1]
        made.append(SpeakerTurn(start=start, end=end, speaker=clean(turn.speaker)))
    return sorted(made, key=lambda turn: turn.start)
