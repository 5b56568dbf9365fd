"""JSON-RPC 2.0 envelopes: parses lines, and encodes requests, notifications and errors.

Ids and params stay the raw bytes that the client sent. So an id is echoed exactly, even with 30
digits, as `1.0` or with escapes, and the params are decoded once, by the method.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from protocol.errors import RpcError

NULL_ID: Final = b"null"
_WHITE_SPACE: Final = b" \t\r"
DEFAULT_MAX_BATCH: Final = 10_000


class Call(msgspec.Struct, gc=False):
    """A request, or a notification if `id` is empty.

    `id` and `params` are JSON as the client wrote it, empty if absent.
    """

    method: str
    id: bytes
    params: bytes


class _Wire(msgspec.Struct, gc=False):
    """A decoded call whose id and params are not checked yet."""

    jsonrpc: Literal["2.0"]
    method: str
    id: msgspec.Raw = msgspec.Raw()
    params: msgspec.Raw = msgspec.Raw()


class Fault(msgspec.Struct, gc=False):
    """A line or batch member that cannot be served; `error` is its answer."""

    error: RpcError
    id: bytes = NULL_ID


class Batch(msgspec.Struct, gc=False):
    """The members of a batch, each parsed on its own."""

    members: list[Call | Fault | Response]


class Response(msgspec.Struct, gc=False):
    """A reply that the peer sent; `raw` is the whole object."""

    raw: bytes


Message = Call | Batch | Fault | Response

_decode_call = msgspec.json.Decoder(_Wire).decode
_decode_members = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The first byte shows the type of a JSON value.
_ID_STARTS: Final = frozenset(b'"-0123456789n')
_PARAMS_STARTS: Final = frozenset(b"[{")


def parse(line: bytes, max_batch: int = DEFAULT_MAX_BATCH) -> Message | None:
    """Parse a line; None for a blank one. Never raises, whatever a peer sends."""
    try:
        if not line.isascii():
            line.decode()  # msgspec does not check the UTF-8 of raw values
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
        # The struct decoder stopped at the wrong type, before the invalid JSON.
        return _parse_fault(error)


def error_reply(id_: bytes, error: RpcError) -> bytes:
    """Encode an error as the answer to `id_`."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (
        id_,
        msgspec.json.encode(error.to_object()),
    )


def notification(method: str, params: bytes) -> bytes:
    """Encode a notification; `params` is JSON."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}\n' % (msgspec.json.encode(method), params)


def request(id_: bytes, method: str, params: bytes) -> bytes:
    """Encode a request; `id_` and `params` are JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}\n' % (
        id_,
        msgspec.json.encode(method),
        params,
    )


def _sound(wire: _Wire) -> Call | None:
    """The call; None if its id or params have a wrong type."""
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
    """Say why a value is not a request, with its id if that can be read."""
    try:
        members = {name: bytes(raw) for name, raw in _decode_object(line).items()}
    except msgspec.ValidationError:
        msgspec.json.decode(line, type=msgspec.Raw)  # raises unless all of it is JSON
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
