"""SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import re
from typing import TypeGuard

from protocol.transcript import ExportOptions
from worker.formats.cue import Cue, Span, Text, clock_text
from worker.formats.cues import cues
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
    """WebVTT, with a voice tag per speaker, and a tag for a language that is not the transcript's.

    Tags last to the end of their cue, so that none needs to be closed.
    """
    blocks = ["WEBVTT\n"]
    for cue in cues(timeline, options, labels=False):
        voice = f"<lang {cue.language}>" if _is_tag(cue.language) else ""
        if cue.speaker and options.speaker_labels:
            voice = f"<v {_escape_vtt(cue.speaker)}>{voice}"
        for start, end, marked in _parts(cue, options):
            times = f"{clock_text(start, '.')} --> {clock_text(end, '.')}"
            lines = cue.render(_escape_vtt, marked, _underline)
            blocks.append("\n".join((times, voice + lines[0], *lines[1:], "")))
    return "\n".join(blocks)


def _parts(cue: Cue, options: ExportOptions) -> list[tuple[int, int, Span | None]]:
    return cue.parts() if options.highlight_words else [(cue.start, cue.end, None)]


def _is_tag(language: str | None) -> TypeGuard[str]:
    """Whether it looks like a language tag of BCP 47."""
    return re.fullmatch("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", language or "") is not None


_underline: Text = "<u>{}</u>".format


def _escape_srt(text: str) -> str:
    # SubRip has no escapes; players would read a line with an arrow as times.
    return text.replace("-->", "-- >")


def _escape_vtt(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
