"""JSON-RPC 2.0 envelopes: what a line is, and how replies are written.

Ids and params stay the raw bytes the client sent: an id is echoed exactly (also 30 digits, `1.0`
or escapes), and params are decoded by whoever knows their type.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from protocol.errors import RpcError

NULL_ID: Final = b"null"
_WHITE_SPACE: Final = b" \t\r"
DEFAULT_MAX_BATCH: Final = 10_000


class Call(msgspec.Struct, gc=False):
    """A request, or a notification when `id` is empty.

    `id` and `params` are JSON as the client wrote it, empty where absent.
    """

    method: str
    id: bytes
    params: bytes


class _Wire(msgspec.Struct, gc=False):
    """A call as decoded, before its id and params are looked at."""

    jsonrpc: Literal["2.0"]
    method: str
    id: msgspec.Raw = msgspec.Raw()
    params: msgspec.Raw = msgspec.Raw()


class Fault(msgspec.Struct, gc=False):
    """A line or batch member that cannot be served, to be answered with `error`."""

    error: RpcError
    id: bytes = NULL_ID


class Batch(msgspec.Struct, gc=False):
    """The members of a batch, each judged on its own."""

    members: list[Call | Fault | Response]


class Response(msgspec.Struct, gc=False):
    """A reply that the peer sent; `raw` is the whole object."""

    raw: bytes


Message = Call | Batch | Fault | Response

_decode_call = msgspec.json.Decoder(_Wire).decode
_decode_members = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The first byte tells a JSON value's type.
_ID_STARTS: Final = frozenset(b'"-0123456789n')
_PARAMS_STARTS: Final = frozenset(b"[{")


def parse(line: bytes, max_batch: int = DEFAULT_MAX_BATCH) -> Message | None:
    """Tell what a line holds; None for a blank one. Never raises for what a peer can send."""
    try:
        if not line.isascii():
            line.decode()  # msgspec does not look into what it leaves raw
        wire = _decode_call(line)
    except (msgspec.ValidationError, RecursionError):
        pass
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None if not line.strip(_WHITE_SPACE) else _parse_fault(error)
    else:
        return _sound(wire) or _explain(line)
    try:
        if line.lstrip()[:1] == b"[":
            return _parse_batch(line, max_batch)
        return _explain(line)
    except RecursionError:
        return Fault(RpcError("parse_error", "The JSON is nested too deeply."))
    except msgspec.DecodeError as error:
        # The struct decoder stopped at the wrong type, before it saw the bad JSON behind it.
        return _parse_fault(error)


def reply(id_: bytes, result: bytes) -> bytes:
    """The line that answers `id_` with a result already written as JSON."""
    return b"".join((b'{"jsonrpc":"2.0","id":', id_, b',"result":', result, b"}\n"))


def error_reply(id_: bytes, error: RpcError) -> bytes:
    """The line that answers `id_` with an error."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (
        id_,
        msgspec.json.encode(error.to_object()),
    )


def notification(method: str, params: bytes) -> bytes:
    """The line of a notification; `params` is JSON."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}\n' % (msgspec.json.encode(method), params)


def request(id_: bytes, method: str, params: bytes) -> bytes:
    """The line of a request; `id_` and `params` are JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}\n' % (
        id_,
        msgspec.json.encode(method),
        params,
    )


def _sound(wire: _Wire) -> Call | None:
    """The call in what was decoded; None when its id or params are of no type that they may be."""
    id_ = bytes(wire.id) if wire.id else b""
    params = bytes(wire.params) if wire.params else b""
    if (id_ and id_[0] not in _ID_STARTS) or (params and params[0] not in _PARAMS_STARTS):
        return None
    return Call(wire.method, id_, params)


def _parse_fault(error: Exception) -> Fault:
    if isinstance(error, UnicodeDecodeError):
        return Fault(RpcError("parse_error", "The line is not valid UTF-8.", byte=error.start))
    return Fault(RpcError("parse_error", f"The line is not valid JSON: {error}."))


def _parse_batch(line: bytes, max_batch: int) -> Batch | Fault:
    raw_members = _decode_members(line)
    if not raw_members:
        return Fault(RpcError("invalid_request", "The batch is empty."))
    if len(raw_members) > max_batch:
        return Fault(
            RpcError(
                "batch_too_large",
                f"The batch has {len(raw_members)} members; the limit is {max_batch}.",
                limit=max_batch,
            )
        )
    return Batch([_parse_member(bytes(raw)) for raw in raw_members])


def _parse_member(raw: bytes) -> Call | Fault | Response:
    try:
        wire = _decode_call(raw)
    except (msgspec.ValidationError, RecursionError):
        return _explain(raw)
    return _sound(wire) or _explain(raw)


def _explain(line: bytes) -> Fault | Response:
    """Say why an object is no request, with its id where that can be read."""
    try:
        members = {name: bytes(raw) for name, raw in _decode_object(line).items()}
    except msgspec.ValidationError:
        msgspec.json.decode(line, type=msgspec.Raw)  # is it JSON to its end?
        return Fault(RpcError("invalid_request", "A request is an object."))
    id_ = members.get("id", NULL_ID)
    if id_[0] not in _ID_STARTS:
        return Fault(RpcError("invalid_request", "The id is a string, a number or null."))
    if "method" not in members and ("result" in members or "error" in members):
        return Response(line)
    if members.get("jsonrpc") != b'"2.0"':
        why = 'The member "jsonrpc" must be "2.0".'
    elif members.get("method", b" ")[:1] != b'"':
        why = 'The member "method" must be a string.'
    else:
        why = 'The member "params" must be an object or an array.'
    return Fault(RpcError("invalid_request", why), id_)
