"""The input of a stream: bytes in chunks of any size, each placed on the stream's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from worker.live.clock import StreamClock

if TYPE_CHECKING:
    from protocol.live import SampleFormat

SAMPLE_BYTES: Final = {"pcm16": 2, "float32": 4}


class Chunk(NamedTuple):
    """Whole samples, and how many never came before them."""

    missing: int
    data: bytes


class Intake:
    """Cuts chunks to whole samples. A sample that is cut in two waits for its second half."""

    def __init__(self, format_: SampleFormat, rate: int) -> None:
        self._size = SAMPLE_BYTES[format_]
        self._rest = b""
        self.clock = StreamClock(rate)

    def append(self, data: bytes, at: float | None = None) -> Chunk:
        """What a chunk adds; `at` is the time of its first sample, if the client knows that.

        Raises `RpcError` of kind invalid_params for a time that cannot be; then nothing changes.
        """
        follows = self.clock.follows(at)
        data = self._rest + data if follows else data
        whole = len(data) - len(data) % self._size
        place = self.clock.place(whole // self._size, at)
        self._rest = data[whole:]
        return Chunk(place.missing, data[place.known * self._size : whole])
