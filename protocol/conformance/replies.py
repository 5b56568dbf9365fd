"""Parses a server's replies strictly, and compares them with the replies that a vector expects.

Numbers keep their text, because an id must come back exactly as the client wrote it. Replies may
arrive in any order, so comparing them is a bipartite matching, computed separately for each id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from protocol.conformance.vectors import ErrorPattern, Expected, Pattern


class BadReplyError(Exception):
    """The server wrote a line that is not a JSON-RPC message."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was written."""

    raw: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One response object."""

    id: str | Number | None
    members: dict[str, Any]


Answer = Reply | list[Reply]
P = TypeVar("P")
A = TypeVar("A")


def parse_json(text: str) -> Any:
    """Parse strictly: keep numbers as written, refuse duplicate members."""
    return json.loads(
        text,
        parse_int=Number,
        parse_float=Number,
        parse_constant=_refuse_constant,
        object_pairs_hook=_object,
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a duplicate member")
    return members


def parse_answer(line: bytes) -> Answer | None:
    """Parse a line of the server; None for a notification or request of its own."""
    if not line.endswith(b"\n"):
        raise BadReplyError("the last line does not end in LF")
    try:
        value = parse_json(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadReplyError(f"not JSON in UTF-8: {error}") from error
    if isinstance(value, dict) and "method" in value:
        if value.get("jsonrpc") != "2.0" or not isinstance(value["method"], str):
            raise BadReplyError("a message with a method that is not a JSON-RPC 2.0 request")
        return None
    if isinstance(value, list):
        if not value:
            raise BadReplyError("an empty array is not a reply")
        return [_reply(member) for member in value]
    return _reply(value)


def _reply(value: Any) -> Reply:
    if not isinstance(value, dict):
        raise BadReplyError("a reply must be an object")
    names = set(value)
    if names not in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}):
        raise BadReplyError(f"a reply must have jsonrpc, id and result or error: {sorted(names)}")
    if value["jsonrpc"] != "2.0":
        raise BadReplyError('"jsonrpc" must be "2.0"')
    id_ = value["id"]
    if not (id_ is None or isinstance(id_, str | Number)):
        raise BadReplyError("the id is neither a string, a number nor null")
    if "error" in value:
        error = value["error"]
        if not (
            isinstance(error, dict)
            and {"code", "message"} <= set(error) <= {"code", "message", "data"}
            and isinstance(error["code"], Number)
            and error["code"].raw.removeprefix("-").isdigit()
            and isinstance(error["message"], str)
        ):
            raise BadReplyError("an error must have an integer code, a message and perhaps data")
    return Reply(id_, value)


def expand(expected: Expected, without_examples: bool) -> list[list[Pattern] | Pattern]:
    """Expand counted patterns; `without_examples`, expect -32601 instead of a result."""

    def patterns(pattern: Pattern) -> list[Pattern]:
        if without_examples and pattern.result is not msgspec.UNSET:
            return [Pattern(id=pattern.id, error=-32601)]
        if pattern.count is None:
            return [pattern]
        numbers = range(pattern.count)
        return [
            msgspec.structs.replace(pattern, id=pattern.id.replace("#", str(number)), count=None)
            for number in numbers
        ]

    written: list[list[Pattern] | Pattern] = []
    for item in expected:
        if isinstance(item, Pattern):
            written += patterns(item)
        else:
            written.append([one for member in item for one in patterns(member)])
    return written


@dataclass(frozen=True, slots=True)
class Verdict:
    """The difference between the answers and one acceptable set of replies."""

    missing: list[Pattern | list[Pattern]]
    unexpected: list[Answer]

    @property
    def is_complete(self) -> bool:
        """Whether every expected reply arrived, and nothing else."""
        return not self.missing and not self.unexpected


def compare(
    expected: Sequence[Pattern | list[Pattern]], answers: Sequence[Answer], *, ordered: bool
) -> Verdict:
    """Pair the answers with the patterns, in any order unless `ordered`."""
    if ordered:
        for at, (pattern, answer) in enumerate(zip(expected, answers, strict=False)):
            if not _fits(pattern, answer):
                return Verdict(list(expected[at:]), list(answers[at:]))
        shared = min(len(expected), len(answers))
        return Verdict(list(expected[shared:]), list(answers[shared:]))
    missing, unexpected = _pair(expected, answers, _expected_key, _answer_key, _fits)
    return Verdict(missing, unexpected)


def _fits(pattern: Pattern | list[Pattern], answer: Answer) -> bool:
    if isinstance(pattern, list):
        if not isinstance(answer, list) or len(pattern) != len(answer):
            return False
        missing, _ = _pair(pattern, answer, _pattern_key, lambda reply: reply.id, _is_match)
        return not missing
    return isinstance(answer, Reply) and _is_match(pattern, answer)


def _expected_key(pattern: Pattern | list[Pattern]) -> Any:
    return list if isinstance(pattern, list) else _pattern_key(pattern)


def _answer_key(answer: Answer) -> Any:
    return list if isinstance(answer, list) else answer.id


def _pattern_key(pattern: Pattern) -> Any:
    return parse_json(pattern.id)


def _pair(
    patterns: Iterable[P],
    answers: Iterable[A],
    pattern_key: Callable[[P], Any],
    answer_key: Callable[[A], Any],
    fits: Callable[[P, A], bool],
) -> tuple[list[P], list[A]]:
    """Return the patterns and answers that a maximum matching, per id, leaves unmatched."""
    groups: dict[Any, tuple[list[P], list[A]]] = defaultdict(lambda: ([], []))
    for pattern in patterns:
        groups[pattern_key(pattern)][0].append(pattern)
    for answer in answers:
        groups[answer_key(answer)][1].append(answer)
    missing: list[P] = []
    unexpected: list[A] = []
    for wanted, got in groups.values():
        pairs: dict[int, int] = {}  # place in got → place in wanted
        for at in range(len(wanted)):
            if not _augment(at, wanted, got, pairs, set(), fits):
                missing.append(wanted[at])
        unexpected += [answer for at, answer in enumerate(got) if at not in pairs]
    return missing, unexpected


def _augment(
    at: int,
    wanted: list[P],
    got: list[A],
    pairs: dict[int, int],
    seen: set[int],
    fits: Callable[[P, A], bool],
) -> bool:
    for place, answer in enumerate(got):
        if place in seen or not fits(wanted[at], answer):
            continue
        seen.add(place)
        if place not in pairs or _augment(pairs[place], wanted, got, pairs, seen, fits):
            pairs[place] = at
            return True
    return False


def _is_match(pattern: Pattern, reply: Reply) -> bool:
    if _pattern_key(pattern) != reply.id:
        return False
    if pattern.any:
        return True
    members = reply.members
    if pattern.error is not None:
        return "error" in members and _is_error(pattern.error, members["error"])
    if "result" not in members:
        return False
    if pattern.result_has is not None:
        return _has(members["result"], pattern.result_has)
    if pattern.result is msgspec.UNSET:
        raise ValueError(f"a pattern does not say what it expects: {pattern}")
    raw = bytes(pattern.result)
    return raw == b'"any"' or _is_equal(members["result"], parse_json(raw.decode()))


def _is_error(pattern: int | ErrorPattern, error: dict[str, Any]) -> bool:
    if isinstance(pattern, int):
        pattern = ErrorPattern(pattern)
    codes = pattern.code if isinstance(pattern.code, list) else [pattern.code]
    return int(error["code"].raw) in codes and (
        pattern.data is None or _has(error.get("data"), pattern.data)
    )


def _has(value: Any, wanted: Any) -> bool:
    """Whether `value` has every member of `wanted`, to any depth; "any" stands for any value."""
    if wanted == "any":
        return True
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            name in value and _has(value[name], inner) for name, inner in wanted.items()
        )
    return _is_equal(value, parse_json(json.dumps(wanted)))


def _is_equal(left: Any, right: Any) -> bool:
    if isinstance(left, Number) and isinstance(right, Number):
        return Decimal(left.raw) == Decimal(right.raw)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_equal(left[n], right[n]) for n in left)
    return type(left) is type(right) and bool(left == right)
