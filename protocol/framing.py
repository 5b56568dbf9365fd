"""Newline-delimited framing: bytes in, lines out.

Only the byte 0x0A ends a line: JSON may contain U+2028 and other line separators. A CR before it is
JSON white space, which the parser skips. A byte order mark at the start of the stream is dropped.
"""

from __future__ import annotations

from typing import Final, final

DEFAULT_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


@final
class Oversize:
    """Takes the place of a line that is too long."""

    def __repr__(self) -> str:
        return "OVERSIZE"


OVERSIZE: Final = Oversize()


class LineFramer:
    """Cuts a byte stream into lines, and holds at most `max_line_bytes` of an unfinished one.

    A longer line yields one `OVERSIZE` as soon as it exceeds the limit; its rest is skipped.
    """

    def __init__(self, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES) -> None:
        self.max_line_bytes = max_line_bytes
        # A list, joined once: appending to a bytes object would take quadratic time.
        self._chunks: list[bytes] = []
        self._held = 0
        self._skipping = False
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes | Oversize]:
        """Return the lines that `data` completes, without their LF."""
        if self._at_start:
            data = self._skip_bom(data)
        parts: list[bytes | Oversize] = data.split(b"\n")  # type: ignore[assignment]
        tail: bytes = parts.pop()  # type: ignore[assignment]
        if parts and (self._chunks or self._skipping):
            self._complete_first(parts)
        if len(data) > self.max_line_bytes:
            limit = self.max_line_bytes
            parts = [p if isinstance(p, Oversize) or len(p) <= limit else OVERSIZE for p in parts]
        if tail and not self._skipping:
            self._held += len(tail)
            if self._held > self.max_line_bytes:
                self._drop_held()
                self._skipping = True
                parts.append(OVERSIZE)
            else:
                self._chunks.append(tail)
        return parts

    def close(self) -> list[bytes | Oversize]:
        """Return the last line if the stream ended without LF."""
        last = b"".join(self._chunks)
        self._drop_held()
        return [last] if last else []

    def _complete_first(self, parts: list[bytes | Oversize]) -> None:
        """Join the held chunks to the first of `parts`; drop that if it ends a skipped line."""
        if self._skipping:
            self._skipping = False
            del parts[0]
            return
        self._chunks.append(parts[0])  # type: ignore[arg-type]
        line = b"".join(self._chunks)
        parts[0] = line if len(line) <= self.max_line_bytes else OVERSIZE
        self._drop_held()

    def _drop_held(self) -> None:
        self._chunks.clear()
        self._held = 0

    def _skip_bom(self, data: bytes) -> bytes:
        """Drop a leading BOM, even if it arrives byte by byte."""
        head = b"".join(self._chunks) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return data
        self._at_start = False
        if not head.startswith(_BOM):
            return data
        self._drop_held()
        return head[len(_BOM) :]
