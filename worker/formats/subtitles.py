"""SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from protocol.transcript import ExportOptions
from worker.formats.cues import Cue, Span, Text, clock_text, cues, highlighted
from worker.formats.timeline import Timeline


def write_srt(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """SubRip, with speakers as whisperX writes them: `[SPEAKER_00]: text`."""
    blocks: list[str] = []
    for cue in cues(timeline, options, labels=True):
        for start, end, marked in _parts(cue, options):
            times = f"{clock_text(start, ',')} --> {clock_text(end, ',')}"
            lines = cue.render(_escape_srt, marked, _underline)
            blocks.append("\n".join((str(len(blocks) + 1), times, *lines, "")))
    return "\n".join(blocks)


def write_vtt(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """WebVTT, with a voice tag per speaker."""
    blocks = ["WEBVTT\n"]
    for cue in cues(timeline, options, labels=False):
        voice = ""
        if cue.speaker and options.speaker_labels:
            voice = f"<v {_escape_vtt(cue.speaker)}>"
        for start, end, marked in _parts(cue, options):
            times = f"{clock_text(start, '.')} --> {clock_text(end, '.')}"
            lines = cue.render(_escape_vtt, marked, _underline)
            blocks.append("\n".join((times, voice + lines[0], *lines[1:], "")))
    return "\n".join(blocks)


def _parts(cue: Cue, options: ExportOptions) -> list[tuple[int, int, Span | None]]:
    return highlighted(cue) if options.highlight_words else [(cue.start, cue.end, None)]


_underline: Text = "<u>{}</u>".format


def _escape_srt(text: str) -> str:
    # SubRip has no escapes; players would read a line with an arrow as times.
    return text.replace("-->", "-- >")


def _escape_vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
