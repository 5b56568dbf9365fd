"""How a session writes: lines of JSON-RPC for a client, frames for the front.

Jobs and the dispatcher leave the bytes to a `Wire`, so that the same session serves both readers.
"""

from __future__ import annotations

from typing import Final, Protocol

from protocol import envelope
from protocol.errors import RpcError
from protocol.progress import progress_lines


class Wire(Protocol):
    """Encodes what a session writes."""

    tokens: tuple[bytes, bytes] | None
    """Progress and partial token of every job; None where the params of each hold its own."""

    def reply(self, id_: bytes, result: bytes) -> bytes:
        """The reply to `id_` with a small result, which is JSON."""

    def result(self, id_: bytes, *chunks: bytes) -> tuple[bytes, ...]:
        """The reply to `id_` with a result, which is JSON in chunks."""

    def error(self, id_: bytes, error: RpcError) -> bytes:
        """The reply to `id_` with an error."""

    def progress(self, token: bytes, *values: bytes) -> bytes:
        """A progress notification for each value, which is JSON."""


class _Lines:
    """A client's wire: JSON-RPC, one message per line."""

    tokens: tuple[bytes, bytes] | None = None

    def reply(self, id_: bytes, result: bytes) -> bytes:
        """The line of a small result."""
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id_, result)

    def result(self, id_: bytes, *chunks: bytes) -> tuple[bytes, ...]:
        """The line of a result."""
        return (b'{"jsonrpc":"2.0","id":', id_, b',"result":', *chunks, b"}\n")

    def error(self, id_: bytes, error: RpcError) -> bytes:
        """The line of an error."""
        return envelope.error_reply(id_, error)

    def progress(self, token: bytes, *values: bytes) -> bytes:
        """The line of each value."""
        return progress_lines(token, values)


LINES: Final[Wire] = _Lines()
