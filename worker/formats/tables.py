"""One line per segment: plain text, whisper's TSV, and CSV."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import Final

from protocol.transcript import ExportOptions
from worker.formats.timeline import Timeline

_FORMULA: Final = re.compile("'*[=+\\-@＝＋－＠]")
"""The beginning of what spreadsheets take for a formula, quoted before or not."""


def write_txt(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """One line per segment, with speakers as whisperX writes them: `[SPEAKER_00]: text`."""
    lines: list[str] = []
    for utterance in timeline.utterances:
        if utterance.text:
            speaker = utterance.speaker if options.speaker_labels else None
            lines.append(f"[{speaker}]: {utterance.text}\n" if speaker else f"{utterance.text}\n")
    return "".join(lines)


def write_tsv(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """Whisper's TSV: start and end in milliseconds, text without tabs."""
    rows = (f"{each.start}\t{each.end}\t{each.text}\n" for each in timeline.utterances)
    return "".join(("start\tend\ttext\n", *rows))


def write_csv(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """RFC 4180, with start and end in seconds; an unknown speaker is empty.

    An apostrophe precedes text that a spreadsheet would run as a formula.
    """
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(("start", "end", "speaker", "text"))
    for each in timeline.utterances:
        speaker = each.speaker if options.speaker_labels else None
        times = (f"{time / 1000:.3f}" for time in (each.start, each.end))
        writer.writerow((*times, _shown(speaker or ""), _shown(each.text)))
    return out.getvalue()


def _shown(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
