"""Measures of what was recognised against what was said."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Words inserted, deleted or replaced (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            previous, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, previous + (wanted != got)),
            )
    return row[-1]


def diarization_error(
    reference: Sequence[dict[str, Any]], hypothesis: Sequence[dict[str, Any]]
) -> tuple[float, float]:
    """Seconds that are missed, false or of the wrong speaker, and seconds of speech.

    NIST's diarization error rate is their ratio: no collar, overlap counted, speakers matched one
    to one so that the fewest seconds are wrong. In steps of 10 ms.
    """
    step = 0.01
    end = max(turn["end"] for turn in [*reference, *hypothesis])
    spoken, found = (_activity(turns, end, step) for turns in (reference, hypothesis))
    names, others = list(spoken), list(found)
    shared = {(a, b): float((spoken[a] & found[b]).sum()) for a in names for b in others}
    size = max(len(names), len(others))
    names += [None] * (size - len(names))
    best = max(
        sum(shared.get(pair, 0.0) for pair in zip(order, others, strict=False))
        for order in permutations(names, min(size, len(others)) if others else 0)
    )
    said = sum(each.astype(int) for each in spoken.values())
    heard = sum((each.astype(int) for each in found.values()), np.zeros_like(said))
    wrong = float(np.maximum(said, heard).sum()) - best
    return wrong * step, float(said.sum()) * step


def _activity(
    turns: Sequence[dict[str, Any]], end: float, step: float
) -> dict[str | None, npt.NDArray[np.bool_]]:
    """Who speaks in each step."""
    found: dict[str | None, npt.NDArray[np.bool_]] = {}
    for turn in turns:
        steps = found.setdefault(turn["speaker"], np.zeros(round(end / step) + 1, bool))
        steps[round(turn["start"] / step) : round(turn["end"] / step)] = True
    return found
