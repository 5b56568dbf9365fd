"""When each word of a window is said: alignment by the decoder's attention, in small pieces.

Whisper's decoder, fed a known text, attends at each token to the audio of that token; CTranslate2's
`align` finds the cheapest monotonic path through the attention of the heads that the model's
configuration names (dynamic time warping). faster-whisper aligns the decoder's own tokens, most of
which are whole words, and a word begins where the path enters its first token. That is 80 ms too
early on average: the attention of a token that stands for a whole word lies anywhere in that word,
so the path changes over before the word. Three steps correct it:

1. The text is aligned in pieces: the first character of each word, then pairs of characters. The
   attention of so small a piece has only one place to be. ("Whisper Has an Internal Word Aligner",
   2025, feeds single characters. Pairs are more precise, and 30 s of fast speech fit the decoder's
   context.) The attention is not smoothed by a median filter, which blurs small pieces. To a model
   that was trained on its own tokens alone, pieces mean nothing: it keeps the times of its tokens.
2. The path knows no silence: a pause belongs to the word after it, or to punctuation. Where Silero
   VAD found nobody speaking around a word boundary, the word before ends where the silence begins,
   and the word after begins where it ends. Elsewhere words touch, and a first piece that lasts too
   long is cut at its start.
3. Words are in order, do not overlap, and last neither zero nor implausibly long.

Probabilities are those of the decoder's own tokens, which takes an alignment of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import regex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Silence = tuple[float, float]
    """Where nobody speaks: start and end, in seconds from the start of the window."""

_FRAME: Final = 0.02  # seconds of one step of the encoder's output
_MEL_FRAME: Final = 0.01  # seconds
_CONTEXT: Final = 448  # tokens that the decoder takes
_MEDIAN_WIDTH: Final = 1  # no filter

_PIECES: Final = (2, 4, 8)
"""Characters of a piece but the first of a word: the smallest number whose tokens fit."""

_MEANINGLESS: Final = -12.0
"""Mean log probability of pieces below which the model has never learned them. OpenAI's models give
theirs -8 to 0; one that was trained on words gives -20 and less."""

_LEAST_PROBABILITY: Final = 1e-12

_HEADS: Final[dict[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]] = {
    # tiny.en: the published heads attend 100 ms after a small piece; this one does not.
    ((1, 0), (2, 0), (2, 5), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)): ((2, 1),),
}
"""For published heads, those for small pieces. Others serve as they are, base's among them."""

_VAD_WINDOW: Final = 0.032  # seconds of one probability
_VAD_LAG: Final = 0.032  # seconds by which the probabilities rise and fall late
_SPEECH: Final = 0.2  # probability above which somebody speaks
_SHORTEST_SILENCE: Final = 0.16  # seconds; less may be the closure of a consonant

_LONGEST_FIRST: Final = 0.3  # seconds of a first piece of one character; more includes a pause
_USUAL_FIRST: Final = 0.1  # seconds that remain, for each of its characters, of one that does
_EARLY: Final = 0.1  # seconds before the end of a word at which silence may begin
_LATE: Final = 0.5  # seconds after it: final sounds get little attention
_TOUCHING: Final = 0.35  # seconds between words without silence that belong to the first
_SHORTEST: Final = 0.02  # seconds of a word
_LONGEST: Final = 0.8  # seconds of a word, and
_LONGEST_CHARACTER: Final = 0.2  # of each of its characters

_WORD: Final = regex.compile(r"(\s*[^\p{L}\p{M}\p{N}\s]*)(.*?)([^\p{L}\p{M}\p{N}]*)", regex.DOTALL)
_CHARACTER: Final = regex.compile(r"\X")
_UNKNOWN: Final = "\ufffd"
"""What bytes that are no character decode to."""


class TimedWord(NamedTuple):
    """A word with its leading space; times in seconds from the start of the window."""

    word: str
    start: float
    end: float
    probability: float
    """The mean over the decoder's tokens of the word."""


