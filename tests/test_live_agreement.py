"""Agreement of hypotheses: what becomes final, and that it stays so."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from worker.engines.recognition.live.agreement import Agreement, end_of_known, folded
from worker.engines.recognition.live.plausible import plausible
from worker.engines.recognition.whisper.word_times import TimedWord

EVER = float("inf")


def words(text: str, start: float = 0.0, each: float = 0.4) -> list[TimedWord]:
    """Words of the same length, one after another."""
    return [
        TimedWord(f" {word}", start + i * each, start + (i + 1) * each, 0.9)
        for i, word in enumerate(text.split())
    ]


def text(found: list[TimedWord]) -> str:
    return "".join(word.word for word in found).strip()


def test_what_two_hypotheses_share_is_final() -> None:
    agreement = Agreement()
    assert agreement.hear(words("ask not watch"), EVER) == []
    assert text(agreement.hear(words("ask not what your"), EVER)) == "ask not"
    assert text(agreement.open) == "what your"
    assert text(agreement.hear(words("ask not what you are"), EVER)) == "what"


def test_case_and_punctuation_do_not_matter_and_the_later_form_counts() -> None:
    agreement = Agreement()
    agreement.hear(words("and so my"), EVER)
    assert text(agreement.hear(words("And, so my fellow"), EVER)) == "And, so my"


def test_a_word_at_the_end_of_the_audio_may_be_cut() -> None:
    agreement = Agreement()
    agreement.hear(words("one two three"), EVER)
    assert text(agreement.hear(words("one two three"), 0.9)) == "one two"
    assert text(agreement.accept()) == "three"


def test_a_doubted_hypothesis_makes_nothing_final() -> None:
    agreement = Agreement()
    agreement.hear(words("eins zwei"), EVER)
    agreement.doubt()
    assert agreement.hear(words("eins zwei"), EVER) == []


def test_final_words_heard_otherwise_come_neither_twice_nor_go() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.hear(words("the side-by-side comparison"), EVER)
    assert text(agreement.kept) == "the side-by-side comparison"
    heard = words("the side by side", each=0.2) + words("comparison you", start=0.8)
    agreement.hear(heard, EVER)
    assert text(agreement.open) == "you"


def parts(text: str) -> list[TimedWord]:
    """Words of which those after a hyphen are apart, as the decoder writes them."""
    return [
        word._replace(word=word.word.replace(" -", "-"))
        for word in words(text.replace("-", " -"), each=0.2)
    ]


def test_part_of_a_hyphenated_word_is_not_final() -> None:
    agreement = Agreement()
    agreement.hear(words("find a W", each=0.2), EVER)
    assert text(agreement.hear(parts("find a W-A-R"), EVER)) == "find a"
    assert text(agreement.hear(parts("find a W-A-R number"), EVER)) == "W-A-R"


def test_what_follows_a_hyphen_is_not_lost() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.hear(words("speech to", each=0.2), EVER)
    agreement.hear(parts("speech-to-text model"), EVER)
    assert text(agreement.open) == "-text model"


def test_repeated_words_are_told_apart_by_time() -> None:
    known = words("no no no")
    assert end_of_known(known, words("no no no no no")) == 3
    assert end_of_known(known[1:], words("no no no", start=0.4)) == 2


def test_trimmed_words_are_no_longer_compared() -> None:
    agreement = Agreement()
    for _ in range(2):
        agreement.hear(words("one two three four"), EVER)
    assert text(agreement.trim(0.8)) == "one two"
    agreement.hear(words("three four five", start=0.8), EVER)
    assert text(agreement.open) == "five"


def test_words_without_letters_are_compared_as_they_are() -> None:
    assert folded(TimedWord(" …", 0, 1, 1)) == "…"
    assert folded(TimedWord(' "Don\'t!"', 0, 1, 1)) == "don't"


def test_words_that_nobody_can_say_are_dropped() -> None:
    said = words("thank you all")
    squeezed = words("and that is it for now", start=1.3, each=0.02)
    assert text(plausible([*said, *squeezed], False)) == "thank you all"
    loop = words("no limit " * 5, each=0.1)
    assert text(plausible(loop, False)) == "no limit"
    assert text(plausible(words("no limit " * 5), False)) == "no limit " * 4 + "no limit"
    assert text(plausible(words("no limit " * 5), True)) == "no limit"


VOCABULARY = st.sampled_from(["no", "no,", "yes", "side", "by", "side-by-side", "…", "Ja"])


@given(st.lists(st.lists(VOCABULARY, max_size=8), max_size=12), st.data())
def test_final_words_never_change(hypotheses: list[list[str]], data: st.DataObject) -> None:
    agreement = Agreement()
    final: list[TimedWord] = []
    trimmed: list[TimedWord] = []
    for heard in hypotheses:
        times = sorted(data.draw(st.lists(st.floats(0, 9), min_size=len(heard) + 1, max_size=9)))
        timed = [
            TimedWord(f" {word}", start, end, 0.5)
            for word, start, end in zip(heard, times, times[1:], strict=False)
        ]
        final += agreement.hear(timed, data.draw(st.floats(0, 9)))
        trimmed += agreement.trim(data.draw(st.floats(0, 9)))
        assert trimmed + agreement.kept == final
        assert len(agreement.open) <= len(timed)
    final += agreement.accept()
    assert agreement.open == []
    assert trimmed + agreement.kept == final


@given(st.lists(VOCABULARY, min_size=1, max_size=8), st.lists(VOCABULARY, max_size=4))
def test_what_is_heard_again_is_known(known: list[str], more: list[str]) -> None:
    ends = list(accumulate([0.3] * (len(known) + len(more))))
    heard = [TimedWord(f" {w}", e - 0.3, e, 1.0) for w, e in zip(known + more, ends, strict=True)]
    assert end_of_known(heard[: len(known)], heard) == len(known)
