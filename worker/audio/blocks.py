"""Joins frames to blocks of samples at 16 kHz: int16, of shape (channels, n).

The samples of a mix equal those of `faster_whisper.decode_audio`, with one exception: channels that
cancel each other (one is the other's negative, after a wrong cable) would leave silence, so the
louder channel takes their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]
    Block = npt.NDArray[np.int16]
else:
    Samples = Block = Any

Channels = int | Literal["mix", "all"]
"""One channel, counted from 0, a mix of all channels, or all channels separately."""

SAMPLE_RATE: Final = 16_000
"""Hz, as all models here expect."""

LONGEST_BLOCK: Final = 120
"""Seconds: the most audio to resample, or to write as silence, at a time."""
_COMPARED: Final = 127
"""Channels are compared by one of this many samples, which takes next to no time."""
_SAMPLE_TYPES: Final = {
    "u8": ("u1", 2.0**7),
    "s16": ("i2", 2.0**15),
    "s32": ("i4", 2.0**31),
    "s64": ("i8", 2.0**63),
    "flt": ("f4", 1.0),
    "dbl": ("f8", 1.0),
}
"""By FFmpeg's name: numpy's type, and the value that stands for 1."""
_FAR_BELOW: Final = {2: 0.02}
"""Power of a mix, relative to its loudest channel, below which the channels cancel. Two independent
channels leave a quarter of their summed power."""
_FAR_BELOW_OF_MORE: Final = 0.001
_MOST_COMPARED: Final = 8
"""Channels. PyAV reads beyond the planes of a frame that has more, and crashes; so such frames are
taken as packed samples, in one plane."""
_SILENCE: Final = 1e-7
"""Power of samples in [-1, 1] that are too quiet to compare (-70 dB)."""


def to_float(samples: npt.NDArray[np.int16]) -> Samples:
    """Convert to float32 in [-1, 1]."""
    import numpy as np

    scaled: Samples = samples.astype(np.float32)
    scaled /= 32768.0
    return scaled


class Blocks:
    """Takes frames of PyAV, and returns blocks when enough has come.

    Broadcasts switch between stereo and 5.1 within a recording; every block has the channels that
    the track had first.
    """

    def __init__(self, channel: Channels, layout: str, rate: int) -> None:
        import av

        self.written = 0
        """Samples so far, at 16 kHz."""
        self._channel = channel
        self._layout = layout
        self._channels = av.AudioLayout(layout).nb_channels
        self._is_unknown = layout.startswith("ambisonic") or self._channels > _MOST_COMPARED
        """FFmpeg may not know how to mix the channels."""
        self._rows_written = self._channels if channel == "all" else 1
        self._enough = min(500_000, LONGEST_BLOCK * rate)
        """Samples: at a stated rate of 1 Hz, 500,000 would become 16 GB."""
        self._balance = _Balance()
        self._begin(channel)

    @property
    def cancelled(self) -> bool:
        """Whether the channels cancelled each other somewhere, so that one took their place."""
        return self._balance.ever

    def add(self, frame: Any, skip: int = 0) -> Sequence[Block]:
        """Take a frame without its first `skip` samples."""
        done: list[Block] = []
        channels = frame.layout.nb_channels
        if channels != self._channels:  # in one fifo, PyAV would crash
            done += self.flush()
            self._channels = channels
        if skip:
            done += self._gathered()
        frame.pts = None  # `clock` has placed it; FFmpeg would fill gaps by itself
        try:
            self._fifo.write(frame)
        except ValueError:  # another rate, or another type of samples
            done += self.flush()
            self._fifo.write(frame)
        if skip:
            self._fifo.read(skip)
        if self._fifo.samples >= self._enough:
            done += self._gathered()
        return done

    def flush(self) -> list[Block]:
        """Return all that is left; then begin anew."""
        done = self._gathered() + self._arrays(None)
        self._begin(self._wanted)
        return done

    def silence(self, until: int) -> Iterator[Block]:
        """Flush, and write silence up to the recording's sample `until`, at 16 kHz."""
        import numpy as np

        yield from self.flush()
        while (missing := until - self.written) > 0:
            count = min(missing, LONGEST_BLOCK * SAMPLE_RATE)
            self.written += count
            yield np.zeros((self._rows_written, count), np.int16)

    def _gathered(self) -> list[Block]:
        """Resample what the fifo holds."""
        if not self._fifo.samples:
            return []
        frame = self._fifo.read()
        if self._channel != "mix" or self._channels == 1 or self._channels > _MOST_COMPARED:
            return self._arrays(frame)
        done: list[Block] = []
        for part, wanted in self._balance.judge(frame):
            if wanted != self._wanted:
                done += self._arrays(None)
                self._begin(wanted)
            done += self._arrays(part)
        return done

    def _begin(self, wanted: Channels) -> None:
        import av

        self._wanted = wanted
        mixed = wanted == "mix" and not self._is_unknown
        self._resampler = av.AudioResampler("s16", "mono" if mixed else self._layout, SAMPLE_RATE)
        self._rows = slice(wanted, wanted + 1) if isinstance(wanted, int) else slice(None)
        self._fifo = av.AudioFifo()  # few large frames instead of many small ones

    def _arrays(self, frame: Any) -> list[Block]:
        import numpy as np

        done: list[Block] = []
        for out in self._resampler.resample(frame):
            array: Any = out.to_ndarray().reshape(-1, out.layout.nb_channels).T
            if self._wanted == "mix" and len(array) > 1:
                array = array.mean(axis=0, keepdims=True).astype(np.int16)
            done.append(np.ascontiguousarray(array[self._rows]))
        self.written += sum(block.shape[1] for block in done)
        return done


