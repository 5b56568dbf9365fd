"""Finds where a line of text may break, and how wide it is.

Lines break as in Unicode's UAX 14, by fewer rules: at spaces and between ideographs and kana, but
never before closing punctuation or after opening punctuation. Only a piece that is wider than the
line by itself is cut elsewhere, between two grapheme clusters (UAX 29, by the package regex).
Text stays in logical order: the player lays out right-to-left text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

_EMOJI_STYLE: Final = "\ufe0f"
_SPACES: Final = " \u3000\u200b"
_WORD: Final = re.compile(f"[^{_SPACES}]+")
_JOINERS: Final = "\u00a0\u202f\u2060\ufeff"

_CLOSING: Final = frozenset(
    "!%),.:;?]}¢°»›’”…‥·‐–—、。〃々〉》」』】〕〗〙〛〜〞〟゛゜ゝゞ・ーヽヾ"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
    "！％），．：；？］｝～｠｡｣､･ｰ،؛؟۔"
)
_OPENING: Final = frozenset("([{«‹‘“〈《「『【〔〖〘〚〝（［｛｟｢¿¡$£¥€")

_WIDE_SCRIPTS: Final = (
    (0x2E80, 0x2FFF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x30FF),  # hiragana, katakana
    (0x3100, 0x312F),  # bopomofo
    (0x31A0, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA4CF),  # Yi
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # halfwidth katakana
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFD),
)


def is_wide_script(char: str) -> bool:
    """Whether a line may break beside it without a space: ideographs, kana and the like."""
    code = ord(char)
    return any(low <= code <= high for low, high in _WIDE_SCRIPTS)


def width(text: str) -> int:
    """Columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cluster_width(text[a:b]) for a, b in clusters(text))


def widths(text: str) -> list[int]:
    """Columns up to each position: `text[a:b]` takes `w[b] - w[a]`."""
    if text.isascii():
        return list(range(len(text) + 1))
    total = [0] * (len(text) + 1)
    for a, b in clusters(text):
        wide = _cluster_width(text[a:b])
        for i in range(a + 1, b + 1):
            total[i] = total[a] + wide
    return total


def clusters(text: str) -> list[tuple[int, int]]:
    """Spans of the grapheme clusters: what a reader perceives as one character."""
    if text.isascii():
        return [(i, i + 1) for i in range(len(text))]
    return [match.span() for match in _cluster_pattern().finditer(text)]


def units(text: str, limit: int | None = None) -> list[tuple[int, int]]:
    """Spans that stay on one line, without the spaces between them.

    Cuts spans that are wider than `limit` columns.
    """
    found: list[tuple[int, int]] = []
    columns = widths(text) if limit else []
    for a, b in _whole_units(text):
        if limit and columns[b] - columns[a] > limit:
            found += _cut(text, a, b, limit)
        else:
            found.append((a, b))
    return found


def _whole_units(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for word in _WORD.finditer(text):
        begin, end = word.span()
        pieces = [(begin, end)] if word[0].isascii() else _pieces(text, begin, end)
        if found and not _may_break_at_space(text, found[-1][1], begin):
            pieces[0] = (found.pop()[0], pieces[0][1])
        found += pieces
    return found


def _pieces(text: str, begin: int, end: int) -> list[tuple[int, int]]:
    """The parts of a word, without spaces, that may stand on lines of their own."""
    places = [begin + a for a, _ in clusters(text[begin:end])]
    breaks = [at for at in places[1:] if _may_break(text, begin, at)]
    return list(itertools.pairwise((begin, *breaks, end)))


def _may_break_at_space(text: str, end: int, at: int) -> bool:
    """Keep punctuation that stands alone with its neighbour: « Bonjour ! »"""
    return not (_is_lone(text, at, _CLOSING) or _is_lone_before(text, end, _OPENING))


def _may_break(text: str, begin: int, at: int) -> bool:
    """Whether a line may end before the cluster at `at`, in a word that begins at `begin`."""
    before, after = text[at - 1], text[at]
    if after in _CLOSING or before in _OPENING or before in _JOINERS or after in _JOINERS:
        return False
    marks = reversed(text[max(begin, at - 8) : at])
    base = next((char for char in marks if not unicodedata.combining(char)), before)
    # A line may also end after closing punctuation of a wide script.
    wide_before = is_wide_script(base) or (base in _CLOSING and _is_wide(base))
    wide_after = is_wide_script(after) or (after in _OPENING and _is_wide(after))
    return wide_before or wide_after


def _is_lone(text: str, at: int, marks: frozenset[str]) -> bool:
    """Whether the word that begins at `at` is punctuation that begins with one of `marks`."""
    if text[at] not in marks:
        return False
    word = text[at : at + 16].partition(" ")[0]
    return not any(char.isalnum() for char in word)


def _is_lone_before(text: str, end: int, marks: frozenset[str]) -> bool:
    """Whether the word that ends at `end` is punctuation that ends with one of `marks`."""
    if text[end - 1] not in marks:
        return False
    word = text[max(0, end - 16) : end].rpartition(" ")[2]
    return not any(char.isalnum() for char in word)


def _cut(text: str, begin: int, end: int, limit: int) -> list[tuple[int, int]]:
    """Pieces of at most `limit` columns, cut between clusters."""
    spans = [(begin + a, begin + b) for a, b in clusters(text[begin:end])]
    pieces: list[tuple[int, int]] = []
    first = 0
    while first < len(spans):
        last, used = first, 0
        while last < len(spans):
            used += _cluster_width(text[slice(*spans[last])])
            if used > limit and last > first:
                break
            last += 1
        last = _better_cut(text, spans, first, last)
        pieces.append((spans[first][0], spans[last - 1][1]))
        first = last
    return pieces


def _better_cut(text: str, spans: Sequence[tuple[int, int]], first: int, last: int) -> int:
    """The last place up to `last` that is not beside punctuation; `last` if all are."""
    if last == len(spans):
        return last
    for place in range(last, first, -1):
        if text[spans[place][0]] not in _CLOSING and text[spans[place][0] - 1] not in _OPENING:
            return place
    return last


@cache
def _cluster_pattern() -> Any:
    import regex  # with the first text that is not ASCII: 15 ms

    # A space is a cluster by itself even before a combining mark: lines break there.
    return regex.compile(rf"[{_SPACES}]|\X")


@lru_cache(4096)
def _cluster_width(cluster: str) -> int:
    flag = len(cluster) > 1 and "\U0001f1e6" <= cluster[0] <= "\U0001f1ff"
    if flag or _EMOJI_STYLE in cluster:
        return 2
    return max(map(_char_width, cluster))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if _is_wide(char) else 1


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
