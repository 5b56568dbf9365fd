"""The assignment of speakers to words and segments."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from protocol.alignment import Word
from protocol.diarization import Turn
from protocol.transcription import PartialTranscript, Segment
from worker.pipeline.draft import Draft
from worker.pipeline.speakers import assign, order_of_appearance, parts


def segment(start: float, end: float, *words: tuple[float, float]) -> Segment:
    return Segment(
        id=0,
        start=start,
        end=end,
        text="x",
        avg_logprob=None,
        compression_ratio=None,
        no_speech_prob=None,
        temperature=None,
        words=[Word(start=a, end=b, word="x", probability=None) for a, b in words] or None,
    )


def turns(*given: tuple[float, float, str]) -> list[Turn]:
    return [Turn(start=start, end=end, speaker=speaker) for start, end, speaker in given]


def speakers_of(each: Segment) -> list[Any]:
    return [word.speaker for word in each.words or ()]


def test_a_word_gets_the_speaker_of_its_turn() -> None:
    said = segment(0, 4, (0, 1), (1, 2), (2.9, 3.9))
    spoken = turns((0, 2.1, "A"), (2.5, 4, "B"))
    assign([said], spoken, spoken, "nearest")
    assert speakers_of(said) == ["A", "A", "B"]
    assert said.speaker == "A"


def test_an_interjection_takes_no_words_from_the_speaker_who_goes_on() -> None:
    said = segment(0, 3, (0, 1), (1.2, 1.8), (2, 3))
    both = turns((0, 3, "A"), (1.1, 1.9, "B"))
    exclusive = turns((0, 3, "A"))
    assign([said], both, exclusive, "nearest")
    assert speakers_of(said) == ["A", "A", "A"]


def test_a_sentence_keeps_its_edges_where_two_speak_at_once() -> None:
    said = segment(0, 6, (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6))
    both = turns((0, 3, "A"), (2, 6, "B"))
    exclusive = turns((0, 3, "A"), (3, 6, "B"))
    assert said.words
    said.words[1].word += "."  # the second sentence begins while A still speaks
    assign([said], both, exclusive, "nearest")
    assert speakers_of(said) == ["A", "A", "B", "B", "B", "B"]


def test_a_sentence_takes_no_words_that_another_speaks_alone() -> None:
    said = segment(0, 6, (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6))
    spoken = turns((0, 1, "A"), (1, 3, "B"), (3, 4, "A"), (4, 6, "B"))
    assign([said], spoken, spoken, "nearest")
    assert speakers_of(said) == ["A", "B", "B", "A", "B", "B"]


@pytest.mark.parametrize(
    ("word", "speaker"), [((2.1, 2.3), "A"), ((4.6, 4.8), "B"), ((0.0, 0.1), "A"), ((9, 9.5), "B")]
)
def test_a_word_in_no_turn_goes_to_the_nearest_turn(
    word: tuple[float, float], speaker: str
) -> None:
    spoken = turns((1, 2, "A"), (5, 6, "B"))
    said = segment(0, 10, word)
    assign([said], spoken, spoken, "nearest")
    assert speakers_of(said) == [speaker]


def test_with_whisperx_a_word_in_no_turn_has_no_speaker() -> None:
    spoken = turns((1, 2, "A"), (5, 6, "B"))
    said = segment(0, 10, (1.5, 1.8), (3, 4))
    assign([said], spoken, spoken, "whisperx")
    assert speakers_of(said) == ["A", UNSET]


def test_a_segment_goes_to_the_speaker_of_most_of_it() -> None:
    said = segment(0, 10, (0, 0.2), (1, 1.2), (5, 8))
    spoken = turns((0, 4, "A"), (4.5, 9, "B"))
    assign([said], spoken, spoken, "nearest")
    assert said.speaker == "B"


@pytest.mark.parametrize("way", ["nearest", "whisperx"])
def test_a_segment_without_words_goes_by_its_own_times(way: Any) -> None:
    said = segment(2, 6)
    spoken = turns((0, 3, "A"), (3, 9, "B"))
    assign([said], spoken, spoken, way)
    assert said.speaker == "B"


@pytest.mark.parametrize("way", ["nearest", "whisperx"])
def test_without_turns_nobody_is_named(way: Any) -> None:
    said = segment(0, 1, (0, 1))
    assign([said], [], [], way)
    assert (said.speaker, speakers_of(said)) == (UNSET, [UNSET])


times = st.floats(0, 100, allow_nan=False).map(lambda x: round(x, 2))
spans = st.tuples(times, times).map(lambda pair: (min(pair), max(pair)))


@given(
    st.lists(spans, min_size=1, max_size=20),
    st.lists(st.tuples(spans, st.sampled_from("ABC")), min_size=1, max_size=20),
)
def test_every_word_gets_a_speaker_if_there_are_turns(
    words: list[tuple[float, float]], spoken: list[tuple[tuple[float, float], str]]
) -> None:
    all_turns = turns(*((start, end, speaker) for (start, end), speaker in spoken))
    said = segment(0, 100, *words)
    assign([said], all_turns, all_turns, "nearest")
    assert set(speakers_of(said)) <= {turn.speaker for turn in all_turns}
    assert said.speaker in speakers_of(said)


# Parts


def said_by(*words: tuple[str, str | None], spaced: bool = True) -> Segment:
    """A segment of words with their speakers, of 0.4 s each."""
    made = []
    for i, (text, speaker) in enumerate(words):
        word = f" {text}" if spaced or i else text
        start, end = round(0.4 * i, 3), round(0.4 * i + 0.4, 3)
        made.append(Word(start=start, end=end, word=word, probability=0.5))
        if speaker:
            made[-1].speaker = speaker
    whole = segment(0, round(0.4 * len(words), 3))
    whole.words, whole.speaker = made, "A"
    whole.text = "".join(word.word for word in made).strip()
    whole.confidence, whole.language, whole.avg_logprob = 0.75, "en", -0.25
    return whole


CHANGES = (("Is", "A"), ("that", "A"), ("so?", "A"), ("Yes,", "B"), ("it", "B"), ("is.", "B"))


@pytest.mark.parametrize("spaced", [True, False])
def test_a_segment_is_cut_where_its_speaker_changes(spaced: bool) -> None:
    whole = said_by(*CHANGES, spaced=spaced)
    first, second = parts(whole)
    assert (first.text, first.speaker, first.start, first.end) == ("Is that so?", "A", 0, 1.2)
    assert (second.text, second.speaker, second.start) == ("Yes, it is.", "B", pytest.approx(1.2))
    assert second.end == whole.end
    for part in (first, second):
        assert (part.confidence, part.language, part.avg_logprob) == (0.75, "en", -0.25)
        joined = "".join(word.word for word in part.words or ())
        assert joined == (f" {part.text}" if spaced else part.text)
    assert whole.text == "Is that so? Yes, it is."


def test_slips_and_segments_without_words_are_not_cut() -> None:
    slip = said_by(("so", "A"), ("we", "B"), ("go", "A"), ("on", "A"))
    assert parts(slip) == [slip]
    assert [word.speaker for word in slip.words or ()] == ["A", "B", "A", "A"]
    bare = segment(0, 9)
    assert parts(bare) == [bare]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["A", "B", None])), max_size=20))
def test_parts_have_all_words_and_a_speaker_each(words: list[tuple[str, str | None]]) -> None:
    whole = said_by(*words)
    found = parts(whole)
    assert [word for part in found for word in part.words or ()] == whole.words
    assert " ".join(part.text for part in found) == whole.text
    assert (found[0].start, found[-1].end) == (whole.start, whole.end)
    assert all(part.start < part.end for part in found if part.words)
    assert all(a.speaker != b.speaker for a, b in pairwise(found))


def test_the_first_part_keeps_the_id_and_all_are_sent() -> None:
    sent: list[PartialTranscript] = []
    draft = Draft(sent.append)
    ones = [said_by(*CHANGES), said_by(("Well,", "A"), ("then.", "A"))]
    for i, each in enumerate(ones):
        each.id, each.start = i, 10.0 * i
    draft.add("en", ones[:1])
    draft.add("de", ones[1:])
    sent.clear()
    draft.divide(parts)
    draft.send_all()
    assert [(part.id, part.text) for part in draft.segments()] == [
        (0, "Is that so?"), (2, "Yes, it is."), (1, "Well, then."),
    ]  # fmt: skip
    assert [(each.language, [s.id for s in each.segments]) for each in sent] == [
        ("en", [0, 2]), ("de", [1]),
    ]  # fmt: skip
    assert order_of_appearance(draft.segments()) == ["A", "B"]


WHISPERX = """
import json, sys
import pandas
from whisperx.diarize import assign_word_speakers
cases = json.load(sys.stdin)
for case in cases:
    frame = pandas.DataFrame(case["turns"], columns=["start", "end", "speaker"])
    assign_word_speakers(frame, {"segments": case["segments"]})
