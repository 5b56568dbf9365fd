"""Who speaks in one piece of a recording: reads a pyannote.audio pipeline's output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from worker.engines.common.recording import Piece

_ENOUGH: Final = 30
"""Seconds of speech to compute an embedding from, at most."""


class NumberedTurn(msgspec.Struct, array_like=True, frozen=True):
    """A turn, in seconds of the file; the speaker is a number, at first the piece's own."""

    start: float
    end: float
    speaker: int


class Voice(msgspec.Struct, frozen=True):
    """A speaker of a piece."""

    seconds: float
    """Seconds of speech without overlap."""
    embedding: list[float] | None = None
    """None without enough speech, or without a model to compute it."""


class PieceSpeakers(msgspec.Struct, frozen=True):
    """The turns and voices of a piece; checkpoints keep it as JSON."""

    start: float
    end: float
    turns: list[NumberedTurn]
    exclusive_turns: list[NumberedTurn]
    voices: list[Voice]
    """Indexed by the speakers' numbers."""


def read_output(output: Any, piece: Piece, offset: float) -> PieceSpeakers:
    """Convert a pipeline's output; the recording begins `offset` seconds into the file."""
    # Pipelines for version 3, and pipelines of other kinds, return only the turns.
    diarization = getattr(output, "speaker_diarization", output)
    exclusive = getattr(output, "exclusive_speaker_diarization", None)
    numbers = {label: number for number, label in enumerate(diarization.labels())}
    start = piece.offset + offset
    end = start + piece.duration
    # The last window may extend beyond the samples: turns there belong to the next piece.
    latest = math.inf if piece.last else end
    turns = _turns(diarization, numbers, start, latest)
    exclusive_turns = (
        _turns(exclusive, numbers, start, latest)
        if exclusive is not None
        else _without_overlap(turns)
    )
    seconds = [0.0] * len(numbers)
    for turn in exclusive_turns:
        seconds[turn.speaker] += turn.end - turn.start
    vectors = getattr(output, "speaker_embeddings", None)
    embeddings = [None] * len(numbers) if vectors is None else [_usable(each) for each in vectors]
    return PieceSpeakers(
        start=start,
        end=end,
        turns=turns,
        exclusive_turns=exclusive_turns,
        voices=[
            Voice(seconds=each, embedding=embedding)
            for each, embedding in zip(seconds, embeddings, strict=True)
        ],
    )


def complete_voices(found: PieceSpeakers, piece: Piece, model: Any) -> PieceSpeakers:
    """Compute the embeddings that a pipeline does not return, with its own embedding model.

    Only speech without overlap goes into them.
    """
    if model is None:
        return found
    voices = [
        Voice(seconds=voice.seconds, embedding=_embed(found, piece, number, model))
        if voice.embedding is None
        else voice
        for number, voice in enumerate(found.voices)
    ]
    return msgspec.structs.replace(found, voices=voices)


def _embed(found: PieceSpeakers, piece: Piece, speaker: int, model: Any) -> list[float] | None:
    import numpy as np
    import torch

    spoken = [
        piece.samples[
            round((turn.start - found.start) * SAMPLE_RATE) : round(
                (turn.end - found.start) * SAMPLE_RATE
            )
        ]
        for turn in found.exclusive_turns
        if turn.speaker == speaker
    ]
    samples = np.concatenate([piece.samples[:0], *spoken])[: _ENOUGH * SAMPLE_RATE]
    if len(samples) < model.min_num_samples:
        return None
    return _usable(model(torch.from_numpy(samples)[None, None])[0])


def _usable(vector: Iterable[Any]) -> list[float] | None:
    numbers = [float(number) for number in vector]
    return numbers if all(map(math.isfinite, numbers)) and any(numbers) else None


def _turns(
    diarization: Any, numbers: dict[Any, int], offset: float, latest: float
) -> list[NumberedTurn]:
    tracks = sorted(diarization.itertracks(yield_label=True), key=_start)
    return [
        NumberedTurn(
            round(segment.start + offset, 3),
            round(min(segment.end + offset, latest), 3),
            numbers[label],
        )
        for segment, _, label in tracks
        if segment.start + offset < latest
    ]


def _start(track: tuple[Any, Any, Any]) -> tuple[float, float]:
    return track[0].start, track[0].end


def _without_overlap(turns: Sequence[NumberedTurn]) -> list[NumberedTurn]:
    """Keep one speaker at a time: a turn that begins during another starts when that one ends."""
    found: list[NumberedTurn] = []
    for turn in turns:
        start = max(turn.start, found[-1].end) if found else turn.start
        if turn.end > start:
            found.append(NumberedTurn(start, turn.end, turn.speaker))
    return found
