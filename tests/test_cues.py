"""Cues: which words are shown together, on which lines, and for how long."""

from __future__ import annotations

import itertools
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.transcript import ExportOptions, Format, Transcript
from tests.test_formats import (
    READERS,
    lines_of,
    read_srt,
    read_textgrid,
    read_vtt,
    segments,
    squeezed,
    timeline,
    write,
)
from worker.formats.breaking import break_cost, clusters, units, width
from worker.formats.cue import Cue
from worker.formats.cues import cues
from worker.formats.registry import warnings
from worker.formats.timeline import Timeline, build_timeline

SUBTITLES: list[Format] = ["srt", "vtt", "ass"]
LINES: dict[str, Any] = {"max_line_length": 42, "max_lines": 2}


def spoken(
    text: str, start: float = 0, pace: float = 0.3, pauses: dict[int, float] | None = None
) -> list[dict[str, Any]]:
    """Words of `pace` seconds each; `pauses` has seconds of pause before some of them."""
    made = []
    for i, said in enumerate(text.split()):
        start += (pauses or {}).get(i, 0)
        word, _, speaker = said.partition("/")
        made.append({"word": f" {word}", "start": start, "end": start + pace})
        if speaker:
            made[-1]["speaker"] = speaker
        start += pace
    return made


def segment(words: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "start": words[0]["start"],
        "end": words[-1]["end"],
        "text": "".join(word["word"] for word in words),
        "words": words,
        **more,
    }


def srt(
    *given_: dict[str, Any], silences: Any = None, **options: Any
) -> list[tuple[int, int, str]]:
    return read_srt(write("srt", timeline(*given_, silences=silences), **options))


def texts(found: list[tuple[int, int, str]]) -> list[str]:
    return [text for _, _, text in found]


# Speakers --------------------------------------------------------------------------------------

CHANGE = segment(
    spoken("Did/A you/A know/A that?/A Yes,/B I/B did./B", pauses={4: 0.2}), speaker="A"
)


def test_a_change_of_speaker_is_in_every_format() -> None:
    what = timeline(CHANGE)
    said = ["[A]: Did you know that?", "[B]: Yes, I did."]
    assert texts(read_srt(write("srt", what))) == said
    assert write("txt", what).splitlines() == said
    assert write("vtt", what).count("<v A>") == write("vtt", what).count("<v B>") == 1
    assert [line.split(",")[2] for line in write("csv", what).splitlines()] == ["speaker", "A", "B"]
    assert len(write("tsv", what).splitlines()) == 3
    assert '"speaker":"B"' in write("json", what).rpartition('"segments"')[2]
    assert "[B]: Yes, I did." in write("ass", what) and "[B]: Yes, I did." in write("lrc", what)
    assert write("html", what).count("<li ") == 2


def test_rttm_and_textgrid_take_turns_from_words() -> None:
    what = timeline(CHANGE)
    assert [line.split()[3:5] + line.split()[7:8] for line in write("rttm", what).splitlines()] == [
        ["0.000", "1.200", "A"],
        ["1.400", "0.900", "B"],
    ]
    tiers = read_textgrid(write("textgrid", what))
    assert set(tiers) == {"A - words", "A - segments", "B - words", "B - segments"}
    assert [text for *_, text in tiers["B - words"] if text] == ["Yes,", "I", "did."]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("so/A we/A go/A oh/B home/A now/A", ["so we go oh home now"]),  # one word is a slip
        ("we/A go/A oh/C not/B at/B all/B", ["we go", "oh not at all"]),
        ("we/A go./A Oh/C not/B at/B all/B", ["we go.", "Oh not at all"]),
        ("we/A go/A home./C Not/B at/B all/B", ["we go home.", "Not at all"]),
        ("we go/A home/A not/B at all/B", ["we go home", "not at all"]),  # nobody's words
        ("yes/A no/B", ["yes no"]),
        # The last word of a sentence belongs to it, if the change is one word off.
        ("Neither/A did/A I./B Okay,/B fine./B", ["Neither did I.", "Okay, fine."]),
        ("It/A is./A Yes/A I/B know./B", ["It is.", "Yes I know."]),
    ],
)
def test_slips_stay_where_they_are(said: str, expected: list[str]) -> None:
    what = timeline(segment(spoken(said)))
    assert [each.text for each in what.utterances] == expected


