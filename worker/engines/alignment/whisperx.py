"""whisperx's own aligner, for whoever wants just its numbers.

One segment at a time, as the package does it. Its sentence splitter needs data that nltk would
fetch; one without that data stands in for it, which splits sentences less well and words not at
all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from worker.engines.alignment.model import AlignmentModel
from worker.engines.alignment.text import TimedWord

if TYPE_CHECKING:
    from worker.audio import Samples


def writes_spaces(language: str) -> bool:
    """Whether whisperx takes spaces for what parts the words of a language."""
    from whisperx.alignment import LANGUAGES_WITHOUT_SPACES

    return language not in LANGUAGES_WITHOUT_SPACES


def align(
    model: AlignmentModel,
    language: str,
    samples: Samples,
    text: str,
    words: Sequence[TimedWord],
    start: float,
    end: float,
    interpolation: str,
) -> bool:
    """Set the times of the words of `text`, said between two times in seconds of `samples`.

    Returns whether any word could be aligned.
    """
    import numpy as np
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from whisperx import alignment

    splitter = PunktSentenceTokenizer()
    alignment.nltk_load = lambda _: splitter
    result = alignment.align(
        # A line's end, or a space that does not break, would not part words for it.
        [{"start": start, "end": end, "text": re.sub(r"\s", " ", text.strip())}],
        model.model,
        {"language": language, "dictionary": model.dictionary, "type": model.kind},
        np.asarray(samples).copy() if not samples.flags.writeable else samples,
        str(model.device),
        interpolate_method=interpolation,
        return_char_alignments=True,
    )
    found = [word for segment in result["segments"] for word in segment["words"]]
    chars = [char for segment in result["segments"] for char in segment.get("chars") or ()]
    _take_words(words, found)
    _take_characters(words, [char for char in chars if not char["char"].isspace()])
    return any(word.start is not None for word in words)


def _take_words(words: Sequence[TimedWord], found: Sequence[dict[str, Any]]) -> None:
    """Times and scores; whisperx's words are ours, unless a sentence ends within one."""
    place = 0
    for word in words:
        text = word.text.strip()
        at = next((at for at in range(place, len(found)) if found[at]["word"] == text), None)
        if at is None:
            continue
        match, place = found[at], at + 1
        if "start" in match and "end" in match:
            word.start, word.end = float(match["start"]), float(match["end"])
        word.score = _number(match.get("score"))


def _take_characters(words: Sequence[TimedWord], found: Sequence[dict[str, Any]]) -> None:
    waiting = iter(found)
    for word in words:
        for place, char in enumerate(word.text):
            if char.isspace():
                continue
            match = next(waiting, None)
            if match is None or match["char"] != char:
                return
            word.starts[place] = _number(match.get("start"))
            word.ends[place] = _number(match.get("end"))
            word.scores[place] = _number(match.get("score"))


def _number(value: Any) -> float | None:
    """numpy's as Python's."""
    return None if value is None else float(value)
