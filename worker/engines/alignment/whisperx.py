"""whisperx's own aligner, one segment at a time, for results equal to the package's.

Its sentence splitter would make nltk download data. We replace it with one that needs no data and
splits sentences less well, which does not change the words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from worker.engines.alignment.model import AlignmentModel
from worker.engines.alignment.text import WordAlignment

if TYPE_CHECKING:
    from worker.audio import Samples


def writes_spaces(language: str) -> bool:
    """Whether whisperx splits words of the language at spaces."""
    from whisperx.alignment import LANGUAGES_WITHOUT_SPACES

    return language not in LANGUAGES_WITHOUT_SPACES


def align(
    model: AlignmentModel,
    language: str,
    samples: Samples,
    text: str,
    words: Sequence[WordAlignment],
    start: float,
    end: float,
    interpolation: str,
) -> bool:
    """Set the times of the words of `text`, said from `start` to `end` in seconds of `samples`.

    Returns whether it aligned any word.
    """
    import numpy as np
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from whisperx import alignment

    splitter = PunktSentenceTokenizer()
    alignment.nltk_load = lambda _: splitter
    result = alignment.align(
        # whisperx splits words only at plain spaces, not at newlines or no-break spaces.
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


def _take_words(words: Sequence[WordAlignment], found: Sequence[dict[str, Any]]) -> None:
    """Copy times and scores; whisperx's words equal ours unless a sentence ends within one."""
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


def _take_characters(words: Sequence[WordAlignment], found: Sequence[dict[str, Any]]) -> None:
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
    """Convert numpy's numbers to Python's."""
    return None if value is None else float(value)
