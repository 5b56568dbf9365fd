"""When each word came, and what became of it, against the words of the same model offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final

from benchmarks.live.simulate import Run
from worker.engines.recognition.live.events import LiveSegment, LiveWord, Speech

_NEAR: Final = 1.0
"""Seconds within which two words may be the same."""


@dataclass
class Delays:
    """Seconds, one of each word or utterance."""

    commit: list[float] = field(default_factory=list)
    """From the end of a word to when it became final."""
    shown: list[float] = field(default_factory=list)
    """The same until it was first shown."""
    ended: list[float] = field(default_factory=list)
    """From the end of the voice to when its last word was final."""
    erased: int = 0
    """Interim words that did not stay."""
    revised: int = 0
    """Final words that did not stay: there must be none."""
    words: int = 0

    def __iadd__(self, other: Delays) -> Delays:
        for name in ("commit", "shown", "ended", "erased", "revised", "words"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def delays(run: Run, offline: Sequence[dict[str, Any]]) -> Delays:
    """Of the words that are also in `offline`, with its times, which are the more precise ones."""
    found = Delays(words=len(run.words))
    committed, shown = _moments(run)
    words = run.words
    ours, theirs = [fold(word.word) for word in words], [fold(word["word"]) for word in offline]
    for a, b, size in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for i, k in zip(range(a, a + size), range(b, b + size), strict=True):
            if abs(words[i].end - offline[k]["end"]) < _NEAR:
                found.commit.append(committed[i] - offline[k]["end"])
                first = min((t for t, w in shown.get(ours[i], []) if _is_same(w, words[i])))
                found.shown.append(first - offline[k]["end"])
    found.ended = list(_ends(run))
    found.erased, found.revised = _lost(run)
    return found


def fold(word: str) -> str:
    """A word without case and punctuation."""
    return "".join(filter(str.isalnum, word)).casefold()


def _is_same(one: LiveWord, other: LiveWord) -> bool:
    return abs(one.start - other.start) < _NEAR or one.final


def _moments(run: Run) -> tuple[list[float], dict[str, list[tuple[float, LiveWord]]]]:
    """When each word became final; and at which times, and where, each text was shown."""
    committed: list[float] = []
    counts: dict[int, int] = {}
    shown: dict[str, list[tuple[float, LiveWord]]] = {}
    for told in run.told:
        if isinstance(told.event, LiveSegment):
            final = sum(word.final for word in told.event.words)
            committed += [told.at] * (final - counts.get(told.event.id, 0))
            counts[told.event.id] = final
            for word in told.event.words:
                shown.setdefault(fold(word.word), []).append((told.at, word))
    return committed, shown


def _ends(run: Run) -> Iterator[float]:
    """For each end of speech, seconds until its segment was final."""
    for place, told in enumerate(run.told):
        if isinstance(told.event, Speech) and told.event.change == "ended":
            finals = [
                other.at
                for other in run.told[place:]
                if isinstance(other.event, LiveSegment)
                and other.event.final
                and other.event.start <= told.event.at
            ]
            yield from (at - told.event.at for at in finals[:1])


def _lost(run: Run) -> tuple[int, int]:
    """How many shown words did not stay: of those that were not final, and of those that were."""
    erased = revised = 0
    open_: list[LiveWord] = []
    final: dict[int, tuple[LiveWord, ...]] = {}
    for told in run.told:
        segment = told.event
        if not isinstance(segment, LiveSegment):
            continue
        before = final.get(segment.id, ())
        now = tuple(word for word in segment.words if word.final)
        revised += sum(k >= len(now) or now[k] != word for k, word in enumerate(before))
        final[segment.id] = now
        fresh = [*now[len(before) :], *(word for word in segment.words if not word.final)]
        same = 0
        for old, new in zip(open_, fresh, strict=False):
            if fold(old.word) != fold(new.word):
                break
            same += 1
        if segment.final and same == len(fresh):
            open_ = open_[same:]  # the rest may be in the next segment
        else:
            erased += len(open_) - same
            open_ = [word for word in segment.words if not word.final]
    return erased + len(open_), revised
