"""Writes a page that shows a transcript, without a network or any file but the recording.

A transcript is hostile input: the page escapes all of its text, its script is constant and reads
only attributes that hold numbers, and a Content-Security-Policy lets nothing else run.
"""

from __future__ import annotations

import base64
import hashlib
import io
import mimetypes
from bisect import bisect_right
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

from protocol.errors import RpcError
from protocol.transcript import ExportOptions
from worker.formats.breaking import direction
from worker.formats.html_page import SCRIPT, STYLE
from worker.formats.timeline import SpeakerTurn, SpokenWord, Timeline, Utterance, clean
from worker.system.paths import from_wire, open_regular

MAX_EMBEDDED: Final = 32 * 1024 * 1024
"""Bytes of an embedded recording; browsers struggle with larger ones."""

_COLOURS: Final = 8
_DOUBTS: Final = ((0.5, "c1"), (0.75, "c2"), (0.9, "c3"))
"""Confidence below which the page marks a word, and the mark's CSS class."""
_TICKS: Final = 4
_LEGEND: Final = (
    '<p class="key">Marked words are less certain: <span class="c3">below 90 %</span>, '
    '<span class="c2">below 75 %</span>, <span class="c1">below 50 %</span>.</p>\n'
)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


_POLICY: Final = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; "
    "media-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'"
)


def write_html(timeline: Timeline, options: ExportOptions, name: str) -> str:
    """A timeline, coloured speakers, marks on less certain words, and a player.

    Raises `RpcError` of kind export_failed when the recording cannot be embedded.
    """
    said = [each for each in timeline.utterances if each.text]
    turns: list[SpeakerTurn] = timeline.turns if options.speaker_labels else []
    spans: list[Utterance | SpeakerTurn] = [*said, *turns]
    named = (each.speaker for each in spans if each.speaker)
    speakers = list(dict.fromkeys(named)) if options.speaker_labels else []
    colours = {speaker: f"k{i % _COLOURS}" for i, speaker in enumerate(speakers)}
    total = max((each.end for each in spans), default=0)
    title = escape(clean(name))
    language = f' lang="{escape(timeline.language)}"' if timeline.language else ""
    scored = any(word.score is not None for each in said for word in each.words or ())
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="generator" content="transcription-worker">\n',
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
            f'<h1 dir="auto">{title}</h1>\n',
            f'<p class="about">{_about(timeline, len(said), len(speakers), total)}</p>\n',
            '<div id="top">\n',
            _player(options),
            _lanes(said, turns, speakers, colours, total),
            "</div>\n",
            _LEGEND if scored else "",
            f'<ol aria-label="Transcript"{language}>\n',
            *_segments(said, colours, timeline.language),
            f"</ol>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        )
    )


def _about(timeline: Timeline, segments: int, speakers: int, total: int) -> str:
    parts = [_clock(total)[:-2], _count(segments, "segment")]
    parts += [_count(speakers, "speaker")] if speakers else []
    parts += [f"language {escape(timeline.language)}"] if timeline.language else []
    return " · ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _player(options: ExportOptions) -> str:
    """A player, which the script shows if it can play, and a file chooser for otherwise."""
    source = ""
    if options.embed_audio is not None:
        source = f' src="{_embedded(options.embed_audio)}"'
    elif options.audio is not None:
        source = f' src="{escape(_reference(options.audio))}"'
    return (
        f'<audio controls hidden preload="metadata"{source}></audio>\n'
        '<label id="pick" hidden>To play along, choose the recording: '
        '<input type="file" accept="audio/*,video/*"></label>\n'
    )


def _reference(path: str) -> str:
    """A path as a URL that no browser reads as another scheme or host."""
    quoted = quote(path)
    return "/" + quoted.lstrip("/") if quoted.startswith("/") else f"./{quoted}"