def test_words_of_less_than_half_a_second_are_no_turn() -> None:
    quick = [*spoken("so/A we/A go/A"), *spoken("oh/B my/B", 0.9, 0.2), *spoken("on/A and/A", 1.3)]
    assert len(timeline(segment(quick)).utterances) == 1


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b.", "é"]), st.sampled_from(["A", "B", "C", None]),
                       st.floats(0, 2)), min_size=1, max_size=30)
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_parts_by_speaker_have_all_words_in_order(said: list[Any]) -> None:
    now, words = 0.0, []
    for text, speaker, seconds in said:
        words.append({"word": f" {text}", "start": now, "end": now + seconds, "speaker": speaker})
        now += seconds
    what = timeline(segment(words))
    assert " ".join(each.text for each in what.utterances) == " ".join(text for text, *_ in said)
    parts = [each.words or [] for each in what.utterances]
    assert [word.text for part in parts for word in part] == [text for text, *_ in said]
    for each, part in zip(what.utterances, parts, strict=True):
        assert [each.text[slice(*word.span)] for word in part if word.span] == [
            word.text for word in part
        ]
    assert all(a.speaker != b.speaker for a, b in itertools.pairwise(what.utterances))
    again = build_timeline(msgspec.json.decode(write("json", what), type=Transcript))
    assert [each.text for each in again.utterances] == [each.text for each in what.utterances]


# Pauses ----------------------------------------------------------------------------------------

PAUSE = segment(spoken("So. Then nothing was said.", pauses={1: 15.0}))


def test_no_cue_stands_through_a_pause() -> None:
    assert srt({**PAUSE, "end": 40}) == [
        (0, 800, "So."),  # shown a little longer than it is said, to be noticed
        (15_300, 16_500, "Then nothing was said."),
    ]


def test_max_pause_says_which_pause_is_long() -> None:
    assert len(srt(PAUSE, max_pause=16)) == 1
    assert len(srt(PAUSE, max_pause=0)) == 1
    brief = segment(spoken("one two", pauses={1: 1.0}))
    assert len(srt(brief)) == 1
    assert len(srt(brief, max_pause=0.5)) == 2
    options = ExportOptions(max_pause=1)
    assert [each.option for each in warnings(timeline(brief), ["tsv"], options)] == ["maxPause"]
    assert warnings(timeline(brief), ["tsv", "srt"], options) == []


def test_untimed_words_do_not_fill_a_pause() -> None:
    words = [{"word": "So"}, *spoken("what", 20)[:0], {"word": "42"}, *spoken("then", 20)]
    words[0] |= {"start": 0, "end": 0.4}
    found = srt({"start": 0, "end": 20.3, "text": "So 42 then", "words": words})
    assert texts(found) == ["So 42", "then"]
    assert found[0][1] < 2_000 and found[1][0] == 20_000


def test_turns_in_rttm_end_at_pauses() -> None:
    what = timeline({**PAUSE, "speaker": "A"})
    assert [line.split()[3:5] for line in write("rttm", what).splitlines()] == [
        ["0.000", "0.300"],
        ["15.300", "1.200"],
    ]


def test_without_words_cues_stand_where_somebody_speaks() -> None:
    text = "And so, my fellow Americans, ask not what your country can do for you."
    bare = {"start": 0, "end": 24, "text": text}
    found = srt(bare, silences=[{"start": 3, "end": 17}, {"start": 20, "end": 20.5}])
    assert texts(found) == ["And so, my fellow Americans,", text[29:]]
    assert found[0] == (0, 2_324, "And so, my fellow Americans,")
    assert found[1][0] == 17_000 and found[1][1] < 24_000
    assert srt(bare) == [(0, 24_000, text)]  # nothing is known of silence
    assert srt(bare, silences=[{"start": 2.3, "end": 17.3}], max_pause=0) == [(0, 24_000, text)]


def test_a_guessed_cue_lasts_as_long_as_it_is_read() -> None:
    short = {"start": 0, "end": 30, "text": "Yes."}
    assert srt(short, silences=[{"start": 0, "end": 5}]) == [(5_000, 6_500, "Yes.")]
    long = {"start": 0, "end": 60, "text": "word " * 40}
    (cue,) = srt(long, silences=[{"start": 50, "end": 60}])
    assert cue[:2] == (0, 7_000)
    assert srt(short, silences=[{"start": 0, "end": 30}])[0][:2] == (0, 1_500)


def test_a_word_does_not_last_through_a_silence() -> None:
    words = [{"word": " Well,", "start": 0, "end": 12.0}, *spoken("then", 12.0)]
    found = srt(segment(words), silences=[{"start": 0.6, "end": 11.9}])
    assert found == [(0, 800, "Well,"), (12_000, 12_800, "then")]


