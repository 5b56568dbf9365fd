"""A cue: the text that a player shows at one time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Span = tuple[int, int]
Text = Callable[[str], str]


class CueWord(msgspec.Struct, kw_only=True):
    """A word of a cue: its span of the utterance's text, and its times in milliseconds."""

    span: Span
    start: int
    end: int


class Cue(msgspec.Struct, kw_only=True):
    """Lines, as spans of `text`, that a player shows from `start` to `end` (milliseconds)."""

    start: int
    end: int
    text: str
    lines: list[Span]
    label: str
    """Precedes the first line: `[SPEAKER_00]: `, or nothing."""
    speaker: str | None
    language: str | None
    """Where it differs from the transcript's."""
    words: list[CueWord]
    longest: int | None
    """Milliseconds that it may last at most."""

    def render(self, escape: Text, marked: Span | None = None, mark: Text = str) -> list[str]:
        """The lines, escaped; `mark` is applied to the span `marked` as well."""
        lines: list[str] = []
        for a, b in self.lines:
            c, d = (max(a, marked[0]), min(b, marked[1])) if marked else (b, b)
            if c < d:
                parts = (escape(self.text[a:c]), mark(escape(self.text[c:d])))
                lines.append("".join((*parts, escape(self.text[d:b]))))
            else:
                lines.append(escape(self.text[a:b]))
        lines[0] = escape(self.label) + lines[0]
        return lines

    def parts(self) -> list[tuple[int, int, Span | None]]:
        """The cue in parts (start, end, span), each marking the word that is spoken, or None."""
        found: list[tuple[int, int, Span | None]] = []
        now = self.start
        for word in self.words:
            start, end = max(word.start, now), min(word.end, self.end)
            if end <= start:
                continue
            if start > now:
                found.append((now, start, None))
            found.append((start, end, word.span))
            now = end
        if now < self.end or not found:
            found.append((now, self.end, None))
        return found


def clock_text(milliseconds: int, decimal: str) -> str:
    """HH:MM:SS, then `decimal` and milliseconds."""
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{decimal}{rest % 1000:03}"
