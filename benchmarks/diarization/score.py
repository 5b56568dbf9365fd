"""Errors of diarization: pyannote.metrics' rates, and the speakers of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.diarization.material import Recording, Turn

COLLARS: Final = (0.0, 0.25)
"""Seconds before and after each boundary of the truth that are not counted."""


class Score(NamedTuple):
    """The errors in some recordings together."""

    rates: tuple[float, ...]
    """The diarization error rate in percent with each of `COLLARS`, overlap counted."""
    counts: tuple[tuple[int, int], ...]
    """Speakers found, and speakers in truth, of each recording."""


def score(pairs: Sequence[tuple[Recording, Sequence[Turn]]]) -> Score:
    """Score turns against recordings' truth."""
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    rates = []
    for collar in COLLARS:
        rate = DiarizationErrorRate(collar=2 * collar)  # of both sides together
        for recording, turns in pairs:
            whole = Timeline([Segment(0, recording.seconds)])
            rate(_annotation(recording.turns), _annotation(turns), uem=whole)
        rates.append(100 * abs(rate))
    counts = ((_speakers(turns), _speakers(recording.turns)) for recording, turns in pairs)
    return Score(tuple(rates), tuple(counts))


def word_speakers(stm: Path, segments: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """How many words have the right speaker, and how many words were matched to the truth.

    `stm` tells who says what; the recognised words are matched to it in order. Each speaker of the
    truth is the speaker found most often at their words.
    """
    said = [
        (_plain(word), fields[2])
        for line in stm.read_text("utf-8").splitlines()
        for fields in [line.split(maxsplit=5)]
        for word in fields[5].split()
        if _plain(word)
    ]
    heard = [
        (_plain(word["word"]), word.get("speaker"))
        for segment in segments
        for word in segment.get("words", ())
        if _plain(word["word"])
    ]
    matcher = SequenceMatcher(
        None, [word for word, _ in said], [word for word, _ in heard], autojunk=False
    )
    pairs = Counter(
        (said[block.a + number][1], heard[block.b + number][1])
        for block in matcher.get_matching_blocks()
        for number in range(block.size)
    )
    right = 0
    taken: set[Any] = set()
    for (speaker, found), _ in pairs.most_common():
        if speaker not in taken and found not in taken:
            taken |= {speaker, found}
            right += pairs[speaker, found]
    return right, sum(pairs.values())


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def _speakers(turns: Sequence[Turn]) -> int:
    return len({turn.speaker for turn in turns})


def _annotation(turns: Sequence[Turn]) -> Any:
    from pyannote.core import Annotation, Segment

    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start, turn.end), number] = turn.speaker
    return found
