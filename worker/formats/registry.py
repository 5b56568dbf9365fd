"""All formats, and which options each uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from protocol.transcript import ExportOptions, Format
from protocol.values import Notice
from worker.formats.html import write_html
from worker.formats.lyrics import write_lrc
from worker.formats.rttm import write_rttm
from worker.formats.substation import write_ass
from worker.formats.subtitles import write_srt, write_vtt
from worker.formats.tables import write_csv, write_tsv, write_txt
from worker.formats.textgrid import write_textgrid
from worker.formats.timeline import Timeline
from worker.formats.whisperx_json import write_json

_LINES = frozenset({"max_line_length", "max_lines", "max_duration", "max_pause"})
_WORDS = frozenset({"highlight_words"})
_LABELS = frozenset({"speaker_labels"})


class FormatWriter(msgspec.Struct, frozen=True):
    """Writes a format; `uses` names the options that have an effect."""

    write: Callable[[Timeline, ExportOptions, str], str]
    """Takes the timeline, the options and the recording's name."""
    suffix: str
    uses: frozenset[str]


WRITERS: Final[dict[Format, FormatWriter]] = {
    "srt": FormatWriter(write_srt, ".srt", _LINES | _WORDS | _LABELS),
    "vtt": FormatWriter(write_vtt, ".vtt", _LINES | _WORDS | _LABELS),
    "ass": FormatWriter(write_ass, ".ass", _LINES | _WORDS | _LABELS),
    "txt": FormatWriter(write_txt, ".txt", _LABELS),
    "tsv": FormatWriter(write_tsv, ".tsv", frozenset()),
    "json": FormatWriter(write_json, ".json", frozenset()),
    "csv": FormatWriter(write_csv, ".csv", _LABELS),
    "lrc": FormatWriter(write_lrc, ".lrc", (_LINES - {"max_lines"}) | _WORDS | _LABELS),
    "rttm": FormatWriter(write_rttm, ".rttm", frozenset({"max_pause"})),
    "textgrid": FormatWriter(write_textgrid, ".TextGrid", _LABELS),
    "html": FormatWriter(write_html, ".html", _LABELS | {"audio", "embed_audio"}),
}


def warnings(timeline: Timeline, formats: Iterable[Format], options: ExportOptions) -> list[Notice]:
    """What the client asked for and the files cannot show."""
    chosen = list(formats)
    return [
        *timeline.warnings,
        *_ignored(chosen, options),
        *_without_speakers(timeline, chosen),
        *_without_words(timeline, chosen, options),
    ]


def _listed(formats: list[Format]) -> str:
    *most, last = formats
    return f"{', '.join(most)} and {last}" if most else last


def _ignored(formats: list[Format], options: ExportOptions) -> list[Notice]:
    used = frozenset[str]().union(*(WRITERS[each].uses for each in formats))
    names = {field.name: field.encode_name for field in msgspec.structs.fields(ExportOptions)}
    default = ExportOptions()
    notices = [
        Notice(
            kind="option_ignored",
            option=wire,
            message=f"{wire} changes nothing in {_listed(formats)}.",
        )
        for name, wire in names.items()
        if name not in used and getattr(options, name) != getattr(default, name)
    ]
    if "max_lines" in used and options.max_lines and not options.max_line_length:
        message = "maxLines changes nothing without maxLineLength."
        notices.append(Notice(kind="option_ignored", option="maxLines", message=message))
    return notices


def _without_speakers(timeline: Timeline, formats: list[Format]) -> list[Notice]:
    if "rttm" not in formats or timeline.turns:
        return []
    missing = sum(1 for each in timeline.utterances if not each.speaker)
    if not missing and timeline.utterances:
        return []
    message = "There are no turns and no speakers: rttm is empty."
    if timeline.has_speakers:
        message = (
            f"{missing} of {len(timeline.utterances)} segments have no speaker and are not in rttm."
        )
    return [Notice(kind="no_speakers", message=message)]


def _without_words(
    timeline: Timeline, formats: list[Format], options: ExportOptions
) -> list[Notice]:
    wanted = [
        each
        for each in formats
        if each == "textgrid" or (options.highlight_words and WRITERS[each].uses >= _WORDS)
    ]
    said = [each for each in timeline.utterances if each.text]
    missing = sum(1 for each in said if not each.has_word_times)
    if not wanted or not missing:
        return []
    who = "The segments" if missing == len(said) else f"{missing} of {len(said)} segments"
    message = f"{who} have no word times: {_listed(wanted)} cannot show them."
    return [Notice(kind="no_word_times", message=message)]
