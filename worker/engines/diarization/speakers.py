"""Who speaks when: the turns of numbered speakers, and what a pipeline returns in that form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


class NumberedTurn(msgspec.Struct, array_like=True, frozen=True):
    """A turn, in seconds of the file."""

    start: float
    end: float
    speaker: int


class Speakers(msgspec.Struct, frozen=True):
    """The speakers of a recording; checkpoints keep it as JSON."""

    turns: list[NumberedTurn]
    exclusive_turns: list[NumberedTurn]
    embeddings: list[list[float] | None]
    """By the speakers' numbers; None without enough speech, or without a model to compute it."""


def read_output(output: Any, offset: float) -> Speakers:
    """Convert a pipeline's output; the recording begins `offset` seconds into the file."""
    # Pipelines for version 3 return only the turns.
    diarization = getattr(output, "speaker_diarization", output)
    exclusive = getattr(output, "exclusive_speaker_diarization", None)
    numbers = {label: number for number, label in enumerate(diarization.labels())}
    turns = _turns(diarization, numbers, offset)
    vectors = getattr(output, "speaker_embeddings", None)
    return Speakers(
        turns=turns,
        exclusive_turns=(
            _without_overlap(turns) if exclusive is None else _turns(exclusive, numbers, offset)
        ),
        embeddings=[None] * len(numbers) if vectors is None else list(map(usable, vectors)),
    )


def usable(vector: Iterable[Any]) -> list[float] | None:
    """An embedding as numbers; None if it is zero or not finite, which stands for none."""
    numbers = [float(number) for number in vector]
    return numbers if all(map(math.isfinite, numbers)) and any(numbers) else None


def _turns(diarization: Any, numbers: dict[Any, int], offset: float) -> list[NumberedTurn]:
    return [
        NumberedTurn(
            round(segment.start + offset, 3), round(segment.end + offset, 3), numbers[label]
        )
        for segment, _, label in sorted(diarization.itertracks(yield_label=True), key=_times)
    ]


def _times(track: tuple[Any, Any, Any]) -> tuple[float, float]:
    return track[0].start, track[0].end


def _without_overlap(turns: Sequence[NumberedTurn]) -> list[NumberedTurn]:
    """Keep one speaker at a time: a turn that begins during another starts when that one ends."""
    found: list[NumberedTurn] = []
    for turn in turns:
        start = max(turn.start, found[-1].end) if found else turn.start
        if turn.end > start:
            found.append(NumberedTurn(start, turn.end, turn.speaker))
    return found
