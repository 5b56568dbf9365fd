"""Finds where a line of text may break, how good a break that is, and how wide the text is.

Lines break as in Unicode's UAX 14, by fewer rules: at spaces and between ideographs and kana, but
never before closing punctuation or after opening punctuation. Only a piece that is wider than the
line by itself is cut elsewhere, between two grapheme clusters (UAX 29, by the package regex).

Thai, Lao, Khmer and Burmese write no spaces between words. Their lines break at spaces, and a
phrase that is wider than the line between syllables, as far as letters show them: never so that a
vowel, a tone mark or a silent or final consonant loses its letter. A word may be broken where
`phrases` does not know it.

Text stays in logical order: the player lays out right-to-left text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import Any, Final, Literal

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

_SENTENCE_ENDS: Final = frozenset(".?!…。？！．।؟۔။។")
_CLAUSE_ENDS: Final = frozenset(",;:–—、，；：،؛၊")
_CLOSING_QUOTES: Final = "\"'”’»)]}」』）"
_TITLES: Final = frozenset(
    ("mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "no.", "nr.", "mme.", "sr.", "sra.", "ca.")
)
"""Before a name or a number: their full stop ends no sentence."""
_SHORT_WORD: Final = 3
"""Letters. Articles, prepositions and conjunctions are short, and belong to what comes after, as
numbers do."""

_UNSPACED_SCRIPTS: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0xA9E0, 0xA9FF),  # Burmese, extended
    (0xAA60, 0xAA7F),
)
_LEADING_VOWELS: Final = frozenset("เแโใไເແໂໃໄ")
_DEPENDENT: Final = frozenset("ะาำๅๆฯะາຳຽໆຯៗ")
"""What belongs to the letter before it, besides combining marks."""
_STACKING: Final = frozenset("\u1039\u17d2")
"""Virama and coeng: they join the letters before and after them."""
_SILENCING: Final = frozenset("\u0e4c\u0ecc\u103a\u17cd")
"""Marks of a consonant that ends a syllable or is not spoken: it belongs to what is before it."""
_CLOSED: Final = frozenset("\u0e31\u0e37\u0e47\u0eb1\u0eb7")
"""Vowels of syllables that a consonant ends: they belong to what is after them."""

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
    for whole in _whole_units(text):
        if not limit or columns[whole[1]] - columns[whole[0]] <= limit:
            found.append(whole)
            continue
        for a, b in _syllables(text, *whole):
            if columns[b] - columns[a] > limit:
                found += _cut(text, a, b, limit)
            else:
                found.append((a, b))
    return found


def break_cost(text: str, end: int, at: int, phrases: Collection[int] = ()) -> float:
    """How much a break hurts between `text[:end]` and `text[at:]`.

    0 after a sentence, less than 1 after a clause, about 1 between words, more within what may be
    a word. `phrases` are the places where words begin, if they are known.
    """
    before = text[max(0, end - 8) : end].rstrip(_CLOSING_QUOTES)[-1:]
    if before in _SENTENCE_ENDS:
        return 1.2 if before == "." and _goes_on(text, end, at) else 0.0
    if before in _CLAUSE_ENDS or text[at] in "–—-":
        return 0.3
    if end == at and phrases:
        return 0.9 if at in phrases else 2.5
    if end == at:
        return _cost_without_space(text[end - 1], text[at])
    if all(is_wide_script(char) or _is_unspaced(char) for char in (text[end - 1], text[at])):
        return 0.3  # a space where words have none
    if text[at] in _OPENING:
        return 0.7
    last = text[max(0, end - _SHORT_WORD - 1) : end].rpartition(" ")[2]
    short = len(last) <= _SHORT_WORD and last.isalpha() and not last.isupper()
    return 1.4 if short or last[-1:].isdecimal() else 1.0


def _goes_on(text: str, end: int, at: int) -> bool:
    """Whether a full stop does not end a sentence."""
    word = text[max(0, end - 8) : end].rpartition(" ")[2].casefold()
    return text[at].islower() or word in _TITLES or (len(word) == 2 and word[0].isalpha())


def _cost_without_space(before: str, after: str) -> float:
    if _is_unspaced(after):
        return 1.2 if after in _LEADING_VOWELS or before in _DEPENDENT else 1.6
    if before in "っッ":
        return 1.6
    if "\u3041" <= before <= "\u309f" and not "\u3041" <= after <= "\u309f":
        return 0.8  # in Japanese, endings are in hiragana
    if "\u30a0" <= before <= "\u30ff" and "\u30a0" <= after <= "\u30ff":
        return 1.6  # a word in katakana
    return 1.1


def direction(text: str) -> Literal["ltr", "rtl"] | None:
    """Which way most of the letters go; None without letters."""
    counts = Counter(map(unicodedata.bidirectional, text))
    left, right = counts["L"], counts["R"] + counts["AL"]
    if not left and not right:
        return None
    return "rtl" if right > left else "ltr"


def _is_unspaced(char: str) -> bool:
    code = ord(char)
    return any(low <= code <= high for low, high in _UNSPACED_SCRIPTS)


def _syllables(text: str, begin: int, end: int) -> list[tuple[int, int]]:
    """The parts of a word that may be apart in scripts without spaces; else the word."""
    if not any(map(_is_unspaced, text[begin:end])):
        return [(begin, end)]
    spans = [(begin + a, begin + b) for a, b in clusters(text[begin:end])]
    breaks = [a for a, b in spans[1:] if _may_part(text[max(begin, a - 2) : a], text[a:b])]
    return list(itertools.pairwise((begin, *breaks, end)))


def _may_part(before: str, cluster: str) -> bool:
    """Whether a line may end between two characters and a cluster, in a script without spaces."""
    last, first = before[-1], cluster[0]
    if not _is_unspaced(last) and not _is_unspaced(first):
        return False
    return not (
        first in _DEPENDENT
        or first in _CLOSING
        or last in _OPENING
        or last in _LEADING_VOWELS
        or not _CLOSED.isdisjoint(before)
        or last in _STACKING
        or first in _STACKING
        or unicodedata.category(first).startswith("M")
        or not _SILENCING.isdisjoint(cluster)
        or (last.isdecimal() and first.isdecimal())
    )


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
