"""Rich Transcription Time Marked (.rttm): who spoke when."""

from __future__ import annotations

from protocol.transcript import ExportOptions
from worker.formats.cues import max_pause
from worker.formats.passages import passages
from worker.formats.timeline import SpeakerTurn, Timeline


def write_rttm(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """One line per turn: the transcript's `turns`, or else what a speaker says without a pause."""
    file = _field(name)
    return "".join(
        f"SPEAKER {file} 1 {turn.start / 1000:.3f} {(turn.end - turn.start) / 1000:.3f} "
        f"<NA> <NA> {_field(turn.speaker)} <NA> <NA>\n"
        for turn in timeline.turns or _derived(timeline, options)
    )


def _derived(timeline: Timeline, options: ExportOptions) -> list[SpeakerTurn]:
    found: list[SpeakerTurn] = []
    for each in timeline.utterances:
        if not each.speaker:
            continue
        for passage in passages(each, timeline.silences, max_pause(options)):
            (a, b), clock = passage.span, passage.clock
            start = clock.start_of(a)
            end = max(clock.end_of(b), start + 1)
            found.append(SpeakerTurn(start=start, end=end, speaker=each.speaker))
    return sorted(found, key=lambda turn: turn.start)


def _field(text: str) -> str:
    """Spaces separate fields, so a field has none."""
    return "_".join(text.split()) or "<NA>"
