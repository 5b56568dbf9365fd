"""From words with times to segments: what is kept, what is dropped, where segments end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.engines.recognition.whisper.confidence import confidence_of
from worker.engines.recognition.whisper.coverage import are_there, without_text
from worker.engines.recognition.whisper.segments import (
    keep_spoken,
    sentences,
    text_of,
    without_loops,
)
from worker.engines.recognition.whisper.windows import Stretch
from worker.engines.recognition.whisper.word_times import TimedWord


def say(text: str, start: float = 0.0, pace: float = 0.3) -> list[TimedWord]:
    """The words of a text, `pace` seconds each."""
    return [
        TimedWord(f" {word}", start + i * pace, start + (i + 1) * pace, 0.9)
        for i, word in enumerate(text.split())
    ]


def texts(segments: list[list[TimedWord]]) -> list[str]:
    return [text_of(words).strip() for words in segments]


@st.composite
def spoken(draw: st.DrawFn) -> list[TimedWord]:
    now, words = 0.0, []
    for text, pause, length in draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "No.", "b,", "Mr.", "la", "3.", "“So?”", "世界", "。"]),
                st.floats(0, 5),
                st.floats(0.02, 2),
            ),
            max_size=60,
        )
    ):
        words.append(TimedWord(f" {text}", now + pause, now + pause + length, 0.5))
        now = words[-1].end
    return words


@given(spoken())
def test_segments_hold_all_words_in_order(words: list[TimedWord]) -> None:
    assert [word for segment in sentences(words) for word in segment] == words


@given(spoken())
def test_no_segment_stands_across_a_long_pause(words: list[TimedWord]) -> None:
    for segment in sentences(words):
        assert all(b.start - a.end <= 0.7 for a, b in pairwise(segment))


@given(spoken())
def test_no_segment_is_long_if_it_can_be_cut(words: list[TimedWord]) -> None:
    for segment in sentences(words):
        assert len(segment) == 1 or segment[-1].end - segment[0].start <= 12.0


def test_a_segment_is_a_sentence() -> None:
    words = say(
        "So my fellow Americans never ask what. Ask what you can do for Mr. Smith today.", pace=0.5
    )
    assert texts(sentences(words)) == [
        "So my fellow Americans never ask what.",
        "Ask what you can do for Mr. Smith today.",
    ]


def test_short_sentences_without_a_pause_stay_together() -> None:
    assert texts(sentences(say("Yes. No. Well."))) == ["Yes. No. Well."]
    assert texts(sentences([*say("Yes."), *say("No.", 1.0)])) == ["Yes.", "No."]


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    text = "one two three four five six seven eight nine ten, eleven twelve thirteen fourteen"
    assert texts(sentences(say(text, pace=1.0)))[0].endswith("ten,")


SPEECH = [Stretch(1.0, 3.0), Stretch(8.0, 10.0)]


def test_a_word_where_nobody_speaks_is_dropped() -> None:
    kept, dropped = keep_spoken(say("thank you", start=5.0), SPEECH)
    assert kept == []
    assert texts([dropped]) == ["thank you"]


def test_a_word_that_reaches_beyond_speech_is_cut_to_it() -> None:
    [word], _ = keep_spoken([TimedWord(" late", 2.5, 6.0, 1.0)], SPEECH)
    assert (word.start, word.end) == (2.5, 3.0)


def test_a_word_beside_speech_is_moved_into_it() -> None:
    [word], dropped = keep_spoken([TimedWord(" early", 0.6, 0.9, 1.0)], SPEECH)
    assert 1.0 <= word.start < word.end <= 3.0
    assert dropped == []


@given(spoken())
def test_every_kept_word_is_in_speech(words: list[TimedWord]) -> None:
    kept, dropped = keep_spoken(words, SPEECH)
    assert len(kept) + len(dropped) == len(words)
    for word in kept:
        assert word.start < word.end
        assert any(each.start <= word.start and word.end <= 10.0 for each in SPEECH)


def test_a_loop_is_cut_to_its_first_time() -> None:
    kept, dropped = without_loops(say("so " + "I see it " * 6 + "now", pace=0.05), failed=False)
    assert text_of(kept) == " so I see it now"
    assert len(dropped) == 15


def test_what_can_be_said_is_no_loop() -> None:
    words = say("no " * 8)
    assert without_loops(words, failed=False) == (words, [])
    assert text_of(without_loops(words, failed=True)[0]) == " no"


def test_the_end_of_what_is_said_may_loop() -> None:
    """As tiny.en does with a call that begins so."""
    said = [TimedWord(" Hello?", 6.7, 7.0, 1), TimedWord(" Hello.", 7.6, 8.3, 1)]
    loop = say("Hello. " * 4, start=8.3, pace=0.2)
    assert without_loops([*said, *loop], failed=False) == ([*said, loop[0]], loop[1:])


@given(spoken(), st.booleans())
def test_cutting_loops_loses_no_other_word(words: list[TimedWord], failed: bool) -> None:
    kept, dropped = without_loops(words, failed)
    assert sorted([*kept, *dropped], key=words.index) == words
    assert {word.word for word in dropped} <= {word.word for word in kept}


def test_speech_without_words_is_found() -> None:
    speech = [Stretch(0, 2), Stretch(2.3, 4), Stretch(6, 8)]
    assert without_text(speech, say("a b c d e f g", start=6)) == [tuple(speech[:2])]
    assert without_text(speech, say("word " * 30)) == []
    assert without_text([Stretch(0, 0.3)], []) == []


def test_words_that_are_there_already_are_known() -> None:
    words = say("left eight right zero stop pause three")
    assert are_there(say("Stop, pause, three.", start=2.5), words)
    assert not are_there(say("down two up", start=2.5), words)
    assert not are_there(say("stop pause three", start=20), words)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_confidence_is_a_share(probabilities: list[float]) -> None:
    words = [TimedWord(" a", 0, 1, probability) for probability in probabilities]
    assert 0 <= confidence_of(words) <= 1


def test_surer_words_give_more_confidence() -> None:
    def of(probability: float) -> float:
        return confidence_of([TimedWord(" a", 0, 1, probability)])

    assert of(0.99) > 0.95 > of(0.8) > of(0.5) > of(0.1)
