"""Scores a transcript against the truth, by errors that a viewer of captions would notice.

Words of both sides are normalised, then aligned by the fewest edits, where words that are far apart
in time cost a little more: of equal words, those at the same place belong together. A wrong word in
the middle of a true silence was invented; speech whose words are mostly missing was lost.

    score(truth, result)   # of one composed recording; `result` is {"language", "segments"}
    total(scores)          # of several recordings
    word_errors(reference, hypothesis, language)  # of a short recording
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.real.truth import GROUPS, Truth, Utterance

__all__ = ["GROUPS", "Score", "Total", "character_errors", "score", "total", "word_errors", "words"]

_ONE_BY_ONE: Final = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3])")
"""Characters that count as words: kana, Chinese characters, Hangul."""
_FAR: Final = 60.0  # seconds: the largest distance of aligned words
_PER_SECOND: Final = 0.004  # cost of a second of distance, in edits
_MARGIN: Final = 0.5  # seconds at an edge of silence that may still be speech
_LONG_SILENCE: Final = 2.0  # seconds
_LOST_SHARE: Final = 0.5  # of an utterance's words

_Operation = tuple[int | None, int | None]
"""Positions in reference and hypothesis; None without a counterpart."""


@dataclasses.dataclass(frozen=True)
class Score:
    """Counts of words, unless stated otherwise."""

    reference: int
    written: int
    substitutions: int
    deletions: int
    insertions: int
    invented: int
    """Wrong or additional words in the middle of silence."""
    mistimed: int
    """Correct words placed in the middle of silence."""
    silence: float
    """Seconds without speech."""
    speech: float
    """Seconds of speech."""
    lost: float
    """Seconds of speech whose words are missing."""
    lost_utterances: tuple[str, ...]
    """Ids of the lost utterances."""
    starts: tuple[float, ...]
    """For each recognised utterance, seconds by which it is shown too late."""
    captions: int
    """Segments that span more than 2 s of silence."""
    caption_seconds: float
    """Seconds of silence that they span."""
    loops: int
    """Repetitions of the same words, four times or more."""
    language: str | None

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions


@dataclasses.dataclass(frozen=True)
class Total:
    """The score of several recordings; None if a divisor is 0."""

    recordings: int
    wer: float | None
    """Percent."""
    insertions: int
    invented: float
    """Words per minute of silence."""
    mistimed: int
    lost: float
    """Seconds."""
    speech: float
    """Seconds."""
    captions: int
    caption_seconds: float
    start_p50: float | None
    """Seconds; percentile of the errors' sizes."""
    start_p95: float | None
    loops: int


def score(truth: Truth, result: Mapping[str, Any]) -> Score:
    """Compare a transcript, whose segments have `start`, `end` and `text`, with the truth."""
    segments: Sequence[Mapping[str, Any]] = result["segments"]
    said = _Words()
    for number, utterance in enumerate(truth.utterances):
        spoken = words(utterance.text, utterance.language)
        said.add(spoken, number, utterance.start, utterance.end)
    heard = _Words()
    for number, segment in enumerate(segments):
        spoken = words(segment["text"], _language(truth, segment))
        heard.add(spoken, number, segment["start"], segment["end"])
    operations = _align(said.words, heard.words, said.times, heard.times)
    pairs = [(a, b) for a, b in operations if a is not None and b is not None]
    # From the recognised word to the spoken one.
    right = {b: a for a, b in pairs if said.words[a] == heard.words[b]}

    silences, speech = _silences(truth)
    amid = [_amid(time, silences, truth.duration) for time in heard.times]
    lost = _lost(truth.utterances, said, operations)
    captions = _captions(segments, silences)
    return Score(
        reference=len(said.words),
        written=len(heard.words),
        substitutions=len(pairs) - len(right),
        deletions=sum(b is None for _, b in operations),
        insertions=sum(a is None for a, _ in operations),
        invented=sum(amid[b] for b in range(len(amid)) if b not in right),
        mistimed=sum(amid[b] for b in right),
        silence=sum(end - start for start, end in silences),
        speech=speech,
        lost=sum(lost.values()),
        lost_utterances=tuple(truth.utterances[number].id for number in lost),
        starts=tuple(_starts(truth.utterances, segments, said, heard, right)),
        captions=len(captions),
        caption_seconds=sum(captions),
        loops=_loops(heard.words),
        language=result.get("language"),
    )