class Rows(NamedTuple):
    """The rows of the alignment (one per token) that belong to a word."""

    first: int
    second: int
    """The row after the word's first piece."""
    last: int
    """The row of its last character."""
    stop: int
    """The row after its last character, of which punctuation is no part."""
    characters: int = 1
    leading: int = 1
    """The characters of the first piece."""


def time_words(
    model: Any,
    encoded: Any,
    tokenizer: Any,
    texts: Sequence[Sequence[int]],
    frames: Sequence[int],
    silences: Sequence[Sequence[Silence]] | None = None,
    *,
    in_pieces: bool = True,
    prepended: str = "\"'“¿([{-",
    appended: str = "\"'.。,，!！?？:：”)]}、",
) -> list[list[TimedWord]]:
    """The words of each window of a batch, in their order.

    `model` is a `WhisperModel` of faster-whisper, `encoded` the encoder's output for the batch,
    `tokenizer` faster-whisper's for the language of all windows. Of each window, `texts` has the
    tokens without timestamps and end of text, `frames` the number of mel frames (10 ms) that are
    audio, and `silences` the times at which nobody speaks (see `silent_spans`). Without
    `in_pieces` the decoder's own tokens are aligned, which takes a third of the time. Punctuation
    in `prepended` or `appended` joins the word after or before it.
    """
    count = len(texts)
    if not any(texts):
        return [[] for _ in range(count)]
    start = tokenizer.sot_sequence
    own = [list(text) for text in texts]
    windows = [_Text(tokenizer, text) for text in own]
    limit = _CONTEXT - len(start) - 2 if in_pieces else 0  # <|notimestamps|>, end of the text
    pieces = [window.pieces(limit) for window in windows]
    # Two calls, because the probability of a word in pieces says nothing.
    probable = model.model.align(
        encoded, start, own, list(frames), median_filter_width=_MEDIAN_WIDTH
    )
    aligned = probable
    if pieces != own:
        aligned = model.model.align(
            encoded, start, pieces, list(frames), median_filter_width=_MEDIAN_WIDTH
        )
    timed = []
    for i, window in enumerate(windows):
        path = aligned[i]
        if _is_meaningless(path.text_token_probs):
            path, pieces[i] = probable[i], window.whole()
        words = window.words(probable[i].text_token_probs, prepended, appended)
        spans = place_words(
            row_starts(path.alignments, len(pieces[i]) + 1),
            [rows for _, _, rows in words],
            silences[i] if silences is not None else (),
            frames[i] * _MEL_FRAME,
        )
        timed.append(
            [
                TimedWord(word, *span, probability)
                for (word, probability, _), span in zip(words, spans, strict=True)
            ]
        )
    return timed


def _is_meaningless(probabilities: Sequence[float]) -> bool:
    """Whether a model that gives these to the pieces of its own text does not know them."""
    if not probabilities:
        return False
    logs = (math.log(max(each, _LEAST_PROBABILITY)) for each in probabilities)
    return sum(logs) / len(probabilities) < _MEANINGLESS


def alignment_heads(configured: Sequence[Sequence[int]]) -> list[list[int]]:
    """The heads, as layer and head, to write into the configuration of a model to be loaded.

    `configured` is the `alignment_heads` of its config.json, which CTranslate2 reads at the load.
    """
    known = tuple((layer, head) for layer, head in configured)
    return [list(head) for head in _HEADS.get(known, known)]


def silent_spans(probabilities: npt.NDArray[np.float32], start: float, end: float) -> list[Silence]:
    """Where nobody speaks between two times of a recording, in seconds from `start`.

    `probabilities` are those of the whole recording, as `speech_probabilities` returns them.
    """
    first = max(0, int((start + _VAD_LAG) / _VAD_WINDOW))
    found: list[Silence] = []
    begun: float | None = None
    for i in range(first, len(probabilities) + 1):
        over = i == len(probabilities)
        time = end if over else min(max(i * _VAD_WINDOW - _VAD_LAG, start), end)
        silent = not over and probabilities[i] < _SPEECH
        if silent and begun is None:
            begun = time
        if begun is not None and (not silent or time >= end):
            # At the edges of a window any silence counts: no consonant is closed there.
            edge = begun <= start or time >= end
            if time > begun and (edge or time - begun >= _SHORTEST_SILENCE):
                found.append((begun - start, time - start))
            begun = None
        if time >= end:
            break
    return found


