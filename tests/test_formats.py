"""Transcripts in every format: independent readers find the words and times that went in."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from typing import Any

import msgspec
import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.transcript import ExportOptions, Format, Transcript
from worker.formats.breaking import clusters, units, width
from worker.formats.registry import WRITERS, warnings
from worker.formats.timeline import Timeline, build_timeline, clean

SMALL: dict[str, Any] = {
    "language": "en",
    "segments": [
        {
            "id": 0,
            "start": 0.5,
            "end": 2.25,
            "text": "Say \"yes\" & <go>, {now}.",
            "speaker": "SPEAKER_00",
            "avgLogprob": -0.25,
            "words": [
                {"word": " Say", "start": 0.5, "end": 0.9, "probability": 0.75},
                {"word": " \"yes\"", "start": 1.0, "end": 1.2, "score": 0.5},
                {"word": " &"},
                {"word": " <go>,", "start": 1.5, "end": 1.75},
                {"word": " {now}.", "start": 1.75, "end": 2.25},
            ],
        },
        {"start": 2.0, "end": 3.5, "text": "Tab\there,\nplease", "speaker": "SPEAKER_01"},
    ],
}  # fmt: skip

GOLDEN: dict[Format, str] = {
    "srt": (
        "1\n00:00:00,500 --> 00:00:02,250\n[SPEAKER_00]: Say \"yes\" & <go>, {now}.\n\n"
        "2\n00:00:02,000 --> 00:00:03,500\n[SPEAKER_01]: Tab here, please\n"
    ),
    "vtt": (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.250\n"
        "<v SPEAKER_00>Say \"yes\" &amp; &lt;go&gt;, {now}.\n\n"
        "00:00:02.000 --> 00:00:03.500\n<v SPEAKER_01>Tab here, please\n"
    ),
    "txt": "[SPEAKER_00]: Say \"yes\" & <go>, {now}.\n[SPEAKER_01]: Tab here, please\n",
    "tsv": (
        "start\tend\ttext\n500\t2250\tSay \"yes\" & <go>, {now}.\n2000\t3500\tTab here, please\n"
    ),
    "csv": (
        "start,end,speaker,text\r\n"
        '0.500,2.250,SPEAKER_00,"Say ""yes"" & <go>, {now}."\r\n'
        '2.000,3.500,SPEAKER_01,"Tab here, please"\r\n'
    ),
    "lrc": (
        "[00:00.50][SPEAKER_00]: Say \"yes\" & <go>, {now}.\n"
        "[00:02.00][SPEAKER_01]: Tab here, please\n[00:03.50]\n"
    ),
    "rttm": (
        "SPEAKER talk_1 1 0.500 1.750 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER talk_1 1 2.000 1.500 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    ),
}  # fmt: skip


TEXTGRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.000
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "segments"
        xmin = 0
        xmax = 2.000
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.500
            text = ""
        intervals [2]:
            xmin = 0.500
            xmax = 1.000
            text = "a ""b\"""
        intervals [3]:
            xmin = 1.000
            xmax = 2.000
            text = "c"
"""


def timeline(*segments: dict[str, Any], **more: Any) -> Timeline:
    return build_timeline(msgspec.convert({"segments": segments, **more}, Transcript))


def write(format_: Format, what: Timeline, **options: Any) -> str:
    text = WRITERS[format_].write(what, ExportOptions(**options), "talk 1")
    assert "\x00" not in text
    return text


def small() -> Timeline:
    return timeline(*SMALL["segments"], language="en")


@pytest.mark.parametrize("format_", GOLDEN)
def test_small_files_are_unchanged(format_: Format) -> None:
    assert write(format_, small()) == GOLDEN[format_]


def test_ass_events_are_unchanged() -> None:
    text = write("ass", small())
    assert text.startswith("[Script Info]\n; transcription-worker\nPlayResX: 1920\n")
    assert text.partition("[Events]\n")[2] == (
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:00.50,0:00:02.25,Default,SPEAKER_00,0,0,0,,"
        '[SPEAKER_00]: Say "yes" & <go>, \\{now\\}.\n'
        "Dialogue: 0,0:00:02.00,0:00:03.50,Default,SPEAKER_01,0,0,0,,"
        "[SPEAKER_01]: Tab here, please\n"
    )


