"""Which parts of a recording to decode at once: contiguous windows, cut where nobody speaks.

Speech that follows within two seconds joins a window, until that lasts as long as Whisper can hear.
A window is then cut at its longest pause that leaves both parts long enough to give the decoder
context. Windows keep the pauses between words, so times in a window are times in the recording;
packages that glue speech together over removed silence must guess where each word was.

All times are seconds from the start of the piece of the recording that is being worked on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAUSE: Final = 2.0
"""Seconds without speech that end a window."""

_MARGIN: Final = 0.2
"""Seconds of audio before and after the speech that a window holds."""

_CONTEXT: Final = 15.0
"""Seconds on either side of a cut beyond which more context does not count."""

_LEAST: Final = 0.5
"""Share of the longest window after which speech without a pause may be cut."""

_QUIET: Final = 5  # probabilities over which the mean is taken to find the quietest place


class _Timed(Protocol):
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


T = TypeVar("T", bound=_Timed)


class Stretch(NamedTuple):
    """Speech without a pause."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.start


class Window(NamedTuple):
    """Stretches of speech to decode at once, in one language if that is known."""

    speech: tuple[Stretch, ...]
    language: str | None = None

    @property
    def start(self) -> float:
        """Where its audio begins: shortly before its speech."""
        return max(0.0, self.speech[0].start - _MARGIN)

    @property
    def end(self) -> float:
        """Where its audio ends: shortly after its speech, if the recording is that long."""
        return self.speech[-1].end + _MARGIN

    @property
    def seconds(self) -> float:
        """Seconds of speech."""
        return seconds_of(self.speech)


def seconds_of(speech: Iterable[Stretch]) -> float:
    """Seconds that the stretches last together."""
    return sum(stretch.seconds for stretch in speech)


def windows_of(
    speech: Iterable[Stretch], longest: float, first: float | None = None
) -> list[Window]:
    """Windows of at most `longest` seconds from the first to the last word in each.

    The first of all lasts at most `first` seconds, if it has a pause to cut at.
    """
    speech = list(speech)
    if first is not None and speech:
        [group, *_] = groups(speech, PAUSE)
        begin = parts(parts(group, longest)[0], first)[0]
        return [Window(begin), *windows_of(speech[len(begin) :], longest)]
    found: list[Window] = []
    for group in groups(speech, PAUSE):
        found += (Window(part) for part in parts(group, longest))
    return found


def groups(timed: Iterable[T], pause: float) -> list[tuple[T, ...]]:
    """Stretches, or words, that follow each other within `pause` seconds."""
    found: list[list[T]] = []
    for each in timed:
        if found and each.start - found[-1][-1].end <= pause:
            found[-1].append(each)
        else:
            found.append([each])
    return [tuple(group) for group in found]


def parts(speech: tuple[Stretch, ...], longest: float) -> list[tuple[Stretch, ...]]:
    """Cut stretches into parts of at most `longest` seconds, each time at the best pause."""
    if len(speech) == 1 or speech[-1].end - speech[0].start <= longest:
        return [speech]

    def worth(k: int) -> float:
        """How good a cut before stretch `k` is: long pause, context on both sides."""
        pause = speech[k].start - speech[k - 1].end
        before = speech[k].start - speech[0].start
        after = speech[-1].end - speech[k].start
        return pause * min(before, after, _CONTEXT)

    cut = max(range(1, len(speech)), key=worth)
    return parts(speech[:cut], longest) + parts(speech[cut:], longest)


def cut_long(
    speech: Iterable[Stretch],
    longest: float,
    probabilities: npt.NDArray[np.float32],
    step: float,
) -> list[Stretch]:
    """Cut stretches that are longer than a window where speech is least probable.

    `probabilities` of speech cover the piece, `step` seconds each.
    """
    import numpy as np

    smooth = np.convolve(probabilities, np.full(_QUIET, 1 / _QUIET), "same")
    found: list[Stretch] = []
    for stretch in speech:
        start = stretch.start
        while stretch.end - start > longest:
            count = math.ceil((stretch.end - start) / longest)
            most = min(longest, (stretch.end - start) - (count - 1) * longest * _LEAST)
            first, last = int((start + longest * _LEAST) / step), int((start + most) / step)
            cut = (first + int(smooth[first : max(last, first + 1)].argmin())) * step
            found.append(Stretch(start, cut))
            start = cut
        found.append(Stretch(start, stretch.end))
    return found


def within(speech: Iterable[Stretch], clips: Sequence[tuple[float, float]]) -> list[Stretch]:
    """The parts of the stretches that lie in `clips` (start, end)."""
    return [
        Stretch(max(stretch.start, start), min(stretch.end, end))
        for stretch in speech
        for start, end in clips
        if min(stretch.end, end) > max(stretch.start, start)
    ]
