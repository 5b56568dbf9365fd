"""The html page: safe, self-contained, and readable without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from protocol.errors import RpcError
from protocol.transcript import ExportOptions, Transcript
from tests.support import MODEL, RECORDINGS, Session
from tests.test_cli import run
from tests.test_formats import transcripts
from worker.formats import html
from worker.formats.html import write_html
from worker.formats.registry import warnings
from worker.formats.timeline import build_timeline, clean

VOID = {"meta", "input"}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;<!--]]>"
WORDS: dict[str, Any] = {
    "start": 0.5,
    "end": 2.0,
    "text": "yes, we go",
    "speaker": "A",
    "words": [
        {"word": " yes,", "start": 0.5, "end": 0.9, "score": 0.97},
        {"word": " we", "start": 1.0, "end": 1.2, "score": 0.6},
        {"word": " go", "start": 1.5, "end": 2.0, "score": 0.2},
    ],
}


class Page(HTMLParser):
    """A page as a browser reads it: elements with attributes and text. Asserts closed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element with this tag."""
        return [attrs for name, attrs in self.tags if name == tag]

    def words(self, doubt: str = "") -> list[dict[str, str]]:
        """The attributes of words, or only of those marked as doubtful."""
        names = [{"w", doubt} - {""}]
        return [each for each in self.all("span") if set(each.get("class", "").split()) in names]


def page_of(*segments: dict[str, Any], name: str = "talk", **more: Any) -> Page:
    return Page(text_of(*segments, name=name, **more))


def text_of(*segments: dict[str, Any], name: str = "talk", **more: Any) -> str:
    options = ExportOptions(**more.pop("options", {}))
    made = build_timeline(msgspec.convert({"segments": segments, **more}, Transcript))
    return write_html(made, options, name)


# What it shows ---------------------------------------------------------------------------------


def test_the_page_has_segments_words_and_speakers() -> None:
    page = page_of(WORDS, {"start": 3661, "end": 3662, "text": "late", "speaker": "B"})
    assert page.texts["title"][0] == "talk"
    assert page.texts["p"][0] == "1:01:02 · 2 segments · 2 speakers"
    assert page.texts["p"][-2:] == ["yes, we go", "late"]
    assert [line["data-s"] for line in page.all("li")] == ["500", "3661000"]
    assert [line["class"].split()[0] for line in page.all("li")] == ["k0", "k1"]
    assert [text for text in page.texts["a"] if text][-2:] == ["0:00.5", "1:01:01.0"]
    assert [word["data-s"] for word in page.all("span") if "data-s" in word] == [
        "500", "1000", "1500",
    ]  # fmt: skip


def test_less_certain_words_are_marked_with_their_confidence() -> None:
    page = page_of(WORDS)
    assert [word["title"] for word in page.words("c2")] == ["60 %"]
    assert [word["title"] for word in page.words("c1")] == ["20 %"]
    assert len(page.words()) == 1
    bare = {**WORDS, "words": [{"word": "yes,"}]}
    assert "less certain" not in text_of(bare)


def test_the_page_names_a_speaker_on_each_change() -> None:
    said = [{"start": i, "end": i + 1, "text": "x", "speaker": s} for i, s in enumerate("AABA")]
    page = page_of(*said)
    assert page.texts["b"] == ["A", "B", "A", "B", "A"]  # two lanes, then three changes
    quiet = page_of(*said, options={"speaker_labels": False})
    assert "b" not in quiet.texts
    assert len(quiet.all("svg")) == 1


def test_the_timeline_has_one_lane_per_speaker() -> None:
    turns = [
        {"start": 0, "end": 2, "speaker": "A"},
        {"start": 1, "end": 3, "speaker": "B"},
        {"start": 4, "end": 5, "speaker": "A"},
    ]
    page = page_of({"start": 0, "end": 5, "text": "x", "speaker": "A"}, turns=turns)
    assert [(each["x"], each["width"]) for each in page.all("rect")] == [
        ("0", "2000"), ("4000", "1000"), ("1000", "2000"),
    ]  # fmt: skip
    assert {each["viewbox"] for each in page.all("svg")} == {"0 0 5000 1"}


def test_the_page_works_without_its_script() -> None:
    page = page_of(WORDS, {"start": 3, "end": 4, "text": "so"}, turns=[
        {"start": 0, "end": 9, "speaker": "Z"},
    ])  # fmt: skip
    ids = {f"#{line['id']}" for line in page.all("li")}
    assert {link["href"] for link in page.all("a")} <= ids
    assert "hidden" in page.all("audio")[0]
    assert "hidden" in page.all("label")[0]


def test_silence_becomes_a_page() -> None:
    page = page_of(language="en")
    assert page.texts["p"] == ["0:00 · 0 segments · language en"]
    assert page.all("ol")[0]["lang"] == "en"


@given(transcripts)
@settings(max_examples=40, deadline=None)
def test_any_text_stays_and_makes_no_element(given_: list[dict[str, Any]]) -> None:
    page = page_of(*given_)
    made = build_timeline(msgspec.convert({"segments": given_}, Transcript))
    said = [each.text for each in made.utterances if each.text]
    assert page.texts["p"][len(page.texts["p"]) - len(said) :] == said
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "p", "div", "audio", "label"),
        *("input", "b", "svg", "a", "rect", "span", "ol", "li", "script"),
    }


# What it must not do ---------------------------------------------------------------------------


def test_a_hostile_transcript_stays_text() -> None:
    hostile = {
        "start": 0,
        "end": 1,
        "text": f"{HOSTILE} word",
        "speaker": HOSTILE,
        "words": [{"word": HOSTILE, "start": 0, "end": 1, "score": 0.1}],
    }
    turns = [{"start": 0, "end": 1, "speaker": f"{HOSTILE}2"}]
    page = page_of(hostile, name=HOSTILE, language=HOSTILE, turns=turns, options={"audio": HOSTILE})
    assert page.texts["h1"] == [page.texts["title"][0]] == [HOSTILE]
    assert page.texts["p"][-1] == f"{HOSTILE} word"
    assert set(page.texts["b"]) == {HOSTILE, f"{HOSTILE}2"}
    assert page.all("ol")[0]["lang"] == HOSTILE
    assert page.all("img") == []
    assert len(page.all("script")) == 1
    names = {name for _, attrs in page.tags for name in attrs}
    assert not {name for name in names if name.startswith("on")} | ({"style"} & names)


def test_the_policy_allows_only_the_pages_script_and_no_loads() -> None:
    page = page_of(WORDS)
    policy = page.all("meta")[1]["content"]
    for kind in ("script", "style"):
        (text,) = page.texts[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search("https?:|unsafe|\\*", policy)


def test_the_page_fetches_nothing_from_elsewhere() -> None:
    assert not re.search(r"https?://|@import|url\(", text_of(WORDS))


@pytest.mark.parametrize(
    ("path", "reference"),
    [
        ("talk one.flac", "./talk%20one.flac"),
        ("../in/50% #1?.wav", "./../in/50%25%20%231%3F.wav"),
        ("https://example.org/x.mp3", "./https%3A//example.org/x.mp3"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//example.org/x.mp3", "/example.org/x.mp3"),
        ("/home/x.wav", "/home/x.wav"),
    ],
)
def test_the_recordings_path_never_names_another_host(path: str, reference: str) -> None:
    assert page_of(WORDS, options={"audio": path}).all("audio")[0]["src"] == reference


# The recording in the page ---------------------------------------------------------------------


def test_a_recording_is_embedded_only_on_request(tmp_path: Path) -> None:
    assert "src" not in page_of(WORDS).all("audio")[0]
    recording = tmp_path / "a.wav"
    recording.write_bytes(b"RIFF\x00\xff")
    page = page_of(WORDS, options={"embed_audio": str(recording)})
    kind, _, data = page.all("audio")[0]["src"].partition(";base64,")
    assert re.fullmatch(r"data:audio/[a-z-]+", kind)
    assert base64.b64decode(data) == b"RIFF\x00\xff"


def test_a_recording_that_cannot_be_embedded_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RpcError) as missing:
        text_of(WORDS, options={"embed_audio": str(tmp_path / "a.wav")})
    assert missing.value.kind == "export_failed"
    assert "embedAudio" in missing.value.data["remedy"]
    monkeypatch.setattr(html, "MAX_EMBEDDED", 9)
    (tmp_path / "a.wav").write_bytes(bytes(10))
    with pytest.raises(RpcError) as large:
        text_of(WORDS, options={"embed_audio": str(tmp_path / "a.wav")})
    assert "too large" in large.value.message


def test_page_options_in_other_formats_are_warned_about() -> None:
    made = build_timeline(msgspec.convert({"segments": [WORDS]}, Transcript))
    options = ExportOptions(audio="a.wav")
    assert [each.option for each in warnings(made, ["srt"], options)] == ["audio"]
    assert warnings(made, ["srt", "html"], options) == []


# Through the worker ----------------------------------------------------------------------------


def test_export_and_transcribe_write_the_page(worker: Session, tmp_path: Path) -> None:
    recording = RECORDINGS / "en-01.flac"
    result = worker.transcribe(
        recording,
        wordTimestamps=True,
        formats=["html"],
        outputDir=str(tmp_path),
        formatOptions={"embedAudio": str(recording)},
    )
    page = Page((tmp_path / "en-01.html").read_text("utf-8"))
    words = [word for segment in result["segments"] for word in segment["words"]]
    assert len([each for each in page.all("span") if "data-s" in each]) == len(words)
    data = page.all("audio")[0]["src"].partition(",")[2]
    assert base64.b64decode(data) == recording.read_bytes()
    exported = worker.call("export", {"transcript": result, "formats": ["html"]})
    assert clean(result["segments"][0]["text"]) in Page(exported["contents"]["html"]).texts["p"]


def test_the_command_lines_page_finds_its_recording(tmp_path: Path) -> None:
    done = run(
        "transcribe", RECORDINGS / "en-01.flac", "--model", MODEL, "--formats", "html",
        "--output-dir", tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    source = Page((tmp_path / "en-01.html").read_text("utf-8")).all("audio")[0]["src"]
    assert (tmp_path / source).resolve() == RECORDINGS / "en-01.flac"
