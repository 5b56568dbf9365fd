"""Prepares a transcript for the formats: clean text, and times that every format can hold.

Times become whole milliseconds. Nothing is dropped: missing times are estimated, impossible ones
corrected, and `Timeline.warnings` says so. A segment in which the speaker changes becomes several
utterances, so that every format has the change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UnsetType

from protocol.transcript import TranscriptWord
from protocol.values import Notice, TimeSpan
from worker.formats.breaking import is_wide_script, width
from worker.formats.speaker_changes import Said, locate, parts

if TYPE_CHECKING:
    from protocol import alignment, diarization, transcription
    from protocol.transcript import Transcript, TranscriptSegment, TranscriptTurn

    AnyWord = TranscriptWord | alignment.Word
    AnySegment = TranscriptSegment | transcription.Segment
    AnyTurn = TranscriptTurn | diarization.Turn

MIN_SEGMENT: Final = 10
"""Milliseconds: the shortest segment that formats with hundredths of a second can hold."""
MIN_WORD: Final = 1
READING_PACE: Final = 60
"""Milliseconds per column of text: the guess for a segment without times."""
TOLERANCE: Final = 20
"""Milliseconds, one step of Whisper's clock: smaller corrections are not worth a warning."""

_FAR_OFF: Final = 1e9
"""Seconds."""

_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class SpokenWord(msgspec.Struct, kw_only=True):
    """A word of an utterance. `timed` is false if its times are estimates."""

    text: str
    start: int
    end: int
    timed: bool
    span: tuple[int, int] | None
    """Its place in the utterance's text; None if the text lacks it."""
    score: float | None
    speaker: str | None


class Utterance(msgspec.Struct, kw_only=True):
    """A segment, with 0 <= start < end."""

    start: int
    end: int
    text: str
    """On one line, without control characters."""
    raw_text: str
    speaker: str | None
    language: str | None
    """Where the segment says it."""
    words: list[SpokenWord] | None

    @property
    def has_word_times(self) -> bool:
        """Whether the transcript had times for any of its words."""
        return any(word.timed for word in self.words or ())


class SpeakerTurn(msgspec.Struct, kw_only=True):
    """A turn, with 0 <= start < end."""

    start: int
    end: int
    speaker: str


class Timeline(msgspec.Struct, kw_only=True):
    """Utterances in the order of their starts."""

    utterances: list[Utterance]
    turns: list[SpeakerTurn]
    silences: list[tuple[int, int]]
    """Where nobody speaks, as far as that is known: in order, without overlap."""
    language: str | None
    warnings: list[Notice]

    @property
    def has_speakers(self) -> bool:
        """Whether any utterance has a speaker."""
        return any(utterance.speaker for utterance in self.utterances)


def build_timeline(transcript: Transcript | transcription.TranscribeResult) -> Timeline:
    """Correct the times, and warn about each kind of correction.

    No single struct can describe both arguments: a result always has times, and its schema says
    so; `export` accepts transcripts of other programs, which may lack them. The members that are
    read here have the same names in both.
    """
    notes = _Notes()
    segments: Sequence[AnySegment] = transcript.segments
    times = _segment_times(segments, notes)
    order = sorted(range(len(segments)), key=lambda i: times[i][0])
    notes.reordered = sum(1 for place, i in enumerate(order) if place != i)
    whole = [_utterance(segments[i], i, *times[i], notes) for i in order]
    utterances = [part for each in whole for part in _by_speaker(each)]
    utterances.sort(key=lambda each: each.start)
    notes.overlapping = _count_overlaps(utterances)
    turns = _turns(transcript.turns or (), notes)
    return Timeline(
        utterances=utterances,
        turns=turns,
        silences=_silences(transcript.silences or ()),
        language=transcript.language,
        warnings=notes.warnings(),
    )


def clean(text: str) -> str:
    """Text on one line: runs of white space and control characters become single spaces."""
    return _BREAKS.sub(" ", text).strip(" ")


class _Notes:
    """The corrections that were needed, by index of the segment."""

    def __init__(self) -> None:
        self.estimated: list[int] = []
        self.corrected: list[int] = []
        self.words_corrected: list[int] = []
        self.turns_corrected = 0
        self.reordered = 0
        self.overlapping = 0

    def warnings(self) -> list[Notice]:
        """One warning per kind of correction."""
        found = [
            ("times_interpolated", self.estimated, "had no times: the export estimated them"),
            ("times_mended", self.corrected, "had impossible times: the export corrected them"),
            (
                "word_times_mended",
                self.words_corrected,
                "had words out of order: the export corrected their times",
            ),
        ]
        notices = [
            Notice(kind=kind, message=f"{_segments(len(set(which)))}{_first(which)} {what}.")
            for kind, which, what in found
            if which
        ]
        if self.turns_corrected:
            message = (
                f"{self.turns_corrected} turns had impossible times: the export corrected them."
            )
            notices.append(Notice(kind="times_mended", message=message))
        if self.reordered:
            message = "The segments were not in the order of their starts: the export sorted them."
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
    # Negative times become 0 later on, but infinity could not be rounded.
    return round(min(max(seconds, -_FAR_OFF), _FAR_OFF) * 1000)