def row_starts(path: Sequence[tuple[int, int]], rows: int) -> list[float]:
    """When the path enters each of `rows` rows, in seconds.

    `path` has pairs of row and frame (20 ms), neither of which ever decreases.
    """
    starts: list[float] = []
    for row, frame in path:
        while len(starts) <= row:
            starts.append(frame * _FRAME)
    last = starts[-1] if starts else 0.0
    return starts + [last] * (rows - len(starts))


def place_words(
    starts: Sequence[float],
    words: Sequence[Rows],
    silences: Sequence[Silence],
    duration: float,
) -> list[tuple[float, float]]:
    """Start and end of each word, within a window of `duration` seconds.

    `starts` says when the path enters each row; the last row is the end of the text. Words are in
    order, and so are `silences`.
    """
    if not words:
        return []
    placed = [[starts[word.first], starts[word.stop]] for word in words]
    left = list(silences)
    for i in range(len(words) + 1):
        between = _silences_before(i, starts, words, left, duration)
        if between:
            left = [s for s in left if s[0] > between[-1][0]]  # a silence is at one boundary only
        _part(i, starts, words, placed, between)
    for span, word in zip(placed, words, strict=True):
        longest = _LONGEST + _LONGEST_CHARACTER * word.characters
        span[1] = min(span[1], span[0] + longest)
    return in_order(placed, duration)


def _silences_before(
    i: int,
    starts: Sequence[float],
    words: Sequence[Rows],
    silences: Sequence[Silence],
    duration: float,
) -> list[Silence]:
    """The silences between the words i - 1 and i, or at an end of the window."""
    # The first piece of a word, if that contains silence, is said after it.
    latest = starts[words[i].second] if i < len(words) else duration
    found = [silence for silence in silences if silence[0] < latest - _SHORTEST]
    if i:
        word = words[i - 1]
        end = starts[word.stop]
        found = [s for s in found if s[1] > end - _EARLY and s[0] >= starts[word.last]]
        found = [s for s in found if s[0] <= end + _LATE] or found
    if i == len(words) and not found:
        found = [(duration, duration)]  # the window ends where speech ends
    return found


def _part(
    i: int,
    starts: Sequence[float],
    words: Sequence[Rows],
    placed: list[list[float]],
    between: Sequence[Silence],
) -> None:
    """Move the end of the word i - 1 and the start of the word i to where they are said."""
    if i and between and between[0][0] <= starts[words[i - 1].stop] + _LATE:
        placed[i - 1][1] = max(between[0][0], starts[words[i - 1].last] + _SHORTEST)
    if i == len(words):
        return
    second = starts[words[i].second]
    if between:
        placed[i][0] = min(max(placed[i][0], between[-1][1]), second - _SHORTEST)
    leading = words[i].leading
    if second - placed[i][0] > _LONGEST_FIRST + (leading - 1) * _LONGEST_CHARACTER:
        placed[i][0] = second - _USUAL_FIRST * leading
    if i and not between and placed[i][0] - placed[i - 1][1] <= _TOUCHING:
        placed[i - 1][1] = placed[i][0]


def in_order(placed: Sequence[Sequence[float]], duration: float) -> list[tuple[float, float]]:
    """The spans without overlap, none shorter than a word can be, between 0 and `duration`."""
    if not placed:
        return []
    shortest = min(_SHORTEST, duration / len(placed))
    spans = []
    free = duration
    for start, end in reversed(placed):  # from the end: a late word makes those before it earlier
        end = min(end, free)
        free = max(min(start, end - shortest), 0.0)
        spans.append((free, end))
    spans.reverse()
    ordered = []
    free = 0.0
    for start, end in spans:
        start = max(start, free)
        free = max(end, start + shortest)
        ordered.append((start, min(free, duration)))
    return ordered


