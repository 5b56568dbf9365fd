"""Envelopes: what a line is, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import Batch, Call, Fault, Response, parse
from protocol.errors import INVALID_REQUEST, PARSE_ERROR

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
member_names = st.sampled_from(["jsonrpc", "method", "id", "params", "result", "error", "extra"])
objects = st.dictionaries(
    member_names, values | st.sampled_from(["2.0", "ping", 1]), max_size=6
).map(lambda d: {"jsonrpc": "2.0", **d})


def is_request(value: Any) -> bool:
    """The specification's words, on the decoded value."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return False
    id_ = value.get("id")
    return (
        isinstance(value.get("method"), str)
        and (id_ is None or (isinstance(id_, str | int | float) and not isinstance(id_, bool)))
        and ("params" not in value or isinstance(value["params"], dict | list))
    )


@given(objects | values)
def test_a_request_is_what_the_specification_says(value: Any) -> None:
    message = parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        assert isinstance(message, Fault | Batch)
    elif is_request(value):
        assert isinstance(message, Call)
        assert message.method == value["method"]
    elif isinstance(value, dict) and "method" not in value and {"result", "error"} & set(value):
        assert isinstance(message, Response | Fault)
    else:
        assert isinstance(message, Fault)
        assert message.error.code in (INVALID_REQUEST, PARSE_ERROR)


@given(st.binary())
def test_no_bytes_raise(line: bytes) -> None:
    parse(line.replace(b"\n", b""))


@given(st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none())
def test_an_id_is_kept_as_it_was_written(id_: object) -> None:
    raw = json.dumps(id_).encode()
    message = parse(b'{"jsonrpc":"2.0","method":"m","id" : %b }' % raw)
    if isinstance(message, Call):
        assert message.id == raw
    else:  # a lone surrogate is no Unicode text
        assert isinstance(message, Fault)
        assert b"\\ud" in raw


@given(st.lists(objects | values, min_size=1, max_size=5))
def test_each_member_of_a_batch_is_judged_on_its_own(members: list[Any]) -> None:
    line = json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass")
    batch = parse(line)
    if isinstance(batch, Fault):
        assert batch.error.code == PARSE_ERROR
        return
    assert isinstance(batch, Batch)
    for value, member in zip(members, batch.members, strict=True):
        assert isinstance(member, Call) == is_request(value)