def test_a_textgrid_is_unchanged() -> None:
    what = timeline({"start": 0.5, "end": 1, "text": 'a "b"'}, {"start": 1, "end": 2, "text": "c"})
    assert write("textgrid", what) == TEXTGRID


def test_json_is_what_whisperx_writes() -> None:
    written = json.loads(write("json", small()))
    first, second = written["segments"]
    assert written["language"] == "en"
    assert set(first) == {"start", "end", "text", "words", "speaker"}
    assert first["words"][0] == {"word": "Say", "start": 0.5, "end": 0.9, "score": 0.75}
    assert first["words"][2] == {"word": "&"}
    assert second["text"] == "Tab\there,\nplease"
    assert written["word_segments"] == first["words"]
    again = build_timeline(msgspec.convert(written, Transcript))
    assert write("json", again) == write("json", small())


# Readers -------------------------------------------------------------------------------------


def read_srt(text: str) -> list[tuple[int, int, str]]:
    cues: list[tuple[int, int, str]] = []
    for number, block in enumerate(text.removesuffix("\n").split("\n\n") if text else (), 1):
        index, times, *lines = block.split("\n")
        assert int(index) == number
        start, _, end = times.partition(" --> ")
        cues.append((stamp(start, ","), stamp(end, ","), " ".join(lines)))
    return cues


def read_vtt(text: str) -> list[tuple[int, int, str]]:
    header, *blocks = text.removesuffix("\n").split("\n\n")
    assert header.strip() == "WEBVTT"
    cues: list[tuple[int, int, str]] = []
    for block in blocks:
        times, *lines = block.split("\n")
        start, _, end = times.partition(" --> ")
        said = re.sub(r"<[^>]*>", "", " ".join(lines))
        assert "<" not in said
        for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            said = said.replace(entity, char)
        cues.append((stamp(start, "."), stamp(end, "."), said))
    return cues


def read_ass(text: str) -> list[tuple[int, int, str]]:
    """Read the events as libass does."""
    events: list[tuple[int, int, str]] = []
    for line in text.split("\n"):
        if line.startswith("Dialogue: "):
            fields = line.removeprefix("Dialogue: ").split(",", 9)
            said = fields[9].replace("\\\u2060", "\x00").replace("\\N", " ")
            said = re.sub(r"(?<!\\){[^}]*}", "", said)
            said = said.replace("\\{", "{").replace("\\}", "}").replace("\x00", "\\")
            start, end = (stamp(each + "0", ".") for each in fields[1:3])
            events.append((start, end, said))
    return events


def stamp(text: str, decimal: str) -> int:
    found = re.fullmatch(rf"(\d+):(\d\d):(\d\d)\{decimal}(\d{{3}})", text)
    assert found, text
    hours, minutes, seconds, rest = map(int, found.groups())
    assert minutes < 60
    assert seconds < 60
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


def read_csv(text: str) -> list[tuple[int, int, str]]:
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return [
        (
            round(float(row["start"]) * 1000),
            round(float(row["end"]) * 1000),
            re.sub(
                "^'('*[=+\\-@＝＋－＠])", r"\1", row["text"]
            ),  # text that was quoted as a formula
        )
        for row in rows
    ]


def read_tsv(text: str) -> list[tuple[int, int, str]]:
    header, *lines = text.removesuffix("\n").split("\n")
    assert header == "start\tend\ttext"
    rows = [line.split("\t") for line in lines]
    return [(int(start), int(end), said) for start, end, said in rows]


def read_json(text: str) -> list[tuple[int, int, str]]:
    return [
        (round(each["start"] * 1000), round(each["end"] * 1000), clean(each["text"]))
        for each in json.loads(text)["segments"]
    ]


def read_lrc(text: str) -> list[tuple[int, int, str]]:
    lines: list[tuple[int, int, str]] = []
    for line in text.removesuffix("\n").split("\n") if text else ():
        found = re.fullmatch(r"\[(\d+):(\d\d)\.(\d\d)\](.*)", line)
        assert found, line
        assert not re.match(r"\[\d+:\d", found[4])
        at = (int(found[1]) * 60 + int(found[2])) * 1000 + int(found[3]) * 10
        if found[4]:
            lines.append((at, at + 1, found[4]))
    return lines


