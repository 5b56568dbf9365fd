"""Word times: from a path through the decoder's attention to words in order."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.recognition.whisper.word_times import (
    Rows,
    TimedWord,
    alignment_heads,
    merge_punctuation,
    place_words,
    row_starts,
    silent_spans,
    split_word,
    time_words,
)

SHORTEST = 0.02


def rows(*pieces: int) -> list[Rows]:
    """Words of so many pieces each, without punctuation."""
    found = []
    place = 0
    for count in pieces:
        found.append(Rows(place, place + 1, place + count - 1, place + count, 2 * count - 1))
        place += count
    return found


def close(found: Sequence[tuple[float, float]], expected: Sequence[tuple[float, float]]) -> bool:
    return np.allclose(found, expected, atol=1e-9)


# The path


def test_a_row_starts_where_the_path_enters_it() -> None:
    assert row_starts([(0, 0), (0, 1), (1, 2), (2, 2), (2, 3)], 3) == [0.0, 0.04, 0.04]


def test_rows_that_the_path_misses_start_with_its_last() -> None:
    assert row_starts([(0, 0), (1, 5)], 4) == [0.0, 0.1, 0.1, 0.1]
    assert row_starts([], 2) == [0.0, 0.0]


# Words between silences


def test_words_without_silence_touch() -> None:
    starts = [0.0, 0.1, 0.3, 0.4, 0.6]
    assert close(place_words(starts, rows(2, 2), [], 0.8), [(0.0, 0.3), (0.3, 0.8)])


def test_a_pause_is_part_of_neither_word() -> None:
    # The path gives the pause to the second word.
    starts = [0.0, 0.1, 0.3, 1.1, 1.3]
    found = place_words(starts, rows(2, 2), [(0.35, 1.0)], 1.3)
    assert close(found, [(0.0, 0.35), (1.0, 1.3)])


def test_a_pause_that_punctuation_takes_is_part_of_neither_word() -> None:
    words = [Rows(0, 1, 1, 2), Rows(3, 4, 4, 5)]  # row 2 is a comma
    starts = [0.0, 0.1, 0.3, 0.9, 1.1, 1.3]
    found = place_words(starts, words, [(0.4, 0.95)], 1.3)
    assert close(found, [(0.0, 0.4), (0.95, 1.3)])


def test_a_short_sound_in_a_pause_is_part_of_neither_word() -> None:
    starts = [0.0, 0.1, 0.3, 1.1, 1.3]
    found = place_words(starts, rows(2, 2), [(0.3, 0.6), (0.7, 1.0)], 1.3)
    assert close(found, [(0.0, 0.3), (1.0, 1.3)])


def test_the_first_word_starts_after_the_first_silence() -> None:
    found = place_words([0.0, 0.3, 0.5], rows(2), [(0.0, 0.2)], 0.5)
    assert close(found, [(0.2, 0.5)])


def test_the_last_word_ends_where_the_last_silence_begins() -> None:
    assert close(place_words([0.0, 0.1, 0.3], rows(2), [(0.5, 0.7)], 0.7), [(0.0, 0.5)])


def test_a_silence_is_at_one_boundary_only() -> None:
    # The first of two words of one piece is said after the silence, not before it.
    found = place_words([0.0, 0.2, 0.3], rows(1, 1), [(0.0, 0.13)], 0.3)
    assert close(found, [(0.13, 0.2), (0.2, 0.3)])


def test_a_silence_within_a_word_does_not_cut_it() -> None:
    found = place_words([0.0, 0.1, 0.6, 0.7], rows(3), [(0.3, 0.5)], 0.7)
    assert close(found, [(0.0, 0.7)])


def test_a_first_piece_that_lasts_too_long_is_cut_at_its_start() -> None:
    starts = [0.0, 0.1, 0.2, 1.2, 1.4]
    (_, end), (start, _) = place_words(starts, rows(2, 2), [], 1.4)
    assert end == pytest.approx(0.2)
    assert start == pytest.approx(1.1)


def test_no_word_lasts_implausibly_long() -> None:
    ((start, end),) = place_words([0.0, 0.1, 9.0], rows(2), [], 9.0)
    assert end - start <= 0.8 + 3 * 0.2


@given(st.data())
def test_words_are_in_order_within_the_window(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 4), max_size=12))
    duration = data.draw(st.floats(0.02, 30))
    times = st.floats(0, duration)
    size = sum(counts) + 1
    starts = sorted(data.draw(st.lists(times, min_size=size, max_size=size)))
    edges = sorted(data.draw(st.lists(times, max_size=8)))
    silences = list(zip(edges[::2], edges[1::2], strict=False))
    found = place_words(starts, rows(*counts), silences, duration)
    assert len(found) == len(counts)
    free = 0.0
    for start, end in found:
        assert start >= free - 1e-9
        assert end - start >= min(SHORTEST, duration / len(counts)) - 1e-9
        free = end
    assert free <= duration + 1e-9


# Silence


def probabilities(*windows: int) -> Any:
    """Probabilities of alternately speech and silence, in windows of 32 ms."""
    return np.concatenate([np.full(n, 0.9 - 0.85 * (k % 2)) for k, n in enumerate(windows)])


def test_silence_is_told_in_seconds_from_the_start_of_the_window() -> None:
    found = silent_spans(probabilities(100, 50, 100), 1.0, 8.0)
    assert close(found, [(99 * 0.032 - 1.0, 149 * 0.032 - 1.0)])


def test_the_closure_of_a_consonant_is_no_silence() -> None:
    assert silent_spans(probabilities(100, 4, 100), 0.0, 6.0) == []


def test_silence_at_the_edges_counts_however_short() -> None:
    found = silent_spans(probabilities(0, 3, 50, 3), 0.0, 56 * 0.032)
    assert close(found, [(0.0, 0.064), (52 * 0.032, 56 * 0.032)])


def test_silence_without_speech_is_the_whole_window() -> None:
    assert close(silent_spans(probabilities(0, 100), 1.0, 2.0), [(0.0, 1.0)])


@given(st.lists(st.floats(0, 1), max_size=60), st.floats(0, 2), st.floats(0, 2))
def test_silences_are_in_order_within_the_window(
    found: list[float], start: float, length: float
) -> None:
    spans = silent_spans(np.array(found, np.float32), start, start + length)
    flat = [time for span in spans for time in span]
    assert flat == sorted(flat)
    assert all(-1e-9 <= time <= length + 1e-9 for time in flat)
    assert all(a < b for a, b in spans)


# Pieces


def test_a_piece_is_one_character_then_two() -> None:
    assert split_word(" country", 2) == [(" c", 1), ("ou", 2), ("nt", 2), ("ry", 2)]
    assert split_word(" I", 2) == [(" I", 1)]


def test_punctuation_is_a_piece_that_nobody_says() -> None:
    assert split_word(' "so,"', 2) == [(' "', 0), ("s", 1), ("o", 1), (',"', 0)]
    assert split_word("?", 2) == [("?", 0)]
    assert split_word(" don't", 4) == [(" d", 1), ("on't", 4)]


def test_marks_stay_with_their_character() -> None:
    assert split_word("नि", 2) == [("नि", 1)]
    assert split_word("e\u0301t", 1) == [("e\u0301", 1), ("t", 1)]


def test_damaged_bytes_stay_whole() -> None:
    assert split_word(" a\ufffd", 2) == [(None, 3)]


@given(st.text(), st.integers(1, 8))
def test_pieces_are_the_word(word: str, size: int) -> None:
    pieces = split_word(word, size)
    assert "".join(word if piece is None else piece for piece, _ in pieces) == word
    assert all(piece for piece, _ in pieces if piece is not None)


# Punctuation


def test_punctuation_joins_its_word() -> None:
    words = [" Hello", ",", ' "', "you", '"', "!"]
    assert merge_punctuation(words, '"', '",!') == [" Hello,", "", "", ' "you"!', "", ""]


@given(st.lists(st.sampled_from([" a", "b", ",", ' "', '"', ".", " -", "。"]), max_size=12))
def test_merging_is_the_package_s(words: list[str]) -> None:
    from faster_whisper.transcribe import merge_punctuations

    theirs: list[dict[str, Any]] = [{"word": word, "tokens": [0]} for word in words]
    merge_punctuations(theirs, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    assert merge_punctuation(words, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、") == [
        word["word"] for word in theirs
    ]


# The whole, with a stand-in for the model


class Aligned(NamedTuple):
    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


class Aligner:
    """A model whose path enters row k at frame 10 k; its tokens are ever less probable."""

    def __init__(self) -> None:
        self.model = self
        self.calls: list[list[list[int]]] = []

    def align(
        self,
        encoded: object,
        start: list[int],
        texts: list[list[int]],
        frames: list[int],
        **options: int,
    ) -> list[Aligned]:
        self.calls.append(texts)
        return [
            Aligned(
                [(row, 10 * row) for row in range(len(text) + 1)],
                [1 - row / 100 for row in range(len(text))],
            )
            for text in texts
        ]


class Letters(Tokenizer):  # type: ignore[misc]  # it has no types
    """A tokenizer with a token for each character, as faster-whisper's splits words."""

    language_code = "en"
    sot_sequence = (2_000_002,)
    eot = 2_000_000
    timestamp_begin = 2_000_001

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def __init__(self) -> None:
        pass

    def decode(self, tokens: list[int]) -> str:
        return self.decode_with_timestamps(tokens)

    def decode_with_timestamps(self, tokens: list[int]) -> str:
        return "".join("" if token == self.eot else chr(token) for token in tokens)


