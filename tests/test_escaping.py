"""A hostile transcript stays text in every format: no player runs it or reads it as markup."""

from __future__ import annotations

import csv
import io
import re

import msgspec
import pytest

from protocol.transcript import ExportOptions, Format, Transcript
from tests.test_formats import read_textgrid
from worker.formats.registry import WRITERS
from worker.formats.timeline import build_timeline

SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def written(format_: Format, text: str, speaker: str = "Ann", name: str = "talk") -> str:
    """A transcript of one segment, in one format."""
    segment = {"start": 0.0, "end": 1.0, "text": text, "speaker": speaker}
    transcript = msgspec.convert({"segments": [segment]}, Transcript)
    return WRITERS[format_].write(build_timeline(transcript), ExportOptions(), name)


@pytest.mark.parametrize("where", ["text", "speaker", "name"])
def test_html_text_makes_no_element(where: str) -> None:
    page = written("html", **{"text": "hi", where: SCRIPT})
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page


@pytest.mark.parametrize("where", ["text", "speaker"])
def test_vtt_text_makes_no_tag_or_cue(where: str) -> None:
    hostile = f"a\n\n00:00.000 --> 00:09.000\n<c.red>{SCRIPT}&lrm;"
    page = written("vtt", **{"text": "hi", where: hostile})
    assert page.count("-->") == 1
    assert [tag[:3] for tag in re.findall("<[^>]*>", page)] == ["<v "]
    assert "&amp;lrm;" in page


@pytest.mark.parametrize("where", ["text", "speaker"])
def test_srt_text_makes_no_cue(where: str) -> None:
    hostile = "a\n\n2\n00:00:00,000 --> 00:00:09,000\nb"
    assert written("srt", **{"text": "hi", where: hostile}).count("-->") == 1


@pytest.mark.parametrize("where", ["text", "speaker"])
def test_ass_text_makes_no_override_break_or_event(where: str) -> None:
    hostile = r"{\pos(0,0)\fs200}a\Nb\hc" + "\nDialogue: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,x"
    page = written("ass", **{"text": "hi", where: hostile})
    (event,) = re.findall("(?m)^Dialogue:.*", page)
    text = event.split(",", 9)[9]
    assert not re.search(r"(?<!\\)\{", text)
    assert not re.search(r"\\[Nnh]", text)


@pytest.mark.parametrize("begin", list("=+-@＝＋－＠"))
@pytest.mark.parametrize("where", ["text", "speaker"])
def test_csv_text_makes_no_formula(where: str, begin: str) -> None:
    formula = f"{begin}cmd|' /C calc'!A0"
    (row,) = csv.DictReader(
        io.StringIO(written("csv", **{"text": "hi", where: formula}), newline="")
    )
    assert row[where] == f"'{formula}"


def test_csv_leaves_other_text_unchanged() -> None:
    for text in ("hello = world", "5 - 3", "'tis", 'say "no", please'):
        (row,) = csv.DictReader(io.StringIO(written("csv", text), newline=""))
        assert row["text"] == text


@pytest.mark.parametrize("where", ["text", "speaker"])
def test_textgrid_doubles_quotes(where: str) -> None:
    hostile = 'a" \n        xmax = 99 \n        text = "b'
    tiers = read_textgrid(written("textgrid", **{"text": "hi", where: hostile}))
    assert len(tiers) == 1


@pytest.mark.parametrize("format_", ["rttm", "lrc", "txt", "tsv"])
def test_one_line_stays_one_line(format_: Format) -> None:
    plain = written(format_, "a b", "c d", "e f")
    hostile = written(format_, "a\r\nb\u2028\x0b", "c\n\td", "e\nf")
    assert len(hostile.splitlines()) == len(plain.splitlines())
