"""JSON as the whisperx package reads and writes it."""

from __future__ import annotations

from typing import Any

import msgspec

from protocol.transcript import ExportOptions
from worker.formats.timeline import SpokenWord, Timeline, Utterance


def write_json(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """`segments`, `word_segments`, `language` and, if known, `turns`. Times are seconds.

    Segments keep their text unchanged, unless their speaker changes. Words have `score`, and no
    times if they had none.
    """
    segments = [_segment(each) for each in timeline.utterances]
    document: dict[str, Any] = {
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment.get("words", ())],
        "language": timeline.language,
    }
    if timeline.turns:
        document["turns"] = [
            {"start": turn.start / 1000, "end": turn.end / 1000, "speaker": turn.speaker}
            for turn in timeline.turns
        ]
    return msgspec.json.encode(document).decode() + "\n"


def _segment(utterance: Utterance) -> dict[str, Any]:
    segment: dict[str, Any] = {
        "start": utterance.start / 1000,
        "end": utterance.end / 1000,
        "text": utterance.raw_text,
    }
    if utterance.words is not None:
        segment["words"] = [_word(word) for word in utterance.words]
    if utterance.speaker:
        segment["speaker"] = utterance.speaker
    if utterance.language:
        segment["language"] = utterance.language
    return segment


def _word(word: SpokenWord) -> dict[str, Any]:
    times = {"start": word.start / 1000, "end": word.end / 1000} if word.timed else {}
    score = {"score": word.score} if word.score is not None else {}
    speaker = {"speaker": word.speaker} if word.speaker else {}
    return {"word": word.text, **times, **score, **speaker}