json.dump([case["segments"] for case in cases], sys.stdout)
"""


def test_whisperx_assignment_equals_the_packages() -> None:
    rng = random.Random(7)

    def span(longest: float) -> tuple[float, float]:
        start = round(rng.uniform(0, 60), 2)
        return start, round(start + rng.uniform(0.05, longest), 2)

    cases = [
        {
            "turns": [(*span(8), rng.choice("ABC")) for _ in range(rng.randint(1, 25))],
            "segments": [
                {
                    "start": start,
                    "end": end,
                    "words": [
                        dict(zip(("start", "end"), span(1), strict=True))
                        for _ in range(rng.randint(0, 8))
                    ],
                }
                for start, end in (span(10) for _ in range(10))
            ],
        }
        for _ in range(60)
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WHISPERX],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    for case, expected in zip(cases, theirs, strict=True):
        segments = [
            segment(each["start"], each["end"], *((w["start"], w["end"]) for w in each["words"]))
            for each in case["segments"]  # type: ignore[union-attr]
        ]
        assign(segments, turns(*case["turns"]), [], "whisperx")  # type: ignore[arg-type]
        ours = [
            {
                "speaker": each.speaker if each.speaker is not UNSET else None,
                "words": [None if who is UNSET else who for who in speakers_of(each)],
            }
            for each in segments
        ]
        assert ours == [
            {
                "speaker": each.get("speaker"),
                "words": [word.get("speaker") for word in each["words"]],
            }
            for each in expected
        ]