def times(text: str, **options: Any) -> list[TimedWord]:
    tokenizer = Letters()
    tokens = tokenizer.encode(text)
    (words,) = time_words(Aligner(), None, tokenizer, [tokens], [3000], **options)
    return words


def test_words_keep_their_spaces_and_punctuation() -> None:
    assert [word.word for word in times(" Hello, you!")] == [" Hello,", " you!"]


def test_a_probability_is_the_mean_of_the_word_s_own_tokens() -> None:
    first, second = times(" ab cde")
    assert first.probability == pytest.approx(np.mean([1, 0.99, 0.98]))
    assert second.probability == pytest.approx(np.mean([0.97, 0.96, 0.95, 0.94]))


def test_a_text_without_tokens_has_no_words() -> None:
    assert time_words(Aligner(), None, Letters(), [[], []], [100, 100]) == [[], []]
    empty, full = time_words(Aligner(), None, Letters(), [[], [ord("a")]], [100, 100])
    assert not empty
    assert len(full) == 1


def test_a_batch_takes_no_more_than_two_alignments() -> None:
    model, tokenizer = Aligner(), Letters()
    texts = [tokenizer.encode(text) for text in (" one", " two three", "")]
    assert [len(words) for words in time_words(model, None, tokenizer, texts, [300] * 3)] == [
        1,
        2,
        0,
    ]
    assert len(model.calls) <= 2