gaps = st.lists(st.floats(0.05, 1) | st.floats(2.1, 30), min_size=1, max_size=25)


@given(gaps, st.booleans())
@settings(max_examples=80, deadline=None)
def test_no_cue_reaches_over_a_pause_between_any_words(pauses: list[float], lines: bool) -> None:
    words = spoken("wort " * len(pauses), pauses=dict(enumerate(pauses)))
    found = srt(segment(words), **(LINES if lines else {}))
    ends = [
        (round(a["end"] * 1000), round(b["start"] * 1000)) for a, b in itertools.pairwise(words)
    ]
    for start, end, _ in found:
        assert not any(start < a and b < end for a, b in ends if b - a > 2_001)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60)), max_size=8),
    st.integers(1, 30),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_no_guessed_cue_reaches_over_a_silence(
    silences: list[tuple[float, float]], count: int, lines: bool
) -> None:
    text = "one, two three. " * count
    spans = [{"start": a, "end": b} for a, b in silences]
    what = timeline({"start": 5, "end": 50, "text": text}, silences=spans)
    found = read_srt(write("srt", what, **(LINES if lines else {})))
    assert squeezed("".join(texts(found))) == squeezed(text)
    for start, end, _ in found:
        for a, b in what.silences:
            assert not (start < a and b < end and b - a > 2_000)


# Speakers who overlap --------------------------------------------------------------------------


@pytest.mark.parametrize("format_", SUBTITLES)
def test_cues_of_one_speaker_follow_each_other(format_: Format) -> None:
    what = timeline(
        {"start": 0, "end": 4, "text": "one"},
        {"start": 3, "end": 6, "text": "two"},
        {"start": 6, "end": 10, "text": "three"},
        {"start": 6, "end": 10, "text": "four"},
    )
    found = READERS[format_](write(format_, what))
    assert [each[:2] for each in found[:2]] == [(0, 3_000), (3_000, 6_000)]
    assert 7_500 < found[2][1] == found[3][0] < 8_500  # they share the time
    assert found[3][1] == 10_000
    assert [each.kind for each in what.warnings] == ["segments_overlap"]


def test_different_speakers_are_shown_at_once() -> None:
    two = [{"start": 0, "end": 4, "text": "a", "speaker": "A"},
           {"start": 1, "end": 2, "text": "b", "speaker": "B"}]  # fmt: skip
    assert [each[:2] for each in srt(*two)] == [(0, 4_000), (1_000, 2_000)]


@pytest.mark.parametrize("format_", SUBTITLES)
@given(st.lists(segments, max_size=8), st.sampled_from([{}, LINES, {"max_duration": 2}]))
@settings(max_examples=40, deadline=None)
def test_no_cues_of_one_speaker_overlap(
    format_: Format, given_: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    what = timeline(*({**each, "speaker": None} for each in given_))
    found = READERS[format_](write(format_, what, **options))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    assert all(start < end for start, end, _ in found)


@given(st.lists(segments, max_size=8), st.sampled_from([{}, LINES, {"max_duration": 2}]))
@settings(max_examples=60, deadline=None)
def test_each_speaker_has_one_cue_at_a_time(
    given_: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    shown = cues(timeline(*given_), ExportOptions(**options), labels=True)
    for speaker in {cue.speaker for cue in shown}:
        own = [cue for cue in shown if cue.speaker == speaker]
        assert all(a.end <= b.start for a, b in itertools.pairwise(own))
    assert all(0 <= cue.start < cue.end for cue in shown)
    limit = options.get("max_duration")
    assert all(limit is None or cue.end - cue.start <= 1000 * limit for cue in shown)


# Time to read ----------------------------------------------------------------------------------


def test_a_fast_cue_stays_until_it_is_read() -> None:
    fast = {"start": 0, "end": 1, "text": "x" * 42}
    assert srt(fast) == [(0, 2_000, "x" * 42)]
    assert srt(fast, {"start": 1.5, "end": 3, "text": "y"})[0][1] == 1_500
    assert (
        srt({**fast, "speaker": "A"}, {"start": 1.2, "end": 3, "text": "y", "speaker": "B"})[0][1]
        == 1_200
    )  # nor over another speaker's
    assert srt({**fast, "text": "x" * 400})[0][1] == 3_000  # at most two seconds after its end
    assert srt(fast, max_duration=1.5)[0][1] == 1_500


def test_a_short_cue_takes_time_that_the_next_can_spare() -> None:
    next_ = {"start": 0.5, "end": 4, "text": "and then"}
    assert [each[:2] for each in srt({"start": 0, "end": 0.5, "text": "Oh."}, next_)] == [
        (0, 800),
        (800, 4_000),
    ]
    busy = {**next_, "end": 1.2}
    assert srt({"start": 0, "end": 0.5, "text": "Oh."}, busy)[0][1] == 500


# Lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "I went to the store yesterday. It was closed, so I came back home again and slept.",
            ["I went to the store yesterday.",
             "It was closed,", "so I came back home again and slept."],
        ),
        (
            "We walked along the river until it was dark and quiet",
            ["We walked along the river", "until it was dark and quiet"],
        ),
        (
            "The committee will meet on Thursday afternoon in Dr. Miller's office near the old town"
            " hall.",
            ["The committee will meet", "on Thursday afternoon in Dr. Miller's",
             "office near the old town hall."],
        ),
        (
            "One two three four five six seven eight, ok",
            ["One two three four five", "six seven eight, ok"],
        ),
    ],
)  # fmt: skip
def test_lines_break_between_clauses(text: str, expected: list[str]) -> None:
    found = lines_of(text, 42, max_lines=2)
    assert " ".join(found) == text
    assert all(" " in line for line in found)
    if len(expected) < 3 or "closed" in text:
        assert found == expected