def total(scores: Iterable[Score]) -> Total:
    """Add up scores."""
    each = list(scores)
    reference = sum(one.reference for one in each)
    silence = sum(one.silence for one in each)
    starts = np.abs([late for one in each for late in one.starts])
    p50, p95 = (float(np.percentile(starts, p)) if len(starts) else None for p in (50, 95))
    return Total(
        recordings=len(each),
        wer=100 * sum(one.errors for one in each) / reference if reference else None,
        insertions=sum(one.insertions for one in each),
        invented=60 * sum(one.invented for one in each) / silence if silence else 0.0,
        mistimed=sum(one.mistimed for one in each),
        lost=sum(one.lost for one in each),
        speech=sum(one.speech for one in each),
        captions=sum(one.captions for one in each),
        caption_seconds=sum(one.caption_seconds for one in each),
        start_p50=p50,
        start_p95=p95,
        loops=sum(one.loops for one in each),
    )


def word_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Word edits between the normalised texts, and the number of words in the reference."""
    said, heard = words(reference, language), words(hypothesis, language)
    return _errors(said, heard), len(said)


def character_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """The same with characters, without spaces."""
    said, heard = ("".join(words(text, language)) for text in (reference, hypothesis))
    return _errors(said, heard), len(said)


def right_words(
    reference: str, segments: Sequence[Mapping[str, Any]], language: str
) -> list[tuple[list[bool], Mapping[str, Any]]]:
    """Of each segment with words, whether each of them is right."""
    heard = [words(segment["text"], language) for segment in segments]
    said = words(reference, language)
    flat = [word for each in heard for word in each]
    right = [False] * len(flat)
    for a, b in _align(said, flat, None, None):
        if a is not None and b is not None:
            right[b] = said[a] == flat[b]
    found = []
    place = 0
    for own, segment in zip(heard, segments, strict=True):
        if own:
            found.append((right[place : place + len(own)], segment))
        place += len(own)
    return found


def words(text: str, language: str) -> list[str]:
    """The words of a text, normalised as by Whisper's authors; English digits one by one.

    Where there are no spaces between words, each character is one. Traditional and simplified
    Chinese are not the same here.
    """
    text = re.sub(r"[()（）\[\]]", " ", text)
    if language == "en":
        text = _normalizer("en")(text)
        text = re.sub(r"\b(oh|o)\b(?= ?\d)|(?<=\d )(oh|o)\b", "0", text)
        text = re.sub(r"(\d)", r" \1 ", re.sub(r"\bone\b", "1", text))
    else:
        text = _normalizer("other")(text)
    if language == "ko":
        text = text.replace(" ", "")  # writers place spaces differently
    return _ONE_BY_ONE.sub(r" \1 ", text).split()


@functools.cache
def _normalizer(kind: str) -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalizer: Callable[[str], str]
    normalizer = EnglishTextNormalizer() if kind == "en" else BasicTextNormalizer()
    return normalizer


class _Words:
    """Words with their source, each with an equal share of its utterance or segment."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.sources: list[int] = []
        self.times: list[float] = []
        self.first: list[bool] = []
        """Whether it is the first word of its source."""

    def add(self, spoken: Sequence[str], source: int, start: float, end: float) -> None:
        self.words += spoken
        self.sources += [source] * len(spoken)
        count = len(spoken)
        self.times += [start + (place + 0.5) / count * (end - start) for place in range(count)]
        self.first += [place == 0 for place in range(count)]


def _language(truth: Truth, segment: Mapping[str, Any]) -> str:
    """The language of the utterance that a segment belongs to."""
    if not truth.several_languages or not truth.utterances:
        return "en"
    shared = [min(u.end, segment["end"]) - max(u.start, segment["start"]) for u in truth.utterances]
    return truth.utterances[shared.index(max(shared))].language


def _errors(said: Sequence[str], heard: Sequence[str]) -> int:
    return sum(
        a is None or b is None or said[a] != heard[b] for a, b in _align(said, heard, None, None)
    )