class _Text:
    """The text of one window, by words and by pieces."""

    def __init__(self, tokenizer: Any, tokens: list[int]) -> None:
        words, word_tokens = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._words: list[str] = words[:-1]
        self._word_tokens: list[list[int]] = word_tokens[:-1]
        self._rows: list[Rows] = []

    def pieces(self, limit: int) -> list[int]:
        """The tokens to align, at most `limit` unless the text itself has more."""
        for size in _PIECES:
            tokens, self._rows = self._split(size)
            if len(tokens) <= limit:
                return tokens
        return self.whole()

    def whole(self) -> list[int]:
        """The text's own tokens, to align instead of pieces."""
        self._rows = list(self._own_rows())
        return self._tokens

    def words(
        self, probabilities: Sequence[float], prepended: str, appended: str
    ) -> list[tuple[str, float, Rows]]:
        """Each word, its probability, and the rows of its pieces, with punctuation merged."""
        found: list[tuple[str, float, Rows]] = []
        place = 0
        for word, tokens, rows in zip(self._words, self._word_tokens, self._rows, strict=True):
            own = probabilities[place : place + len(tokens)]
            place += len(tokens)
            found.append((word, sum(own) / max(1, len(own)), rows))
        texts = merge_punctuation([word for word, _, _ in found], prepended, appended)
        return [
            (text, probability, rows)
            for text, (_, probability, rows) in zip(texts, found, strict=True)
            if text
        ]

    def _split(self, size: int) -> tuple[list[int], list[Rows]]:
        tokens: list[int] = []
        rows = []
        for word, own in zip(self._words, self._word_tokens, strict=True):
            first = second = last = stop = len(tokens)
            characters = 0
            for piece, spoken in split_word(word, size):
                encoded = own if piece is None else self._tokenizer.encode(piece)
                if spoken:
                    if not characters:
                        second = len(tokens) + len(encoded)
                    last, stop = len(tokens), len(tokens) + len(encoded)
                    characters += spoken
                tokens += encoded
            if not characters:  # punctuation alone
                second = stop = len(tokens)
            rows.append(Rows(first, second, last, stop, max(1, characters)))
        return tokens, rows

    def _own_rows(self) -> Iterator[Rows]:
        place = 0
        for word, tokens in zip(self._words, self._word_tokens, strict=True):
            stop = place + len(tokens)
            leading = word if len(tokens) == 1 else self._tokenizer.decode(tokens[:1])
            characters, first = (max(1, len(text.strip())) for text in (word, leading))
            yield Rows(place, place + 1, stop - 1, stop, characters, first)
            place = stop


def split_word(word: str, size: int) -> list[tuple[str | None, int]]:
    """The pieces of a word, and how many characters of each are spoken.

    The first has one character, the others `size`; punctuation around the word is apart. A word
    with bytes that are no character stays whole: its piece is None.
    """
    if _UNKNOWN in word:
        return [(None, len(word))]
    matched = _WORD.fullmatch(word)
    assert matched is not None  # each part may be empty
    lead, body, tail = matched.groups()
    characters = _CHARACTER.findall(body)
    if not characters:
        return [(lead + tail, 0)] if lead + tail else []
    pieces: list[tuple[str | None, int]] = []
    mark = lead.lstrip()
    if mark:
        pieces.append((lead, 0))
        lead = ""
    pieces.append((lead + characters[0], 1))
    for k in range(1, len(characters), size):
        group = characters[k : k + size]
        pieces.append(("".join(group), len(group)))
    if tail:
        pieces.append((tail, 0))
    return pieces


def merge_punctuation(words: Sequence[str], prepended: str, appended: str) -> list[str]:
    """The words with punctuation merged into its neighbour; "" where it was.

    This is faster-whisper's `merge_punctuations`.
    """
    merged = list(words)
    following = len(merged) - 1
    for i in range(len(merged) - 2, -1, -1):
        if merged[i].startswith(" ") and merged[i].strip() in prepended:
            merged[following] = merged[i] + merged[following]
            merged[i] = ""
        else:
            following = i
    previous = 0
    for i in range(1, len(merged)):
        if not merged[previous].endswith(" ") and merged[i] in appended:
            merged[previous] += merged[i]
            merged[i] = ""
        else:
            previous = i
    return merged