def read_textgrid(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """Tiers by name, from the long form; asserts every rule of Praat."""
    token = re.compile(r'xmin = (\S+)|xmax = (\S+)|(?:text|name) = "((?:[^"]|"")*)"|size = (\d+)')
    found = [match.groups() for match in token.finditer(text)]
    values = iter([next(value for value in group if value is not None) for group in found])
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
    begin, end, count = float(next(values)), float(next(values)), int(next(values))
    assert 0 == begin < end
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for _ in range(count):
        name = next(values).replace('""', '"')
        assert name not in tiers
        assert (float(next(values)), float(next(values))) == (begin, end)
        intervals = tiers[name] = []
        for _ in range(int(next(values))):
            low, high = float(next(values)), float(next(values))
            assert low < high
            intervals.append((low, high, next(values).replace('""', '"')))
        assert intervals[0][0] == begin
        assert intervals[-1][1] == end
        assert all(a[1] == b[0] for a, b in itertools.pairwise(intervals))
    assert next(values, None) is None
    return tiers


READERS: dict[Format, Any] = {
    "srt": read_srt,
    "vtt": read_vtt,
    "ass": read_ass,
    "csv": read_csv,
    "tsv": read_tsv,
    "json": read_json,
    "lrc": read_lrc,
}

# Arbitrary transcripts -------------------------------------------------------------------------

times = st.none() | st.floats(-5, 50_000) | st.floats(0, 20).map(lambda t: round(t, 1))
names = st.none() | st.sampled_from(["A", "B,<b>&", "SPEAKER_00"]) | st.text(max_size=4)
texts = (
    st.text(max_size=30)
    | st.text("ab 今日は、。「」éא\u0301\u200d👩🏽🇩🇪<>&{}\\\"'\t\n\r-[]0:1", max_size=40)
    | st.sampled_from(["-->", "00:00:01,000 --> 00:00:02,000", "{\\i1}x", "<b>", "[00:01.00]x"])
)
words = st.fixed_dictionaries(
    {"word": texts}, optional={"start": times, "end": times, "score": st.floats(0, 1)}
)
segments = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "start": times,
        "end": times,
        "speaker": names,
        "words": st.none() | st.lists(words, max_size=5),
    },
)
spoken = segments.flatmap(
    lambda segment: (
        st.just(segment)
        | st.just(
            {
                **segment,
                "words": [{"word": w, "start": 1, "end": 2} for w in segment["text"].split()],
            }
        )
    )
)
transcripts = st.lists(spoken, max_size=6)
options_ = st.fixed_dictionaries(
    {},
    optional={
        "max_line_length": st.integers(2, 40),
        "max_lines": st.integers(1, 3),
        "max_duration": st.floats(0.1, 10),
        "highlight_words": st.booleans(),
    },
)


def squeezed(text: str) -> str:
    return re.sub(r"[ \u3000\u200b]", "", text)


def said_in(what: Timeline, format_: Format) -> str:
    given_ = "".join(each.text for each in what.utterances)
    return squeezed(given_)


@pytest.mark.parametrize("format_", READERS)
@given(transcripts)
@settings(max_examples=25, deadline=None)
def test_readers_find_any_text_and_any_times(format_: Format, given_: list[dict[str, Any]]) -> None:
    what = timeline(*given_)
    found = READERS[format_](write(format_, what, speaker_labels=False))
    assert all(0 <= start < end for start, end, _ in found)
    assert [each[0] for each in found] == sorted(each[0] for each in found)
    said = squeezed("".join(text for _, _, text in found))
    whole = format_ in ("csv", "tsv", "json")
    wanted = [each for each in what.utterances if each.text or whole]
    if format_ == "json":  # it keeps the given text, though words alone make an utterance too
        what = timeline(*({**each, "words": None} for each in given_))
    # Cues begin with their first words, so those of overlapping utterances may change places.
    assert sorted(said) == sorted(said_in(what, format_))
    assert len(found) == len(wanted) if whole else len(found) >= len(wanted)


