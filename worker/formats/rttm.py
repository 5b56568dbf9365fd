"""Rich Transcription Time Marked (.rttm): who spoke when."""

from __future__ import annotations

from protocol.transcript import ExportOptions
from worker.formats.timeline import SpeakerTurn, Timeline


def write_rttm(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """One line per turn: the transcript's `turns`, or else each segment with a speaker."""
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
    """Spaces separate fields, so a field has none."""
    return "_".join(text.split()) or "<NA>"
