"""From the bytes of a stream to samples at 16 kHz, whatever the sizes of its chunks.

The bytes are mono PCM: 16-bit integers or 32-bit floats, little-endian. FFmpeg's resampler keeps
its state from chunk to chunk, so that the samples are those of the whole stream at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from protocol.live import SampleFormat
    from worker.audio import Samples

_SOUND: Final = 0.003
"""Amplitude below which equal neighbours say nothing: silence and quiet noise have many."""


class SampleReader:
    """Turns the bytes of whole samples into samples in [-1, 1]."""

    def __init__(self, format_: SampleFormat) -> None:
        self._format = format_
        self.repaired = 0
        """Samples that were no number, or beyond -1 and 1."""
        self.twins = 0
        """Pairs of equal neighbours among the sounds, and"""
        self.pairs = 0
        """all such pairs."""

    @property
    def is_stereo(self) -> bool:
        """Whether the samples look like those of two equal channels."""
        return self.pairs > SAMPLE_RATE and self.twins > 0.99 * self.pairs

    def read(self, data: bytes) -> Samples:
        """The samples in `data`."""
        import numpy as np

        if self._format == "pcm16":
            samples: Samples = np.frombuffer(data, "<i2").astype(np.float32)
            samples /= 32768.0
        else:
            given = np.frombuffer(data, "<f4")
            # NaN is not between any limits.
            self.repaired += len(given) - int(np.count_nonzero(np.abs(given) <= 1))
            samples = np.nan_to_num(np.clip(given, -1, 1)).astype(np.float32)
        self._compare(samples)
        return samples

    def _compare(self, samples: Samples) -> None:
        """Count neighbours that are equal in even places but not in odd ones."""
        import numpy as np

        pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2)
        sounds = pairs[np.abs(pairs[:, 0]) > _SOUND]
        self.pairs += len(sounds)
        self.twins += int(np.count_nonzero(sounds[:, 0] == sounds[:, 1]))


class Resampler:
    """Converts samples to 16 kHz."""

    def __init__(self, rate: int) -> None:
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
