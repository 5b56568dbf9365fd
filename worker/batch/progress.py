"""Measures the progress of a batch, weighted by seconds of audio, and draws its progress bar."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from worker.batch.inputs import Task

_REFRESH: Final = 0.1
"""Minimum seconds between two redraws of the bar."""


class _Part(msgspec.Struct):
    """A file's share of the work."""

    suffix: str
    size: int
    seconds: float | None = None
    """Seconds of audio; 0 if the file failed, None if not yet known."""
    done: float = 0.0
    finished: bool = False


class Progress:
    """How much of a batch is done, in files and in audio.

    A file's duration is known once the worker has decoded it. Until then it is estimated from its
    size, at the rate of the known files with the same suffix, or else of all known files.
    """

    def __init__(self, tasks: Sequence[Task], clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = {i: _part(task) for i, task in enumerate(tasks)}
        self._clock = clock
        self._begin = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the batch began."""
        return self._clock() - self._begin

    @property
    def audio(self) -> float:
        """Seconds of processed audio."""
        return sum(part.done * (part.seconds or 0) for part in self._parts.values())

    @property
    def files(self) -> tuple[int, int]:
        """The number of finished files, and of all files."""
        return sum(part.finished for part in self._parts.values()), len(self._parts)

    def skip(self, index: int) -> None:
        """Exclude a file that needs no work."""
        del self._parts[index]

    def report(self, index: int, value: dict[str, Any]) -> None:
        """Record a `$/progress` value of a file."""
        part = self._parts[index]
        part.seconds = value.get("audioTotal", part.seconds)
        part.done = max(part.done, value.get("percentage", 0) / 100)

    def finish(self, index: int, seconds: float | None) -> None:
        """Record that a file is done, or that it failed and has no `seconds`."""
        part = self._parts[index]
        part.seconds, part.done, part.finished = seconds or 0.0, 1.0, True

    def fraction(self) -> float:
        """The share of the work that is done, from 0 to 1."""
        weights = self._weights()
        total = sum(weights.values())
        if not total:
            finished, files = self.files
            return finished / max(files, 1)
        return sum(weight * self._parts[i].done for i, weight in weights.items()) / total

    def remaining(self) -> float | None:
        """Estimated seconds until the batch is done, at its pace so far."""
        done = self.fraction()
        return self.elapsed * (1 - done) / done if done else None

    def real_time_factor(self) -> float | None:
        """Seconds of work per second of audio, over the whole batch so far."""
        audio = self.audio
        return self.elapsed / audio if audio else None

    def _weights(self) -> dict[int, float]:
        """Seconds of audio, or bytes while no duration is known."""
        seconds, sizes = defaultdict[str, float](float), defaultdict[str, int](int)
        for part in self._parts.values():
            if part.seconds:
                for key in (part.suffix, ""):
                    seconds[key] += part.seconds
                    sizes[key] += part.size
        rates = {key: seconds[key] / size for key, size in sizes.items() if size}
        usual = rates.get("", 1.0)
        return {
            i: part.size * rates.get(part.suffix, usual) if part.seconds is None else part.seconds
            for i, part in self._parts.items()
        }


def _part(task: Task) -> _Part:
    try:
        size = task.path.stat().st_size
    except (OSError, ValueError):
        size = 0
    return _Part(task.path.suffix.lower() or ".", size)


class BatchBar:
    """Shows a batch's progress on a terminal; nothing when stderr is none."""

    def __init__(self, progress: Progress) -> None:
        from tqdm import tqdm

        self._progress = progress
        self._drawn = 0.0
        self._bar: Any = tqdm(
            total=1,
            leave=False,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
        )

    def __enter__(self) -> BatchBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def draw(self, failed: int) -> None:
        """Redraw the bar, unless it was redrawn a moment ago."""
        if self._bar.disable or self._progress.elapsed - self._drawn < _REFRESH:
            return
        self._drawn = self._progress.elapsed
        self._bar.set_description_str("{}/{} files".format(*self._progress.files), refresh=False)
        factor, left = self._progress.real_time_factor(), self._progress.remaining()
        parts = [f"< {span(left)}"] if left is not None else []
        parts += [f"real-time factor {factor:.2f}"] if factor is not None else []
        parts += [f"{failed} failed"] if failed else []
        self._bar.set_postfix_str(", ".join(parts), refresh=False)
        self._bar.n = self._progress.fraction()
        self._bar.refresh()

    def write(self, line: str) -> None:
        """Print a line on stderr, above the bar."""
        self._bar.clear()
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
        self._bar.refresh()


def span(seconds: float) -> str:
    """Seconds as H:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