def test_a_model_that_knows_no_pieces_times_its_own_tokens() -> None:
    class Trained(Aligner):
        """Was trained on its own tokens, which are two characters long; pieces are noise to it."""

        def align(self, *args: Any, **options: Any) -> list[Aligned]:
            found = super().align(*args, **options)
            return found if len(self.calls) == 1 else [Aligned([(0, 0)], [1e-12] * 9)] * len(found)

    class Pairs(Letters):
        def decode_with_timestamps(self, tokens: list[int]) -> str:
            return "".join("" if token == self.eot else 2 * chr(token) for token in tokens)

    text = [ord("a"), ord("b")]
    (own,) = time_words(Trained(), None, Pairs(), [text], [3000], in_pieces=False)
    (timed,) = time_words(Trained(), None, Pairs(), [text], [3000])
    assert timed == own
    assert timed[-1].end > 0.1


def test_a_first_piece_may_last_as_long_as_its_characters() -> None:
    whole = Rows(first=0, second=1, last=0, stop=1, characters=5, leading=5)
    assert place_words([0.0, 0.8], [whole], [], 2.0)[0][0] == 0.0
    ((start, _),) = place_words([0.0, 1.5], [whole], [], 2.0)
    assert start == pytest.approx(1.0)  # the pause before it is no part of it


def test_pieces_fit_the_decoder_s_context() -> None:
    class Wasteful(Letters):
        def encode(self, text: str) -> list[int]:
            return [ord(character) for character in text] * 2

    model, tokenizer = Aligner(), Wasteful()
    tokens = [ord(character) for character in " abcdefg" * 40]
    (words,) = time_words(model, None, tokenizer, [tokens], [3000])
    assert len(words) == 40
    assert all(len(text) <= 448 for texts in model.calls for text in texts)


def test_heads_that_attend_late_are_replaced() -> None:
    tiny_en = [[1, 0], [2, 0], [2, 5], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]]
    assert alignment_heads(tiny_en) == [[2, 1]]
    assert alignment_heads([[3, 1], [4, 2]]) == [[3, 1], [4, 2]]


@given(st.text(string.printable + "éक्षि字。", max_size=40))
def test_any_text_has_words_in_order(text: str) -> None:
    words = times(text)
    assert "".join(word.word for word in words) == text
    free = 0.0
    for word in words:
        assert free - 1e-9 <= word.start < word.end <= 30.0 + 1e-9
        free = word.end
