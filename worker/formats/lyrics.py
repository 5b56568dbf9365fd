"""LRC lyrics (.lrc), with the times of words on request."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from protocol.transcript import ExportOptions
from worker.formats.cue import Cue
from worker.formats.cues import cues
from worker.formats.timeline import Timeline

_PAUSE: Final = 1000
"""Milliseconds of silence after which the line leaves the screen."""
_TIME_TAG = re.compile(r"([\[<])(?=\d+:\d)")


def write_lrc(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """One line per cue. `highlightWords` gives the enhanced form: `<mm:ss.xx>` before each word."""
    shown = cues(timeline, msgspec.structs.replace(options, max_lines=1), labels=True)
    lines: list[str] = []
    until = 0
    for i, cue in enumerate(shown):
        text = _timed_words(cue) if options.highlight_words else " ".join(cue.render(_escape))
        lines.append(f"[{_stamp(cue.start)}]{text}\n")
        until = max(until, cue.end)
        # Players show a line until the next; an empty line ends it.
        if i + 1 == len(shown) or shown[i + 1].start - until >= _PAUSE:
            lines.append(f"[{_stamp(until)}]\n")
    return "".join(lines)


def _timed_words(cue: Cue) -> str:
    (at, b), text = cue.lines[0], _escape(cue.label)
    for word in cue.words:
        if at <= word.span[0] < b:
            text += f"{_escape(cue.text[at : word.span[0]])}<{_stamp(word.start)}>"
            at = word.span[0]
    return text + _escape(cue.text[at:b])


def _stamp(milliseconds: int) -> str:
    """mm:ss.xx; minutes may exceed 99."""
    hundredths = (milliseconds + 5) // 10
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"


def _escape(text: str) -> str:
    """Keep players from reading text as a time."""
    return _TIME_TAG.sub(r"\1 ", text)