def _given(seconds: float | None) -> int | None:
    return None if seconds is None else _milliseconds(seconds)


def _segment_times(segments: Sequence[AnySegment], notes: _Notes) -> list[tuple[int, int]]:
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
            notes.estimated += range(i, stop)
            i = stop
        else:
            if start is None or end is None:
                notes.estimated.append(i)
                following = known[i + 1][0] if i + 1 < len(known) else None
                start, end = _complete(start, end, _guess(segments[i]), previous_end, following)
            run = [_correct(start, end, MIN_SEGMENT)]
            if max(abs(run[0][0] - start), abs(run[0][1] - end)) > MIN_SEGMENT:
                notes.corrected.append(i)
            i += 1
        times += run
        previous_end = max(previous_end, run[-1][1])
    return times


def _known_times(segment: AnySegment) -> tuple[int | None, int | None]:
    """The segment's own times, or else those of its words."""
    start, end = _given(segment.start), _given(segment.end)
    words = segment.words or ()
    if start is None:
        start = min((_milliseconds(w.start) for w in words if w.start is not None), default=None)
    if end is None:
        end = max((_milliseconds(w.end) for w in words if w.end is not None), default=None)
    return start, end


def _guess(segment: AnySegment) -> int:
    """Roughly how many milliseconds it takes to say the text."""
    return max(500, READING_PACE * width(clean(segment.text)))


def _anchor(known: tuple[int | None, int | None], segment: AnySegment) -> int:
    """Where a segment begins that has at least one time."""
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


def _spread(segments: Sequence[AnySegment], begin: int, limit: int | None) -> list[tuple[int, int]]:
    """Times from `begin` to `limit`, in proportion to length; at a usual pace without a limit."""
    weights = [_guess(segment) for segment in segments]
    if limit is None:
        limit = begin + sum(weights)
    if limit - begin < MIN_SEGMENT * len(segments):
        # No room: they share the shortest possible time, at the limit.
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


def _correct(start: int, end: int, least: int) -> tuple[int, int]:
    """Make times that are not negative, not reversed and not empty."""
    start, end = max(0, min(start, end)), max(0, start, end)
    return start, max(end, start + (least if end == start else 1))


def _utterance(segment: AnySegment, index: int, start: int, end: int, notes: _Notes) -> Utterance:
    text = clean(segment.text) or _joined(segment.words or ())
    speaker = _speaker(segment.speaker)
    words = None
    if segment.words is not None:
        words = _words(segment.words, text, start, end)
        if _were_moved(segment.words, words):
            notes.words_corrected.append(index)
        said_by = Counter(word.speaker for word in words if word.speaker)
        speaker = speaker or next((name for name, _ in said_by.most_common(1)), None)
    return Utterance(
        start=start,
        end=end,
        text=text,
        raw_text=segment.text,
        speaker=speaker,
        language=segment.language or None,
        words=words,
    )


def _by_speaker(utterance: Utterance) -> list[Utterance]:
    """The utterance, cut where its speaker changes and its text says so."""
    words, text = utterance.words or [], utterance.text
    said = [Said(word.text, word.speaker, word.start / 1000, word.end / 1000) for word in words]
    begun: list[tuple[int, int, str | None]] = []  # first word, place in the text, speaker
    for part in parts(said):
        spans = (word.span for word in words[part.first : part.last])
        place = next((span[0] for span in spans if span), None)
        if not begun:
            begun.append((0, 0, part.speaker))
        elif place is not None and text[begun[-1][1] : place].strip(" "):
            begun.append((part.first, place, part.speaker))
        elif place is not None:  # the text lacks what was said before
            begun[-1] = (*begun[-1][:2], part.speaker)
    if len(begun) < 2:
        return [utterance]
    ends = [*begun[1:], (len(words), len(text), None)]
    made: list[Utterance] = []
    for (first, a, speaker), (last, b, _) in zip(begun, ends, strict=True):
        own = words[first:last]
        start = utterance.start if not made else max(made[-1].start, own[0].start)
        end = utterance.end if last == len(words) else own[-1].end
        a, b = _trimmed(text, a, b)
        made.append(
            Utterance(
                start=start,
                end=max(end, start + MIN_SEGMENT),
                text=text[a:b],
                raw_text=text[a:b],
                speaker=speaker,
                language=utterance.language,
                words=[_moved(word, a, b) for word in own],
            )
        )
    return made


def _trimmed(text: str, a: int, b: int) -> tuple[int, int]:
    """The span without spaces around it."""
    part = text[a:b]
    return a + len(part) - len(part.lstrip(" ")), max(a, b - len(part) + len(part.rstrip(" ")))