@given(
    st.lists(st.text("abcdefg", min_size=1, max_size=7), min_size=2, max_size=60),
    st.integers(24, 60),
    st.integers(2, 3),
)
@settings(max_examples=100, deadline=None)
def test_no_word_is_alone(words: list[str], limit: int, lines: int) -> None:
    found = lines_of(" ".join(words), limit, max_lines=lines)
    assert " ".join(found) == " ".join(words)
    assert all(" " in line for line in found)


scripts = st.text("ab c今、。「っ👩\u200d🏽\u0301🇩🇪é!สวัเดี์ကိ်\u1039ខ្មែ", max_size=60)


@given(scripts, st.integers(2, 20), st.sampled_from([None, 1, 2]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_line_is_within_its_length(
    text: str, limit: int, lines: int | None, labels: bool
) -> None:
    what = timeline({"start": 0, "end": 9, "text": text, "speaker": "A"})
    options = ExportOptions(max_line_length=limit, max_lines=lines)
    shown = cues(what, options, labels=labels)
    for cue in shown:
        assert lines is None or len(cue.lines) <= lines
        for a, b in cue.lines:
            assert width(cue.text[a:b]) <= limit or len(clusters(cue.text[a:b])) == 1
    kept = "".join(cue.text[a:b] for cue in shown for a, b in cue.lines)
    assert squeezed(kept) == squeezed("".join(each.text for each in what.utterances))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("สวัสดีครับวันนี้เราจะมาพูดคุยกันเรื่องปัญญาประดิษฐ์", 20),
        ("ခွင့်ပြုချက်ကိုအခမဲ့ပေးအပ်ပါသည်", 10),
        ("ភាសាខ្មែរគឺជាភាសាផ្លូវការរបស់កម្ពុជា", 12),
        ("ພາສາລາວເປັນພາສາທາງການ", 8),
    ],
)
def test_letters_keep_their_vowels_and_marks(text: str, limit: int) -> None:
    lines = lines_of(text, limit)
    assert "".join(lines) == text and len(lines) > 1
    for before, after in itertools.pairwise(lines):
        assert before[-1] not in "เแโใไເແໂໃໄ\u1039\u17d2"
        assert after[0] not in "ะาำๅๆะາຳး\u1039\u17d2"
        assert len(after) < 2 or after[1] not in "\u0e4c\u103a"


def test_breaks_are_worst_within_words_and_best_after_sentences() -> None:
    def cost(text: str) -> float:
        before, _, after = text.partition("|")
        whole = before + after
        return break_cost(whole, len(before.rstrip()), len(before) + after.startswith(" "))

    assert cost("It is.| He") < cost("it is,| he") < cost("it went| here") < cost("it is a| house")
    assert cost("Mr.| Smith") > 1 and cost("J.| Smith") > 1 and cost("e.g.| here") > 1
    assert cost("今日は|天気") < cost("今日|天気") < cost("テレ|ビ")
    assert cost("10| km") > cost("ten| km") - 0.5


