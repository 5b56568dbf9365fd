"""Who speaks in one stretch of a recording, as a pyannote.audio pipeline tells it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from worker.engines.common.recording import Stretch

_ENOUGH: Final = 30
"""Seconds of speech that an embedding of ours is made of, at most."""


class LocalTurn(msgspec.Struct, array_like=True, frozen=True):
    """When a speaker speaks; times are the recording's, the speaker's number the stretch's."""

    start: float
    end: float
    speaker: int


class Voice(msgspec.Struct, frozen=True):
    """A speaker of a stretch."""

    seconds: float
    """Of speech that nobody else talks into."""
    embedding: list[float] | None = None
    """None where there is too little speech, or no model, for one."""


class StretchSpeakers(msgspec.Struct, frozen=True):
    """What became of a stretch; may be kept as JSON."""

    start: float
    end: float
    turns: list[LocalTurn]
    exclusive_turns: list[LocalTurn]
    voices: list[Voice]
    """By the speakers' numbers."""


def read_output(output: Any, stretch: Stretch, offset: float) -> StretchSpeakers:
    """What a pipeline found in a stretch, whose recording begins at `offset` seconds."""
    # Pipelines made for version 3 and other kinds return the turns alone.
    diarization = getattr(output, "speaker_diarization", output)
    exclusive = getattr(output, "exclusive_speaker_diarization", None)
    numbers = {label: number for number, label in enumerate(diarization.labels())}
    start = stretch.first / SAMPLE_RATE + offset
    end = start + len(stretch.samples) / SAMPLE_RATE
    # The last window may reach beyond the samples; what comes there is for the next stretch.
    latest = math.inf if stretch.last else end
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
    return StretchSpeakers(
        start=start,
        end=end,
        turns=turns,
        exclusive_turns=exclusive_turns,
        voices=[
            Voice(seconds=each, embedding=embedding)
            for each, embedding in zip(seconds, embeddings, strict=True)
        ],
    )


def complete_voices(found: StretchSpeakers, stretch: Stretch, model: Any) -> StretchSpeakers:
    """Add the embeddings that a pipeline does not give, by its own embedding model.

    They are of what the speakers say with nobody else talking.
    """
    if model is None:
        return found
    voices = [
        Voice(seconds=voice.seconds, embedding=_embed(found, stretch, number, model))
        if voice.embedding is None
        else voice
        for number, voice in enumerate(found.voices)
    ]
    return msgspec.structs.replace(found, voices=voices)


def _embed(
    found: StretchSpeakers, stretch: Stretch, speaker: int, model: Any
) -> list[float] | None:
    import numpy as np
    import torch

    spoken = [
        stretch.samples[
            round((turn.start - found.start) * SAMPLE_RATE) : round(
                (turn.end - found.start) * SAMPLE_RATE
            )
        ]
        for turn in found.exclusive_turns
        if turn.speaker == speaker
    ]
    samples = np.concatenate([stretch.samples[:0], *spoken])[: _ENOUGH * SAMPLE_RATE]
    if len(samples) < model.min_num_samples:
        return None
    return _usable(model(torch.from_numpy(samples)[None, None])[0])


def _usable(vector: Iterable[Any]) -> list[float] | None:
    numbers = [float(number) for number in vector]
    return numbers if all(map(math.isfinite, numbers)) and any(numbers) else None


def _turns(
    diarization: Any, numbers: dict[Any, int], offset: float, latest: float
) -> list[LocalTurn]:
    tracks = sorted(diarization.itertracks(yield_label=True), key=_start)
    return [
        LocalTurn(
            round(segment.start + offset, 3),
            round(min(segment.end + offset, latest), 3),
            numbers[label],
        )
        for segment, _, label in tracks
        if segment.start + offset < latest
    ]


def _start(track: tuple[Any, Any, Any]) -> tuple[float, float]:
    return track[0].start, track[0].end


def _without_overlap(turns: Sequence[LocalTurn]) -> list[LocalTurn]:
    """One speaker at a time: whoever speaks goes on until the turn ends."""
    found: list[LocalTurn] = []
    for turn in turns:
        start = max(turn.start, found[-1].end) if found else turn.start
        if turn.end > start:
            found.append(LocalTurn(start, turn.end, turn.speaker))
    return found