@pytest.mark.parametrize("format_", ["srt", "vtt", "ass", "lrc"])
@given(transcripts, options_)
@settings(max_examples=25, deadline=None)
def test_broken_lines_and_split_cues_keep_the_text(
    format_: Format, given_: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    what = timeline(*given_)
    if format_ != "ass":  # the others repeat the cue for each word
        options.pop("highlight_words", None)
    found = READERS[format_](write(format_, what, speaker_labels=False, **options))
    assert all(0 <= start < end for start, end, _ in found)
    assert [each[0] for each in found] == sorted(each[0] for each in found)
    # Overlapping utterances interleave their cues, so only the characters are the same.
    said = squeezed("".join(text for _, _, text in found))
    assert sorted(said) == sorted(said_in(what, format_))


@given(transcripts, st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9), st.text(max_size=3))))
@settings(max_examples=40, deadline=None)
def test_any_transcript_becomes_a_valid_textgrid(
    given_: list[dict[str, Any]], turns: list[tuple[float, float, str]]
) -> None:
    turns_ = [{"start": a, "end": b, "speaker": c} for a, b, c in turns]
    what = timeline(*given_, turns=turns_)
    tiers = read_textgrid(write("textgrid", what))
    found = [text for name, tier in tiers.items() if "segments" in name for _, _, text in tier]
    assert sorted(filter(None, found)) == sorted(each.text for each in what.utterances if each.text)


@given(transcripts)
@settings(max_examples=50, deadline=None)
def test_rttm_lines_have_ten_fields(given_: list[dict[str, Any]]) -> None:
    for line in write("rttm", timeline(*given_)).splitlines():
        fields = line.split(" ")
        assert len(fields) == 10
        assert float(fields[3]) >= 0
        assert float(fields[4]) > 0


@pytest.mark.parametrize("format_", ["srt", "vtt", "ass"])
def test_pysubs2_reads_the_captions(format_: Format) -> None:
    what = timeline(
        {"start": 1, "end": 2.5, "text": "One, two"},
        {"start": 3, "end": 4000.25, "text": "右から 左へ"},
        {"start": 40_000, "end": 40_001, "text": "after eleven hours"},
    )
    read = pysubs2.SSAFile.from_string(write(format_, what))
    assert [(event.start, event.end, event.plaintext) for event in read] == [
        (1000, 2500, "One, two"),
        (3000, 4_000_250, "右から 左へ"),
        (40_000_000, 40_001_000, "after eleven hours"),
    ]


# Lines -----------------------------------------------------------------------------------------


def lines_of(text: str, limit: int, **options: Any) -> list[str]:
    srt = write("srt", timeline({"start": 0, "end": 9, "text": text}), max_line_length=limit,
                **options)  # fmt: skip
    return [line for block in srt.strip("\n").split("\n\n") for line in block.split("\n")[2:]]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("the quick brown fox", 10, ["the quick", "brown fox"]),
        ("今日はいい天気です。", 8, ["今日は", "いい天", "気です。"]),
        ("これは「本」です", 8, ["これは", "「本」", "です"]),  # brackets stay with theirs
        ("ああああ。いい", 8, ["あああ", "あ。いい"]),  # no line begins with a full stop
        ("ちょっとまって", 8, ["ちょっと", "まって"]),  # nor with a small kana
        ("使用 GPU 加速", 8, ["使用 GPU", "加速"]),
        ("한국어 자막입니다", 10, ["한국어", "자막입니다"]),  # Korean breaks at spaces
        ("Bonjour ! Ça va ?", 9, ["Bonjour !", "Ça va ?"]),
        ("Quoi donc ? Rien", 9, ["Quoi", "donc ?", "Rien"]),
        ("10\u00a0000 km", 6, ["10\u00a0000", "km"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("e\u0301" * 5, 2, ["e\u0301e\u0301", "e\u0301e\u0301", "e\u0301"]),
        ("👩‍👩‍👧👍🏽🇩🇪🇫🇷", 4, ["👩‍👩‍👧👍🏽", "🇩🇪🇫🇷"]),
        ("❤️❤️❤️", 4, ["❤️❤️", "❤️"]),
        ("नमस्ते", 2, ["नम", "स्ते"]),
    ],
)
def test_lines_break_where_readers_expect_it(text: str, limit: int, expected: list[str]) -> None:
    assert lines_of(text, limit) == expected