def _align(
    said: Sequence[str],
    heard: Sequence[str],
    said_at: Sequence[float] | None,
    heard_at: Sequence[float] | None,
) -> list[_Operation]:
    """The cheapest edits; on a tie, prefers a pair, then a deletion, then an insertion."""
    cost = [float(number) for number in range(len(heard) + 1)]
    steps = [[(0, 1)] * (len(heard) + 1)]
    for i, word in enumerate(said):
        before, cost = cost, [i + 1.0]
        row = [(1, 0)]
        for j, other in enumerate(heard):
            pair = 0.0 if word == other else 1.0
            if said_at is not None and heard_at is not None:
                pair += min(abs(heard_at[j] - said_at[i]), _FAR) * _PER_SECOND
            pair += before[j]
            deletion, insertion = before[j + 1] + 1, cost[j] + 1
            least = min(pair, deletion, insertion)
            row.append((1, 1) if least == pair else (1, 0) if least == deletion else (0, 1))
            cost.append(least)
        steps.append(row)
    operations: list[_Operation] = []
    i, j = len(said), len(heard)
    while i or j:
        down, right = steps[i][j]
        i, j = i - down, j - right
        operations.append((i if down else None, j if right else None))
    return operations[::-1]


def _silences(truth: Truth) -> tuple[list[tuple[float, float]], float]:
    """The silences, and the seconds of speech."""
    silences: list[tuple[float, float]] = []
    speech = end = 0.0
    for start, stop in sorted((u.start, u.end) for u in truth.utterances):
        if start > end:
            silences.append((end, start))
        speech += max(0.0, stop - max(start, end))
        end = max(end, stop)
    if truth.duration > end:
        silences.append((end, truth.duration))
    return silences, speech


def _amid(time: float, silences: Sequence[tuple[float, float]], duration: float) -> bool:
    """Whether a time and its surroundings are silent; times past the end are."""
    return any(
        (start == 0 or time > start + _MARGIN) and (end == duration or time < end - _MARGIN)
        for start, end in silences
    )


def _lost(
    utterances: Sequence[Utterance], said: _Words, operations: Sequence[_Operation]
) -> dict[int, float]:
    """The utterances that lack at least half of their words, and their seconds."""
    missing = Counter(said.sources[a] for a, b in operations if a is not None and b is None)
    spoken = Counter(said.sources)
    shares = {number: count / spoken[number] for number, count in sorted(missing.items())}
    return {
        number: share * (utterances[number].end - utterances[number].start)
        for number, share in shares.items()
        if share >= _LOST_SHARE
    }


def _starts(
    utterances: Sequence[Utterance],
    segments: Sequence[Mapping[str, Any]],
    said: _Words,
    heard: _Words,
    right: Mapping[int, int],
) -> Iterable[float]:
    """How late the first correct word of each utterance is."""
    firsts: dict[int, int] = {}
    for b, a in sorted(right.items(), key=lambda pair: pair[1]):
        firsts.setdefault(said.sources[a], b)
    for number, b in sorted(firsts.items()):
        shown = segments[heard.sources[b]]["start"] if heard.first[b] else heard.times[b]
        yield shown - utterances[number].start


def _captions(
    segments: Sequence[Mapping[str, Any]], silences: Sequence[tuple[float, float]]
) -> list[float]:
    """For each segment that spans silence, the seconds of it."""
    found: list[float] = []
    for segment in segments:
        shares = [
            min(end, segment["end"]) - max(start, segment["start"]) for start, end in silences
        ]
        across = [share for share in shares if share > _LONG_SILENCE]
        if across and segment["text"].strip():
            found.append(sum(across))
    return found


def _loops(written: Sequence[str]) -> int:
    """Repetitions of the same one to eight words, at least four times and six words."""
    count = place = 0
    while place < len(written):
        for length in range(1, 9):
            unit = written[place : place + length]
            times = 1
            while written[place + times * length : place + (times + 1) * length] == unit:
                times += 1
            if times >= 4 and times * length >= 6:
                count += 1
                place += times * length - 1
                break
        place += 1
    return count
