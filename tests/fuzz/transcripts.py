"""Builds transcripts from bytes, writes them in every format and reads them back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import pysubs2

from protocol.params import decode_params
from protocol.transcript import ExportOptions, ExportParams, Format, Transcript
from tests.test_formats import READERS, read_textgrid, squeezed
from worker.formats.registry import WRITERS, warnings
from worker.formats.timeline import Timeline, build_timeline

T = TypeVar("T")

_TIMES: Final = (0.0, -0.0, 0.001, 0.0005, 0.01, 1.0, 59.9996, 3599.9999, 350_000.0, -1e-300)
_TIMES_FAR_OFF: Final = (-1.0, -1e9, -1e300, -1.7e308)
_PIECES: Final = (
    *(" ", "  ", "a", "word", "éa\u0301", "今日は", "、", "א", "👩🏽\u200d🚀", "🇩🇪", "\u2028"),
    *("\t", "\n", "\r\n", "\x00", "\x1f", "\x85", "\ufeff", "\u200b", "\u202e", "-->", "{", "}"),
    *("\\", "\\N", "<b>", "&lt;", "&", "<", ">", '"', '""', "'", ";", ",", "[00:01.00]", "]]>"),
    *("</script>", "<!--", "1", "00:00:01", "WEBVTT", "NOTE", "STYLE", "Dialogue: 0,", "x" * 90),
)  # fmt: skip


class _Bytes:
    """Turns bytes into decisions; after the last byte, every decision is the first option."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, below: int) -> int:
        """A number of at least 0."""
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return byte % below

    def one_of(self, values: tuple[T, ...]) -> T:
        """One of `values`."""
        return values[self.number(len(values))]

    def maybe(self, make: Callable[[], T]) -> T | None:
        """None, or the result of `make`."""
        return make() if self.number(4) else None

    def some(self, make: Callable[[], T], most: int) -> list[T]:
        """Up to `most` results of `make`."""
        return [make() for _ in range(self.number(most + 1))]

    def time(self) -> float:
        """Seconds, well below the 100 hours that SubRip cannot write, to leave room for guesses."""
        kind = self.number(4)
        if kind == 0:
            return self.one_of(_TIMES)
        if kind == 1 and not self.number(8):
            return self.one_of(_TIMES_FAR_OFF)
        number = self.number(256) + self.number(256) * 256
        return round(number / float(10 ** self.number(5)), 4)

    def text(self) -> str:
        """Text with pieces that some format could confuse with its own syntax."""
        return "".join(self.some(lambda: self.one_of(_PIECES), 8))


def _transcript(data: _Bytes) -> dict[str, Any]:
    def word() -> dict[str, Any]:
        return {
            "word": data.text(),
            "start": data.maybe(data.time),
            "end": data.maybe(data.time),
            "score": data.maybe(lambda: data.number(101) / 100),
            "speaker": data.maybe(data.text),
        }

    def segment() -> dict[str, Any]:
        return {
            "text": data.text(),
            "start": data.maybe(data.time),
            "end": data.maybe(data.time),
            "speaker": data.maybe(data.text),
            "words": data.maybe(lambda: data.some(word, 4)),
        }

    def turn() -> dict[str, Any]:
        return {"start": data.time(), "end": data.time(), "speaker": data.text()}

    return {
        "segments": data.some(segment, 5),
        "turns": data.maybe(lambda: data.some(turn, 4)),
        "language": data.maybe(lambda: data.one_of(("en", "de", "", "xx-\u202e"))),
        "silences": data.maybe(
            lambda: data.some(lambda: {"start": data.time(), "end": data.time()}, 4)
        ),
    }


def _options(data: _Bytes) -> dict[str, Any]:
    return {
        "maxLineLength": data.maybe(lambda: 2 + data.number(60)),
        "maxLines": data.maybe(lambda: 1 + data.number(3)),
        "maxDuration": data.maybe(lambda: 0.1 + data.number(100) / 10),
        "speakerLabels": bool(data.number(2)),
        "highlightWords": bool(data.number(2)),
    }


def write_and_read_back(data: bytes) -> None:
    """Assert that every format preserves the words and times of any transcript."""
    decisions = _Bytes(data)
    given = {
        "options": _options(decisions),
        "transcript": _transcript(decisions),
        "formats": list(WRITERS),
    }
    given["options"]["maxPause"] = decisions.one_of((2.0, 0.0, 0.1, 1e300))
    raw = json.dumps(given).encode()
    params = decode_params(raw, ExportParams)
    timeline = build_timeline(params.transcript)
    texts = {each: WRITERS[each].write(timeline, params.options, params.name) for each in WRITERS}
    warnings(timeline, texts, params.options)
    for text in texts.values():
        text.encode()
        assert "\x00" not in text
    _read_plainly(timeline)
    if b"00:0" not in raw:  # pysubs2 interprets any line with two such words as times
        _read_with_pysubs2(texts)
    _read_tables(texts)


def _read_plainly(timeline: Timeline) -> None:
    """No text is lost; words in disorder may change the order of the cues."""
    said = sorted(squeezed("".join(each.text for each in timeline.utterances)))
    for format_, read in READERS.items():
        options = ExportOptions(speaker_labels=False)
        found = read(WRITERS[format_].write(timeline, options, "talk"))
        assert all(0 <= start < end for start, end, _ in found), format_
        assert [each[0] for each in found] == sorted(each[0] for each in found), format_
        if format_ != "json":
            assert sorted(squeezed("".join(text for _, _, text in found))) == said, format_
    again = WRITERS["json"].write(timeline, ExportOptions(), "talk")
    rebuilt = build_timeline(msgspec.json.decode(again, type=Transcript))
    assert [each.start for each in rebuilt.utterances] == [
        each.start for each in timeline.utterances
    ]


def _read_with_pysubs2(texts: dict[Format, str]) -> None:
    """pysubs2, like players, finds the same cues as our own readers."""
    for format_ in ("srt", "vtt", "ass"):
        text = texts[format_]
        found = pysubs2.SSAFile.from_string(text, format_=format_)
        expected = READERS[format_](text)
        assert [(each.start, each.end) for each in found] == [each[:2] for each in expected]


def _read_tables(texts: dict[Format, str]) -> None:
    read_textgrid(texts["textgrid"])
    for line in texts["rttm"].splitlines():
        fields = line.split(" ")
        assert len(fields) == 10
        assert float(fields[3]) >= 0
        assert math.isfinite(float(fields[4]))
    assert texts["html"].count("</script>") == texts["html"].count("<script")