def test_right_to_left_text_keeps_its_order_and_breaks_at_spaces() -> None:
    text = "שלום עולם, מה שלומך היום? مرحبا بالعالم"
    lines = lines_of(text, 12)
    assert len(lines) > 3
    assert " ".join(lines) == text


@given(st.text("ab 今、。「っ👩\u200d🏽\u0301🇩🇪é!", max_size=40), st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_a_line_is_never_too_long_and_never_splits_a_cluster(text: str, limit: int) -> None:
    edges = {0, len(text)} | {a for a, _ in clusters(text)}
    for a, b in units(text, limit):
        assert {a, b} <= edges
        assert width(text[a:b]) <= limit or len(clusters(text[a:b])) == 1


# Cues ------------------------------------------------------------------------------------------

WORDS = [
    {"word": f" {word}", "start": start, "end": end}
    for word, start, end in [("one", 0, 1), ("two", 1, 2), ("three", 6, 7), ("four", 7, 8)]
]
COUNTED = {"start": 0, "end": 8, "text": "one two three four", "words": WORDS}


def test_long_cues_split_at_word_times() -> None:
    found = read_srt(write("srt", timeline(COUNTED), max_line_length=10, max_lines=1))
    assert found == [(0, 2000, "one two"), (6000, 8000, "three four")]


def test_without_words_cues_split_by_text_length() -> None:
    bare = {**COUNTED, "words": None}
    found = read_srt(write("srt", timeline(bare), max_line_length=10, max_lines=1))
    assert [text for _, _, text in found] == ["one two", "three four"]
    assert found[0][1] <= found[1][0]
    assert 3000 < found[0][1] < 4000


def test_no_cue_is_shown_longer_than_max_duration() -> None:
    found = read_srt(write("srt", timeline(COUNTED), max_duration=2.5))
    assert found == [(0, 2000, "one two"), (6000, 8000, "three four")]
    long_word = {"start": 0, "end": 60, "text": "aaah"}
    assert read_srt(write("srt", timeline(long_word), max_duration=5)) == [(0, 5000, "aaah")]


@pytest.mark.parametrize(("format_", "read"), [("srt", read_srt), ("vtt", read_vtt)])
def test_highlighted_words_are_underlined_while_spoken(format_: Format, read: Any) -> None:
    text = write(format_, timeline(COUNTED), highlight_words=True)
    assert re.findall("<u>(.*?)</u>", text) == ["one", "two", "three", "four"]
    found = read(text)
    assert [each[:2] for each in found] == [
        (0, 1000), (1000, 2000), (6000, 7000), (7000, 8000),
    ]  # fmt: skip
    assert {re.sub("</?u>", "", each[2]) for each in found} == {"one two", "three four"}


def test_karaoke_adds_up_to_the_cue() -> None:
    text = write("ass", timeline(COUNTED), highlight_words=True, max_pause=0)
    line = text.rstrip("\n").split("\n")[-1]
    assert line.endswith(r"{\k100}one {\k100}two {\k400}{\k100}three {\k100}four")
    assert sum(map(int, re.findall(r"\\k(\d+)", line))) == 800
    assert pysubs2.SSAFile.from_string(text)[0].plaintext == "one two three four"


def test_lrc_has_word_times() -> None:
    text = write("lrc", timeline(COUNTED), highlight_words=True)
    assert text.startswith("[00:00.00]<00:00.00>one <00:01.00>two\n[00:02.00]\n[00:06.00]")


def test_speaker_names_break_no_format() -> None:
    speaker = 'A, <b> & "x"\n-->\t{y}'
    what = timeline({"start": 0, "end": 1, "text": "hi", "speaker": speaker})
    assert len(read_srt(write("srt", what))) == 1
    assert read_vtt(write("vtt", what)) == [(0, 1000, "hi")]
    assert "<v A, &lt;b&gt; &amp;" in write("vtt", what)
    assert pysubs2.SSAFile.from_string(write("ass", what))[0].end == 1000
    assert next(csv.DictReader(io.StringIO(write("csv", what), newline="")))["speaker"] == clean(
        speaker
    )
    assert len(write("txt", what).splitlines()) == 1
    assert read_textgrid(write("textgrid", what))


def test_simultaneous_speakers_have_their_own_tiers() -> None:
    tiers = read_textgrid(write("textgrid", small()))
    assert set(tiers) == {
        "SPEAKER_00 - words", "SPEAKER_00 - segments", "SPEAKER_01 - segments",
    }  # fmt: skip
    assert (2.0, 3.5, "Tab here, please") in tiers["SPEAKER_01 - segments"]
    same = timeline({"start": 0, "end": 2, "text": "a"}, {"start": 1, "end": 3, "text": "b"})
    assert set(read_textgrid(write("textgrid", same))) == {"segments", "segments 2"}


# Times -----------------------------------------------------------------------------------------


def kinds(what: Timeline) -> list[str]:
    return [notice.kind for notice in what.warnings]


def spans(what: Timeline) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in what.utterances]


