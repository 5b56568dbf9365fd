"""Seeds of coverage-guided fuzzing: meaningful inputs, and the words of each grammar."""

from __future__ import annotations

import json
from typing import Any, Final

from protocol import methods

_LINES: Final = (
    '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":"a","method":"work","params":{}}',
    '{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"a"}}',
    '{"jsonrpc":"2.0","id":18446744073709551617,"method":"work","params":[]}',
    '{"jsonrpc":"2.0","id":1.50e+1,"method":"work","params":{"progressToken":1}}',
    '[{"jsonrpc":"2.0","id":"\\u00e9\\"","method":"work"},{"jsonrpc":"2.0","method":"ping"},1]',
    '{"jsonrpc":"2.0","method":"run"}',
    '{"jsonrpc":"2.0","id":null,"method":"stop"}',
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    '{"jsonrpc":"1.0","id":[1],"method":1,"params":1}',
    "[]",
    " \t\r",
    '{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
)
_NAMES: Final = sorted({**methods.REQUESTS, **methods.NOTIFICATIONS})
_SCHEMA_WORDS: Final = (
    "true",
    "false",
    "null",
    "[]",
    "{}",
    '""',
    "-1",
    "0",
    "1e999",
    "1.5",
    ":",
    ",",
)
_ENVELOPE_WORDS: Final = (
    *('"jsonrpc":"2.0"', '"id":', '"method":', '"params":', '"result":', '"error":', "\n", "\r\n"),
    *('"ping"', '"work"', '"stop"', '"run"', '"$/cancelRequest"', '"progressToken":', "\\u0000"),
    *("\\ud800", "\\udc00", "\\/", "18446744073709551616", "-0", "1E+2", "\ufeff", "\u2028"),
)


def seeds(target: str) -> list[bytes]:
    """The initial inputs."""
    if target == "framing":
        stream = b"\xef\xbb\xbf{}\r\n" + b"x" * 70 + b"\n\nlast"
        return [b"\x10\x01\x05\x1f\x00" + stream, b"\x3f\x00\x00\x00\x00" + stream]
    if target == "dispatch":
        return [*map(str.encode, _LINES), "\n".join(_LINES).encode()]
    if target == "params":
        return [bytes([i]) + _example(_NAMES[i]) for i in range(len(_NAMES))]
    return [bytes(range(i, 256, 3)) for i in range(3)]


def words(target: str) -> list[str]:
    """The words from which to build inputs."""
    if target == "dispatch":
        return [*_ENVELOPE_WORDS, *_SCHEMA_WORDS]
    if target == "params":
        fields = {name for each in _NAMES for name in _fields(each)}
        return [*(f'"{name}":' for name in sorted(fields)), *_SCHEMA_WORDS]
    return []


def _example(method: str) -> bytes:
    return json.dumps(dict.fromkeys(_fields(method))).encode()


def _fields(method: str) -> list[str]:
    type_: Any = {**methods.REQUESTS, **methods.NOTIFICATIONS}[method].params_type
    return list(type_.__struct_encode_fields__)
