"""Rich Transcription Time Marked (.rttm): who spoke when."""

from __future__ import annotations

from protocol.transcript import ExportOptions
from worker.formats.timeline import SpeakerTurn, Timeline


def write_rttm(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """A line a turn: the transcript's `turns`, else one for each segment with a speaker."""
    file = _field(name)
    return "".join(
        f"SPEAKER {file} 1 {turn.start / 1000:.3f} {(turn.end - turn.start) / 1000:.3f} "
        f"<NA> <NA> {_field(turn.speaker)} <NA> <NA>\n"
        for turn in timeline.turns or _derived(timeline)
    )


def _derived(timeline: Timeline) -> list[SpeakerTurn]:
    return [
        SpeakerTurn(start=each.start, end=each.end, speaker=each.speaker)
        for each in timeline.utterances
        if each.speaker
    ]


def _field(text: str) -> str:
    """Fields end at spaces."""
    return "_".join(text.split()) or "<NA>"
