"""Speech that got no text. Whisper skips sentences; nothing else would tell.

Word times say which speech has text, and they may be off: where decoding again yields only words
that are there already, nothing was missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

from worker.engines.recognition.whisper.windows import Stretch, groups
from worker.engines.recognition.whisper.word_times import TimedWord

_SHORTEST: Final = 0.4  # seconds of speech that must have text
_SHARE: Final = 0.3  # of its seconds
_AROUND: Final = 0.1  # seconds that a word covers before and after itself
_FAR: Final = 3.0  # seconds by which word times may be off
_SAME: Final = 0.6  # share of the words
_NEAR: Final = 0.5  # seconds within which stretches without text are decoded again together


def without_text(
    speech: Sequence[Stretch], words: Sequence[TimedWord]
) -> list[tuple[Stretch, ...]]:
    """The stretches of `speech` that `words` do not cover, neighbours together. Seconds."""
    missing = [
        stretch
        for stretch in speech
        if stretch.seconds >= _SHORTEST and _covered(stretch, words) < _SHARE * stretch.seconds
    ]
    return groups(missing, _NEAR)


def are_there(words: Sequence[TimedWord], among: Sequence[TimedWord]) -> bool:
    """Whether most of `words`, which were decoded later, are among others at about that time."""
    near = [
        _folded(word)
        for word in among
        if words[0].start - _FAR < word.start and word.end < words[-1].end + _FAR
    ]
    wanted = [_folded(word) for word in words]
    same = SequenceMatcher(None, near, wanted, autojunk=False).find_longest_match().size
    return same >= _SAME * len(wanted)


def _folded(word: TimedWord) -> str:
    return "".join(filter(str.isalnum, word.word)).casefold()


def _covered(stretch: Stretch, words: Sequence[TimedWord]) -> float:
    return sum(
        max(0.0, min(stretch.end, word.end + _AROUND) - max(stretch.start, word.start - _AROUND))
        for word in words
    )
