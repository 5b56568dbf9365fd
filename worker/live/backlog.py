"""What the engine has yet to hear of a stream, and what it would have to hear again.

Audio is kept until the engine says that it is settled: in final words, or without speech. If the
engine is lost, the next one hears all that is kept. Positions are samples of the stream.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from worker.live.intake import Chunk

End = Literal["utterance", "stream"]


class Item(NamedTuple):
    """From `start`: samples that are missing, then whole samples, then an end, if any."""

    start: int
    missing: int
    data: bytes
    end: End | None = None


class Backlog:
    """Items in order. `sample_bytes` is the size of a sample."""

    def __init__(self, sample_bytes: int) -> None:
        self._sample_bytes = sample_bytes
        self._items: deque[Item] = deque()
        self._sent = 0
        """How many of them `take` has returned."""
        self.end = 0
        """Where the next item begins."""

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        return self._sent < len(self._items)

    def add(self, chunk: Chunk) -> None:
        """Add audio."""
        missing, data = chunk
        start = self.end
        self.end += missing + len(data) // self._sample_bytes
        if self.waits and not data:
            last = self._items[-1]
            if not (last.data or last.end):  # one long hole, and not many
                self._items[-1] = last._replace(missing=last.missing + missing)
                return
        self._items.append(Item(start, missing, data))

    def add_end(self, end: End) -> None:
        """Add the end of an utterance, or of the stream."""
        self._items.append(Item(self.end, 0, b"", end))

    def take(self) -> list[Item]:
        """The items that were not taken yet."""
        found = [self._items[place] for place in range(self._sent, len(self._items))]
        self._sent = len(self._items)
        return found

    def settle(self, position: int) -> None:
        """Drop what was taken and lies before a position."""
        while self._sent and self._stop(self._items[0]) <= position:
            if self._items[0].end == "stream":
                return
            self._items.popleft()
            self._sent -= 1

    def rewind(self, position: int) -> None:
        """Begin anew at a position: `take` returns what is after that."""
        self._sent = len(self._items)
        self.settle(position)
        self._sent = 0
        if self._items and self._items[0].start < position:
            start, missing, data, end = self._items[0]
            cut = position - start
            data = data[max(0, cut - missing) * self._sample_bytes :]
            self._items[0] = Item(position, max(0, missing - cut), data, end)

    def _stop(self, item: Item) -> int:
        return item.start + item.missing + len(item.data) // self._sample_bytes