class _Balance:
    """Compares the power of the channels with that of their mean, second by second."""

    def __init__(self) -> None:
        self.ever = False
        """Whether the channels cancelled each other somewhere."""
        self._verdict: Channels = "mix"

    def judge(self, frame: Any) -> Iterator[tuple[Any, Channels]]:
        """The parts of a frame, and what to use of each: the mix, or else the loudest channel."""
        import av

        step = frame.sample_rate // _COMPARED * _COMPARED or frame.samples
        samples = _some(frame)
        verdicts = [
            self._of(samples[:, first : first + step // _COMPARED])
            for first in range(0, samples.shape[1], max(1, step // _COMPARED))
        ]
        if len(set(verdicts)) == 1:
            yield frame, verdicts[0]
            return
        fifo = av.AudioFifo()
        frame.pts = None  # that of the fifo before
        fifo.write(frame)
        for verdict, group in groupby(verdicts):
            yield fifo.read(min(step * len(list(group)), fifo.samples)), verdict

    def _of(self, samples: npt.NDArray[np.float64]) -> Channels:
        """The verdict on (channels, n) samples. Silence changes nothing."""
        products = samples @ samples.T / samples.shape[1]
        powers = products.diagonal()
        loudest = int(powers.argmax())
        if powers[loudest] > _SILENCE:
            far_below = _FAR_BELOW.get(len(powers), _FAR_BELOW_OF_MORE)
            cancel = bool(products.mean() < far_below * powers[loudest])
            self._verdict = loudest if cancel else "mix"
            self.ever = self.ever or cancel
        return self._verdict


def _some(frame: Any) -> npt.NDArray[np.float64]:
    """One of 127 samples of each channel, in [-1, 1]: (channels, n)."""
    import numpy as np

    count = frame.layout.nb_channels
    kind, full_scale = _SAMPLE_TYPES[frame.format.name.rstrip("p")]
    planes = [np.frombuffer(plane, kind) for plane in frame.planes]
    if frame.format.is_planar:
        rows = [plane[: frame.samples : _COMPARED] for plane in planes]
    else:
        rows = list(planes[0][: frame.samples * count].reshape(-1, count)[::_COMPARED].T)
    samples: npt.NDArray[np.float64] = np.stack(rows).astype(np.float64) / full_scale
    return samples - 1 if kind == "u1" else samples
