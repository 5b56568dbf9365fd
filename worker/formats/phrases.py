"""Where words and phrases begin in Thai, Japanese and Chinese, which write no spaces.

BudouX finds them, Google's small model for line breaks (https://github.com/google/budoux), if the
extra `captions` is installed. Without it, a break is judged by the letters beside it alone.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Any, Final

_NONE: Final = frozenset[int]()


def phrase_starts(text: str) -> frozenset[int]:
    """The places in a text where words or phrases begin; none if they are not known."""
    script = _script(text)
    parser = _parser(script) if script else None
    if parser is None:
        return _NONE
    return frozenset(accumulate(map(len, parser.parse(text))))


def _script(text: str) -> str | None:
    """The name of BudouX's model for the text."""
    if text.isascii():
        return None
    if any("\u3041" <= char <= "\u30ff" for char in text):
        return "ja"
    if any("\u0e01" <= char <= "\u0e5b" for char in text):
        return "th"
    if any("\u4e00" <= char <= "\u9fff" for char in text):
        simple, full = (len(text.encode(each, "ignore")) for each in ("gb2312", "big5"))
        return "zh-hant" if full > simple else "zh-hans"
    return None


@cache
def _parser(script: str) -> Any:
    """BudouX with a model; None if it is not installed."""
    try:
        import budoux
    except ImportError:
        return None
    load = {
        "ja": budoux.load_default_japanese_parser,
        "th": budoux.load_default_thai_parser,
        "zh-hans": budoux.load_default_simplified_chinese_parser,
        "zh-hant": budoux.load_default_traditional_chinese_parser,
    }
    return load[script]()