def _embedded(path: str) -> str:
    try:
        with io.FileIO(open_regular(from_wire(path))) as file:
            data = file.read(MAX_EMBEDDED + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RpcError(
            "export_failed",
            f"{path} cannot be embedded in the page: {why}.",
            remedy="Set embedAudio to the path of the recording, or omit it.",
            path=path,
        ) from None
    if len(data) > MAX_EMBEDDED:
        raise RpcError(
            "export_failed",
            f"{path} is too large: the page can embed at most 32 MiB.",
            remedy="Keep the recording beside the page and set audio to its path instead.",
            path=path,
        )
    kind = mimetypes.guess_type(Path(path).name)[0] or ""
    kind = kind if kind.startswith(("audio/", "video/")) else "audio/*"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _lanes(
    said: list[Utterance],
    turns: list[SpeakerTurn],
    speakers: list[str],
    colours: dict[str, str],
    total: int,
) -> str:
    """One lane per speaker, from the turns if known; a single lane without speakers."""
    starts = [each.start for each in said]
    marks: dict[str | None, list[str]] = {speaker: [] for speaker in speakers or (None,)}
    for each in turns or said:
        speaker = each.speaker if speakers else None
        target = max(0, bisect_right(starts, each.start) - 1)
        marks.setdefault(speaker, []).append(
            f'<a href="#s{target}" tabindex="-1"><rect x="{each.start}" y="0" '
            f'width="{each.end - each.start}" height="1"><title>{_clock(each.start)}</title>'
            "</rect></a>"
        )
    lanes = [
        f'<div class="lane {colours.get(speaker or "", "k0" if not speakers else "")}">'
        + (f'<b title="{escape(speaker or "")}">{escape(speaker or "—")}</b>' if speakers else "")
        + f'<div class="track"><svg viewBox="0 0 {max(total, 1)} 1" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(rects)}</svg></div></div>\n'
        for speaker, rects in marks.items()
    ]
    ticks = "".join(f"<span>{_clock(total * i // _TICKS)[:-2]}</span>" for i in range(_TICKS + 1))
    return (
        f'<div id="lanes" data-e="{max(total, 1)}"{" class=named" if speakers else ""}>\n'
        f'{"".join(lanes)}<div class="ruler" aria-hidden="true">{ticks}</div></div>\n'
    )


def _segments(said: list[Utterance], colours: dict[str, str], language: str | None) -> list[str]:
    lines: list[str] = []
    before: str | None = None
    for i, each in enumerate(said):
        colour = colours.get(each.speaker or "", "")
        new = bool(colour) and each.speaker != before
        before = each.speaker
        who = f'<b dir="auto">{escape(each.speaker or "")}</b>' if new else ""
        lines.append(
            f'<li id="s{i}" class="{colour}{" new" if new else ""}" data-s="{each.start}" '
            f'data-e="{each.end}">{who}<a href="#s{i}">{_clock(each.start)}</a>'
            f"<p{_language(each, language)}>{_words(each)}</p></li>\n"
        )
    return lines


def _language(utterance: Utterance, language: str | None) -> str:
    """Attributes for the direction of most letters, and for a language that is not the page's."""
    found = f' dir="{direction(utterance.text) or "auto"}"'
    if utterance.language and utterance.language != language:
        found += f' lang="{escape(utterance.language)}"'
    return found


def _words(utterance: Utterance) -> str:
    """The text, with an element around each word found in it."""
    text, at = utterance.text, 0
    parts: list[str] = []
    for word in utterance.words or ():
        if word.span is None or word.span[0] == word.span[1]:
            continue
        a, b = word.span
        parts += (escape(text[at:a]), _word(word, text[a:b]))
        at = b
    return "".join((*parts, escape(text[at:])))


def _word(word: SpokenWord, text: str) -> str:
    doubt = ""
    if word.score is not None:
        doubt = next((f" {name}" for limit, name in _DOUBTS if word.score < limit), "")
    title = f' title="{100 * min(max(word.score or 0, 0), 1):.0f} %"' if doubt else ""
    return (
        f'<span class="w{doubt}" data-s="{word.start}" data-e="{word.end}"{title}>'
        f"{escape(text)}</span>"
    )


def _clock(milliseconds: int) -> str:
    """M:SS.t, or H:MM:SS.t from an hour on."""
    minutes, rest = divmod(milliseconds // 100, 600)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{front}:{rest // 10:02}.{rest % 10}"