def test_words_stay_whole_in_scripts_without_spaces() -> None:
    for text, limit, words in [
        ("为什么伤害无辜的人叫他做点小事他都不肯我要给他一个教训", 16, ["无辜", "小事"]),
        ("為什麼傷害無辜的人叫他做點小事他都不肯", 12, ["無辜", "小事"]),
        ("สวัสดีครับวันนี้เราจะมาพูดคุยกันเรื่องปัญญาประดิษฐ์", 20, ["สวัสดี", "วันนี้", "เรื่อง"]),
        ("友達とテレビを見ました。今日はいい天気です。", 16, ["友達", "テレビ", "天気"]),
    ]:
        lines = lines_of(text, limit)
        assert len(lines) > 1
        assert all(any(word in line for line in lines) for word in words), lines


# Times of words --------------------------------------------------------------------------------


def times_of(*words: dict[str, Any], start: float = 1, end: float = 3) -> list[tuple[int, int]]:
    text = " ".join(word["word"] for word in words)
    what = timeline({"start": start, "end": end, "text": text, "words": list(words)})
    return [(word.start, word.end) for word in what.utterances[0].words or ()]


def test_untimed_words_share_the_free_time_by_their_length() -> None:
    was, good = (
        {"word": "was", "start": 1.5, "end": 1.7},
        {"word": "good", "start": 1.7, "end": 2.1},
    )
    assert times_of({"word": "2014"}, was, good, {"word": "42"}) == [
        (1_000, 1_500), (1_500, 1_700), (1_700, 2_100), (2_100, 3_000),
    ]  # fmt: skip
    assert times_of({"word": "a"}, {"word": "bbb"}, was)[:2] == [(1_000, 1_125), (1_125, 1_500)]
    assert times_of(was, {"word": "22"}, {"word": "4444"})[1:] == [(1_700, 2_133), (2_133, 3_000)]
    assert times_of({"word": "ab"}, {"word": "cd"}) == [(1_000, 2_000), (2_000, 3_000)]
    assert times_of({"word": "ab", "start": 2}, {"word": "cd", "end": 3}) == [
        (2_000, 2_500), (2_500, 3_000),
    ]  # fmt: skip
    assert read_textgrid(
        write("textgrid", timeline({"start": 1, "end": 2, "text": "7 a", "words": [
            {"word": "7"}, {"word": "a", "start": 1.5, "end": 2}]}))
    )["words"][1:] == [(1.0, 1.5, "7"), (1.5, 2.0, "a")]  # fmt: skip


@given(st.lists(st.tuples(st.none() | st.floats(1, 3), st.none() | st.floats(1, 3)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_words_are_in_order_whatever_is_known(
    known: list[tuple[float | None, float | None]],
) -> None:
    found = times_of(*({"word": "w", "start": a, "end": b} for a, b in known))
    assert all(start < end for start, end in found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    assert found[0][0] >= 1_000


# Languages -------------------------------------------------------------------------------------

MIXED: list[dict[str, Any]] = [
    {"start": 0, "end": 2, "text": "Good morning.", "language": "en"},
    {"start": 2, "end": 4, "text": "iPhone مفيد جدا", "language": "ar"},
    {"start": 4, "end": 6, "text": "42", "language": "<b>"},
]


def test_a_segment_has_its_own_language() -> None:
    what = timeline(*MIXED, language="en")
    assert read_vtt(write("vtt", what))[1][2] == "iPhone مفيد جدا"
    assert write("vtt", what).count("<lang") == 1 and "\n<lang ar>iPhone" in write("vtt", what)
    page = write("html", what)
    assert '<p dir="ltr">Good' in page and '<p dir="rtl" lang="ar">iPhone' in page
    assert '<p dir="auto" lang="&lt;b&gt;">42' in page
    assert '"language":"ar"' in write("json", what)


# Length ----------------------------------------------------------------------------------------


def cost_of(what: Timeline) -> float:
    begin = time.process_time()
    write("srt", what, **LINES)
    return time.process_time() - begin


@pytest.mark.parametrize("piece", ["one two, three four. ", "今日はいい天気です。", "สวัสดีครับ", "x"])
def test_long_texts_take_time_by_their_length(piece: str) -> None:
    short, long = (
        timeline({"start": 0, "end": 3_000, "text": piece * (size // len(piece))})
        for size in (8_000, 64_000)
    )
    cost_of(short)
    assert cost_of(long) < 24 * cost_of(short) + 0.05


def test_many_pauses_take_time_by_their_number() -> None:
    def talk(count: int) -> Timeline:
        return timeline(
            segment(spoken("go on " * count, pauses=dict.fromkeys(range(0, 2 * count, 3), 3)))
        )

    short, long = talk(1_000), talk(8_000)
    assert cost_of(long) < 24 * cost_of(short) + 0.05
    assert isinstance(cues(short, ExportOptions(), labels=True)[0], Cue)
    assert len(units("go on " * 10)) == 20