def _moved(word: SpokenWord, a: int, b: int) -> SpokenWord:
    """A word of the text that is from `a` to `b` of what it was in."""
    if word.span is None:
        return word
    first, last = (min(max(place, a), b) - a for place in word.span)
    return msgspec.structs.replace(word, span=(first, last) if first < last else None)


def _speaker(name: str | UnsetType | None) -> str | None:
    return clean(name or "") or None


def _joined(words: Sequence[AnyWord]) -> str:
    """Text from words, which have leading spaces (Whisper) or not (whisperX)."""
    texts = [word.word for word in words]
    spaced = any(text[:1].isspace() for text in texts)
    wide = all(is_wide_script(char) for text in texts for char in text)
    return clean(("" if spaced or wide else " ").join(texts))


def _words(words: Sequence[AnyWord], text: str, start: int, end: int) -> list[SpokenWord]:
    spans = locate([clean(word.word) for word in words], text)
    times = _word_times(words, start, end)
    return [
        SpokenWord(
            text=clean(word.word),
            start=times[i][0],
            end=times[i][1],
            timed=word.start is not None or word.end is not None,
            span=spans[i],
            score=_score(word),
            speaker=_speaker(word.speaker),
        )
        for i, word in enumerate(words)
    ]


def _score(word: AnyWord) -> float | None:
    score = word.score if isinstance(word, TranscriptWord) else None
    return word.probability if score is None else score


def _word_times(words: Sequence[AnyWord], start: int, end: int) -> list[tuple[int, int]]:
    """Times in order: each word begins after the previous one has ended.

    Words without times share the time between their neighbours in proportion to their length; the
    first ones begin with the segment, the last ones end with it.
    """
    # Beginnings and ends in turn, each with its place, as the width of the text before it.
    points: list[tuple[int, int | None]] = []
    place = 0
    for word in words:
        known = _given(word.start), _given(word.end)
        if known[0] is not None and known[1] is not None:
            known = _correct(known[0], known[1], MIN_WORD)
        points.append((place, known[0]))
        place += max(1, width(clean(word.word)))
        points.append((place, known[1]))
    first = min((time for _, time in points if time is not None), default=start)
    moments = _interpolated(points, min(start, first), end)
    times: list[tuple[int, int]] = []
    at = 0
    for begin, until in zip(moments[::2], moments[1::2], strict=True):
        begin = max(begin, at)
        at = max(until, begin + MIN_WORD)
        times.append((begin, at))
    return times


def _interpolated(points: Sequence[tuple[int, int | None]], start: int, end: int) -> list[int]:
    """The time of each point; unknown ones lie between known ones, as their places do."""
    total = points[-1][0] if points else 0
    known = [(place, time) for place, time in points if time is not None]
    following = iter([*known, (total, max(end, known[-1][1] if known else start))])
    before, after = (0, start), next(following)
    found: list[int] = []
    for place, time in points:
        if time is not None:
            before, after = (place, time), next(following)
            found.append(time)
            continue
        distance = after[0] - before[0]
        share = max(0, after[1] - before[1])
        found.append(before[1] + (share * (place - before[0]) // distance if distance else 0))
    return found


def _were_moved(given: Sequence[AnyWord], made: Sequence[SpokenWord]) -> bool:
    pairs = [(a.start, b.start) for a, b in zip(given, made, strict=True)]
    pairs += [(a.end, b.end) for a, b in zip(given, made, strict=True)]
    return any(a is not None and abs(_milliseconds(a) - b) > TOLERANCE for a, b in pairs)


def _count_overlaps(utterances: Sequence[Utterance]) -> int:
    ends: dict[str | None, int] = {}
    count = 0
    for utterance in utterances:
        count += utterance.start < ends.get(utterance.speaker, 0) - TOLERANCE
        ends[utterance.speaker] = max(ends.get(utterance.speaker, 0), utterance.end)
    return count


def _turns(turns: Iterable[AnyTurn], notes: _Notes) -> list[SpeakerTurn]:
    made: list[SpeakerTurn] = []
    for turn in turns:
        given = _milliseconds(turn.start), _milliseconds(turn.end)
        start, end = _correct(*given, MIN_WORD)
        notes.turns_corrected += given[0] < 0 or given[0] > given[1]
        made.append(SpeakerTurn(start=start, end=end, speaker=clean(turn.speaker)))
    return sorted(made, key=lambda turn: turn.start)


def _silences(spans: Iterable[TimeSpan]) -> list[tuple[int, int]]:
    """In milliseconds, in order, those that touch as one."""
    made: list[tuple[int, int]] = []
    for start, end in sorted(
        (_milliseconds(span.start), _milliseconds(span.end)) for span in spans
    ):
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(made[-1][1], end)
        elif start < end:
            made.append((start, end))
    return made
