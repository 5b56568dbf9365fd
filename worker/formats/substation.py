"""Advanced SubStation Alpha (.ass), with karaoke."""

from __future__ import annotations

import re
from typing import Final

from protocol.transcript import ExportOptions
from worker.formats.cue import Cue
from worker.formats.cues import cues
from worker.formats.timeline import Timeline

_WIDTH: Final = 1920
_HEIGHT: Final = 1080


def write_ass(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """SubStation, with the speaker in the field Name and as a label in the text."""
    from pysubs2 import Alignment, Color, SSAEvent, SSAFile, SSAStyle

    file = SSAFile()
    file.info = {
        "PlayResX": str(_WIDTH),
        "PlayResY": str(_HEIGHT),
        "WrapStyle": "0",
        "ScaledBorderAndShadow": "yes",
    }
    file.styles["Default"] = SSAStyle(
        fontsize=64.0,
        alignment=Alignment.BOTTOM_CENTER,
        # Karaoke text changes from the secondary colour to the primary.
        primarycolor=Color(255, 255, 255),
        secondarycolor=Color(160, 160, 160),
        outline=3.0,
        shadow=1.0,
        marginl=80,
        marginr=80,
        marginv=60,
    )
    for cue in cues(timeline, options, labels=True):
        start, end = _hundredths(cue)
        karaoke = options.highlight_words and cue.words
        lines = _karaoke(cue, start, end) if karaoke else cue.render(_escape)
        file.append(
            SSAEvent(
                start=10 * start,
                end=10 * end,
                name=_field(cue.speaker or ""),
                text=r"\N".join(lines),
            )
        )
    return _written(file)


def _written(file: object) -> str:
    """The text of an `SSAFile`. Players accept more than the format's nominal ten hours."""
    from io import StringIO

    from pysubs2.formats.substation import SubstationFormat

    class Format(SubstationFormat):
        @staticmethod
        def ms_to_timestamp(requested_ms: int) -> str:
            seconds, rest = divmod(requested_ms, 1000)
            hours, seconds = divmod(seconds, 3600)
            return f"{hours}:{seconds // 60:02}:{seconds % 60:02}.{rest // 10:02}"

    out = StringIO()
    Format.to_file(file, out, "ass", header_notice="transcription-worker")  # type: ignore[arg-type]
    return out.getvalue()


def _hundredths(cue: Cue) -> tuple[int, int]:
    start = (cue.start + 5) // 10
    return start, max(start + 1, (cue.end + 5) // 10)


def _karaoke(cue: Cue, start: int, end: int) -> list[str]:
    r"""Lines in which `{\kN}` before each word gives its hundredths of a second.

    They add up to the cue's; spaces and punctuation belong to the word before.
    """
    lines = [_escape(cue.label) if i == 0 else "" for i in range(len(cue.lines))]
    now = start
    words = iter(cue.words)
    word = next(words, None)
    for i, (a, b) in enumerate(cue.lines):
        at = a
        while word and word.span[0] < b:
            begin = min(max((word.start + 5) // 10, now), end)
            until = min(max((word.end + 5) // 10, begin), end)
            first = max(word.span[0], at)
            gap = rf"{{\k{begin - now}}}" if begin > now else ""
            last = max(first, min(word.span[1], b))
            lines[i] += (
                f"{_escape(cue.text[at:first])}{gap}"
                rf"{{\k{until - begin}}}{_escape(cue.text[first:last])}"
            )
            at, now = last, until
            if word.span[1] > b:
                break  # the next line has the rest of it
            word = next(words, None)
        lines[i] += _escape(cue.text[at:b])
    return lines


def _escape(text: str) -> str:
    """Escape for libass: braces have escapes; a word joiner follows each backslash."""
    return re.sub(r"[\\{}]", lambda m: "\\\u2060" if m[0] == "\\" else f"\\{m[0]}", text)


def _field(text: str) -> str:
    """A comma ends every field but the last."""
    return " ".join(text.replace(",", " ").split())
