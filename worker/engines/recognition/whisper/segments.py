"""From words with times to segments that can be trusted.

Words where nobody speaks are dropped, and so are loops of the decoder. Segments end with sentences
and at pauses of more than 0.7 s; the first and last word give a segment its times.

All times are seconds from the start of the piece of the recording that is being worked on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from worker.engines.recognition.whisper.windows import Stretch
from worker.engines.recognition.whisper.word_times import TimedWord

_NEAR: Final = 0.5  # seconds from speech within which a word belongs to it
_LEAST: Final = 0.05  # seconds of a word that is moved into speech

_SENTENCE_ENDS: Final = ".?!。？！…।؟"
_CLAUSE_ENDS: Final = ",;:、，；：،"
_QUOTES: Final = "\"'”’»)]}」』"
_ABBREVIATIONS: Final = frozenset(
    (
        *("mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "jr.", "sr.", "vs.", "etc.", "e.g.", "i.e."),
        *("no.", "nr.", "z.b.", "d.h.", "bzw.", "ca.", "m.", "mme.", "sra."),
    )
)
_REST: Final = 0.7  # seconds of pause that end a segment even within a sentence
_BREATH: Final = 0.2  # seconds of pause after which a short sentence is a segment of its own
_SENTENCE: Final = 1.0  # seconds after which one is in any case
_LONGEST: Final = 12.0  # seconds of a segment that has a place to cut

_SHORTEST_LOOP: Final = 4  # times that a phrase is said at least in a loop
_LONGEST_PHRASE: Final = 12  # words of it
_WORD: Final = 0.12  # seconds that a word of it takes at least if it is really said
_LETTER: Final = 0.05  # and each of its letters


def keep_spoken(
    words: Iterable[TimedWord], speech: Sequence[Stretch]
) -> tuple[list[TimedWord], list[TimedWord]]:
    """The words that are said, moved into `speech` where they reach beyond it, and the others."""
    ends = [stretch.end for stretch in speech]
    kept, dropped = [], []
    for word in words:
        first = bisect_left(ends, word.start)
        near = speech[max(0, first - 1) : first + 2]
        stretch = max(near, key=lambda each: _overlap(word, each), default=None)
        if stretch is None or _overlap(word, stretch) < -_NEAR:
            dropped.append(word)
            continue
        last = max(near, key=lambda each: (_overlap(word, each) > 0, each.end))
        start = min(max(word.start, stretch.start), stretch.end - _LEAST)
        end = max(min(word.end, max(stretch.end, last.end)), start + _LEAST)
        kept.append(word._replace(start=start, end=end))
    return kept, dropped


def without_loops(
    words: Sequence[TimedWord], failed: bool
) -> tuple[list[TimedWord], list[TimedWord]]:
    """The words without repetitions that nobody can say, and those repetitions.

    A phrase is a loop if it is said four times in a row faster than anybody speaks, or if the
    thresholds call the text repetitive (`failed`); its first time is kept.
    """
    folded = [word.word.strip(f" {_SENTENCE_ENDS}{_CLAUSE_ENDS}").casefold() for word in words]
    kept: list[TimedWord] = []
    dropped: list[TimedWord] = []
    place = 0
    while place < len(words):
        for size in range(1, min(_LONGEST_PHRASE, (len(words) - place) // _SHORTEST_LOOP) + 1):
            stop = place + size
            while folded[stop : stop + size] == folded[place : place + size]:
                stop += size
            count = (stop - place) // size
            said = sum(max(_WORD, _LETTER * len(word)) for word in folded[place:stop])
            fast = words[stop - 1].end - words[place].start < said
            if count >= _SHORTEST_LOOP and (failed or fast):
                kept += words[place : place + size]
                dropped += words[place + size : stop]
                place = stop
                break
        else:
            kept.append(words[place])
            place += 1
    return kept, dropped


def sentences(words: Sequence[TimedWord]) -> list[list[TimedWord]]:
    """The words of each segment."""
    found: list[list[TimedWord]] = []
    for word in words:
        if found and not breaks(found[-1], word):
            found[-1].append(word)
        else:
            found.append([word])
    return [part for segment in found for part in _short_enough(segment)]


def text_of(words: Iterable[TimedWord]) -> str:
    """The words, joined."""
    return "".join(word.word for word in words)


def breaks(segment: Sequence[TimedWord], following: TimedWord) -> bool:
    """Whether a segment ends before a word."""
    last = segment[-1]
    pause = following.start - last.end
    if pause > _REST:
        return True
    if not _ends(last, _SENTENCE_ENDS) or last.word.strip().casefold() in _ABBREVIATIONS:
        return False
    begins = following.word.strip()
    if begins[:1].islower():
        return False
    return pause > _BREATH or last.end - segment[0].start > _SENTENCE


def ends_clause(word: TimedWord) -> bool:
    """Whether a comma or the like follows a word."""
    return _ends(word, _CLAUSE_ENDS)


def _short_enough(segment: list[TimedWord]) -> list[list[TimedWord]]:
    """Cut a segment that is too long at its best pauses and commas, if it has any."""
    if segment[-1].end - segment[0].start <= _LONGEST or len(segment) == 1:
        return [segment]

    def worth(k: int) -> float:
        before, after = segment[k - 1], segment[k]
        pause = max(0.0, after.start - before.end) + 0.3 * ends_clause(before) + 0.01
        return pause * min(after.start - segment[0].start, segment[-1].end - before.end)

    cut = max(range(1, len(segment)), key=worth)
    return _short_enough(segment[:cut]) + _short_enough(segment[cut:])


def _ends(word: TimedWord, marks: str) -> bool:
    return word.word.strip().rstrip(_QUOTES)[-1:] in (*marks,)


def _overlap(word: TimedWord, stretch: Stretch) -> float:
    """Seconds that a word and speech share; if none, the distance between them, negative."""
    return min(word.end, stretch.end) - max(word.start, stretch.start)
