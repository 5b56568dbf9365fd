"""From the bytes of a stream to samples at 16 kHz, whatever the sizes of its chunks.

The bytes are mono PCM: 16-bit integers or 32-bit floats, little-endian. FFmpeg's resampler keeps
its state from chunk to chunk, so that the samples are those of the whole stream at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from protocol.errors import RpcError
from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from worker.audio import Samples

Format = Literal["pcm16", "float32"]

LOWEST_RATE: Final = 8_000
HIGHEST_RATE: Final = 48_000
"""Hz."""

_BYTES: Final = {"pcm16": 2, "float32": 4}


class SampleReader:
    """Turns bytes into samples. A sample that is cut in two waits for its second half."""

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._rest = b""
        self.repaired = 0
        """Samples that were no number, or beyond -1 and 1."""

    def read(self, data: bytes) -> Samples:
        """The samples in [-1, 1] that are complete."""
        import numpy as np

        data = self._rest + data
        whole = len(data) - len(data) % _BYTES[self._format]
        data, self._rest = data[:whole], data[whole:]
        if self._format == "pcm16":
            scaled: Samples = np.frombuffer(data, "<i2").astype(np.float32)
            scaled /= 32768.0
            return scaled
        given = np.frombuffer(data, "<f4")
        # NaN is not between any limits.
        self.repaired += len(given) - int(np.count_nonzero(np.abs(given) <= 1))
        samples: Samples = np.nan_to_num(np.clip(given, -1, 1)).astype(np.float32)
        return samples

    def forget(self) -> None:
        """Drop the first half of a sample, because what follows is not its second half."""
        self._rest = b""


class Resampler:
    """Converts samples to 16 kHz. Raises `RpcError` for a rate that it does not take."""

    def __init__(self, rate: int) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise RpcError(
                "invalid_params",
                f"The sample rate is {rate} Hz, not between {LOWEST_RATE} and {HIGHEST_RATE}.",
                path="$.sampleRate",
            )
        self._rate = rate
        self._resampler: Any = None
        self._owed = 0.0
        """Samples at 16 kHz that are in the resampler."""

    def convert(self, samples: Samples) -> Samples:
        """The samples at 16 kHz; the last milliseconds come with the next ones."""
        import av
        import numpy as np

        if self._rate == SAMPLE_RATE or not len(samples):
            return samples
        if self._resampler is None:
            self._resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
        frame.sample_rate = self._rate
        frames = [each.to_ndarray()[0] for each in self._resampler.resample(frame)]
        found: Samples = np.concatenate([np.zeros(0, np.float32), *frames])
        self._owed += len(samples) * SAMPLE_RATE / self._rate - len(found)
        return found

    def flush(self) -> Samples:
        """The last milliseconds; what follows begins anew."""
        import numpy as np

        owed = round(self._owed)
        # Silence pushes them out: FFmpeg's own flush drops an input shorter than its filter.
        rest = self.convert(np.zeros(self._rate // 10 if owed else 0, np.float32))
        self._resampler, self._owed = None, 0.0
        return rest[:owed]
