"""An engine's wire: frames, which the front forwards without parsing them.

A frame is a header, JSON and a line feed. A header that begins with something other than `_MARK`,
or JSON that no line feed ends, shows that other bytes got into an engine's pipe.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from protocol.errors import RpcError
from worker.session.wire import Wire

RESULT: Final = b"r"
ERROR: Final = b"e"
REPORT: Final = b"p"
PARTIAL: Final = b"s"
_KINDS: Final = frozenset((RESULT, ERROR, REPORT, PARTIAL))

# Mark, number of the call (0 in progress), bytes that follow, kind. The kind comes last because
# the writer takes a chunk that ends with a line feed for the end of a message.
_HEADER: Final = struct.Struct("<3sIIc")
_HEADER_SIZE: Final = _HEADER.size
_unpack: Final = _HEADER.unpack_from
_MARK: Final = b"\0f\xff"
_LINE_FEED: Final = 10
_SMALL: Final = 4096
MAX_FRAME_BYTES: Final = 1 << 30
"""Of one message of an engine, so that a broken length cannot fill the memory."""


class _Frames:
    """An engine's wire: one frame per message. The kind of a progress frame is its token."""

    tokens: tuple[bytes, bytes] | None = (REPORT, PARTIAL)

    def reply(self, id_: bytes, result: bytes) -> bytes:
        """The frame of a small result."""
        return _frame(RESULT, id_, result)

    def result(self, id_: bytes, *chunks: bytes) -> tuple[bytes, ...]:
        """The frame of a result."""
        return (_header(RESULT, id_, sum(map(len, chunks))), *chunks, b"\n")

    def error(self, id_: bytes, error: RpcError) -> bytes:
        """The frame of an error."""
        return _frame(ERROR, id_, msgspec.json.encode(error.to_object()))

    def progress(self, token: bytes, *values: bytes) -> bytes:
        """The frame of each value."""
        return b"".join([_frame(token, b"0", value) for value in values])


FRAMES: Final[Wire] = _Frames()


Frame = tuple[bytes, int, list[bytes]]
"""Kind, number of the call, and payload: JSON, in the chunks in which it came."""


class FrameReader:
    """Cuts a byte stream into frames. The payload of a small one comes in one chunk."""

    def __init__(self) -> None:
        self._rest = b""  # an incomplete header, or an incomplete small frame
        self._frame: Frame | None = None  # a large one that is incomplete
        self._missing = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes; raise `ValueError` for anything else."""
        frames: list[Frame] = []
        at = 0
        if self._frame:
            at = min(self._missing, len(data))
            payload = self._frame[2]
            payload.append(data[:at])
            self._missing -= at
            if self._missing:
                return frames
            if data[at - 1] != _LINE_FEED:
                raise ValueError(f"no line feed ends {data[:at][-200:]!r}")
            payload[-1] = data[: at - 1]
            frames.append(self._frame)
            self._frame = None
        elif self._rest:
            data, self._rest = self._rest + data, b""
        length = len(data)
        while length - at >= _HEADER_SIZE:
            mark, call, size, kind = _unpack(data, at)
            if mark != _MARK or kind not in _KINDS or size > MAX_FRAME_BYTES:
                raise ValueError(f"no frame begins with {data[at : at + 200]!r}")
            begin, end = at + _HEADER_SIZE, at + _HEADER_SIZE + size
            if end > length:
                if size <= _SMALL:
                    break
                self._frame, self._missing = (kind, call, [data[begin:]]), end - length
                return frames
            if data[end - 1] != _LINE_FEED:
                raise ValueError(f"no line feed ends {data[begin:end][-200:]!r}")
            frames.append((kind, call, [data[begin : end - 1]]))
            at = end
        self._rest = data[at:]
        return frames


def _header(kind: bytes, id_: bytes, size: int) -> bytes:
    # Ids are the front's numbers; a line that it did not write has another, or none.
    call = int(id_) if id_.isdigit() else 0
    return _HEADER.pack(_MARK, call, size + 1, kind)


def _frame(kind: bytes, id_: bytes, payload: bytes) -> bytes:
    return b"%b%b\n" % (_header(kind, id_, len(payload)), payload)
