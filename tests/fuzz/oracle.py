"""JSON-RPC 2.0 by its specification, on the standard library's parser.

It is slow and simple, and shares no code with the worker: both must judge every line alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
CANCELLED = -32800


class Number(str):
    """A number as written."""


@dataclass(frozen=True)
class Refusal:
    """A line or member that is answered with an error; the reply must have this `id`."""

    code: int
    id: object = None


@dataclass(frozen=True)
class Request:
    """A call; `id` is absent (`...`) for a notification. `params` is absent as `...` too."""

    method: str
    id: object = ...
    params: Any = ...


@dataclass(frozen=True)
class Reply:
    """A result or an error that a peer sent: it gets no answer."""


Member = Refusal | Request | Reply


def loads(text: bytes) -> Any:
    """A JSON value; numbers are `Number`. Raises ValueError unless it is JSON text in UTF-8."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in found:
            _refuse_surrogates(name, value)
        return dict(found)

    def constant(name: str) -> None:
        raise ValueError(name)

    value = json.loads(
        text.decode(),
        parse_int=Number,
        parse_float=Number,
        parse_constant=constant,
        object_pairs_hook=pairs,
    )
    _refuse_surrogates(value)
    return value


def judge(line: bytes) -> Member | list[Member] | None:
    """Classify a line; None if it is blank. Raises RecursionError for deep nesting."""
    if not line.strip(b" \t\r\n"):
        return None
    try:
        value = loads(line)
    except ValueError:
        return Refusal(PARSE_ERROR)
    if isinstance(value, list):
        return [_judge_member(each) for each in value] or Refusal(INVALID_REQUEST)
    return _judge_member(value)


def depth(line: bytes) -> int:
    """An upper bound of the nesting depth: brackets within strings count too."""
    level = deepest = 0
    for byte in line:
        level += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, level)
    return deepest


def lines_of(stream: bytes, limit: int) -> list[bytes | None]:
    """The lines of a whole stream; None for those longer than `limit`."""
    *lines, last = stream.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line if len(line) <= limit else None for line in (*lines, *([last] if last else ()))]


def _judge_member(value: Any) -> Member:
    if not isinstance(value, dict):
        return Refusal(INVALID_REQUEST)
    id_ = value.get("id", ...)
    if not (id_ is None or id_ is ... or isinstance(id_, str)):  # a Number is a str
        return Refusal(INVALID_REQUEST)
    if "method" not in value and ("result" in value or "error" in value):
        return Reply()
    method, params = value.get("method"), value.get("params", ...)
    sound = (
        _is_text(value.get("jsonrpc"))
        and value["jsonrpc"] == "2.0"
        and _is_text(method)
        and (params is ... or isinstance(params, list | dict))
    )
    if not sound:
        return Refusal(INVALID_REQUEST, None if id_ is ... else id_)
    return Request(str(method), id_, params)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _refuse_surrogates(*values: object) -> None:
    """Refuse a lone surrogate: it is not Unicode text, and cannot be written in UTF-8."""
    for text in _texts(values):
        text.encode()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