def test_missing_times_are_estimated_with_a_warning() -> None:
    what = timeline(
        {"start": 0, "end": 1, "text": "a"},
        {"text": "four"},
        {"text": "four"},
        {"start": 3, "end": 4, "text": "b"},
    )
    assert spans(what) == [(0, 1000), (1000, 2000), (2000, 3000), (3000, 4000)]
    assert kinds(what) == ["times_interpolated"]
    assert "2 segments (from index 1)" in what.warnings[0].message


def test_a_segment_without_times_gets_those_of_its_words() -> None:
    what = timeline({"text": "one two three four", "words": WORDS})
    assert spans(what) == [(0, 8000)]
    assert kinds(what) == []


def test_impossible_times_are_corrected_with_a_warning() -> None:
    what = timeline(
        {"start": -2, "end": 1, "text": "negative"},
        {"start": 5, "end": 3, "text": "reversed"},
        {"start": 2, "end": 2.5, "text": "out of order"},
    )
    assert spans(what) == [(0, 1000), (2000, 2500), (3000, 5000)]
    assert kinds(what) == ["times_mended", "segments_reordered"]


def test_overlaps_stay_and_those_of_one_speaker_are_warned_about() -> None:
    two = [{"start": 0, "end": 3, "text": "a"}, {"start": 1, "end": 2, "text": "b"}]
    assert spans(timeline(*two)) == [(0, 3000), (1000, 2000)]
    assert kinds(timeline(*two)) == ["segments_overlap"]
    apart = [{**each, "speaker": each["text"]} for each in two]
    assert kinds(timeline(*apart)) == []


def test_words_without_times_share_the_time_between_their_neighbours() -> None:
    words_ = [
        {"word": "a", "start": 0, "end": 1},
        {"word": "7"},
        {"word": "b", "start": 2, "end": 3},
    ]
    what = timeline({"start": 0, "end": 3, "text": "a 7 b", "words": words_})
    assert [(word.start, word.end) for word in what.utterances[0].words or ()] == [
        (0, 1000), (1000, 2000), (2000, 3000),
    ]  # fmt: skip
    assert what.warnings == []


# Warnings --------------------------------------------------------------------------------------


def told(formats: list[Format], *given_: dict[str, Any], **options: Any) -> list[str]:
    what = timeline(*given_)
    return [each.kind for each in warnings(what, formats, ExportOptions(**options))]


def test_what_a_format_cannot_show_is_warned_about() -> None:
    bare = {"start": 0, "end": 1, "text": "a"}
    assert told(["rttm"], bare) == ["no_speakers"]
    assert told(["rttm"], {**bare, "speaker": "A"}, bare) == ["segments_overlap", "no_speakers"][1:]
    assert told(["ass"], bare, highlight_words=True) == ["no_word_times"]
    assert told(["srt"], COUNTED, highlight_words=True) == []
    assert told(["tsv"], bare, max_line_length=40) == ["option_ignored"]
    assert told(["tsv", "srt"], bare, max_line_length=40) == []
    assert told(["srt"], bare, max_lines=2) == ["option_ignored"]


def test_an_empty_transcript_becomes_an_empty_file() -> None:
    for format_ in WRITERS:
        text = write(format_, timeline())
        assert format_ not in ("srt", "txt", "lrc", "rttm") or text == ""
    assert read_textgrid(write("textgrid", timeline())) == {"segments": [(0.0, 0.001, "")]}
