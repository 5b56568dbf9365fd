"""From the voices of all windows to turns: what pyannote.audio's `reconstruct` does, by stretches.

In each frame as many voices speak as the windows that contain it find on average: those with the
highest scores, summed over these windows. The last windows of a stretch reach into the next one and
count there as well, so turns do not depend on where stretches begin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from worker.engines.diarization.clustering import NOBODY, assign
from worker.engines.diarization.speakers import NumberedTurn, Speakers, usable
from worker.engines.diarization.windows import grid_of, speaking

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.engines.diarization.clustering import Voices
    from worker.engines.diarization.windows import Booleans, Floats, Grid, Store

    Integers = npt.NDArray[np.integer]


def reconstruct(
    pipeline: Any,
    store: Store,
    voices: Voices,
    most: float,
    offset: float,
    check: Callable[[], None],
) -> Speakers:
    """Find the turns of a recording that begins `offset` seconds into the file.

    At most `most` voices speak at the same time. `check` is called now and then, and may raise.
    """
    import numpy as np

    grid = grid_of(pipeline)
    turns, exclusive = _Runs(), _Runs()
    assigned = [assign(pipeline, windows, voices) for windows in store]
    used = max((int(each.max(initial=NOBODY)) for each in assigned), default=NOBODY) + 1
    scores: Floats | None = None
    labels = assigned[0]
    frames = 0
    for number, windows in enumerate(store):
        check()
        if scores is None:
            scores, lead = windows.scores, 0
        else:
            lead = grid.unit
            scores = np.concatenate([scores[-lead:], windows.scores])
            labels = np.concatenate([labels[-lead:], assigned[number]])
        heard, count = _added(scores, labels, speaking(pipeline, scores), grid, max(1, used))
        last = number == len(store) - 1
        own = slice(grid.frames(lead), None if last else grid.frames(len(scores)))
        heard, count = heard[own], np.minimum(count[own], min(most, 255))
        turns.add(_loudest(heard, count), frames)
        exclusive.add(_loudest(heard, np.minimum(count, 1)), frames)
        frames += len(heard)
    return Speakers(
        turns=turns.turns(pipeline, frames, offset),
        exclusive_turns=exclusive.turns(pipeline, frames, offset),
        embeddings=[usable(each) for each in voices.centroids],
    )


def _added(
    scores: Floats, labels: Integers, speaks: Floats, grid: Grid, voices: int
) -> tuple[Floats, Integers]:
    """The voices' scores (frames, voices), summed over windows; how many speak (frames,)."""
    import numpy as np

    windows, length, _ = scores.shape
    frames = round((grid.window + (windows - 1) * grid.step) / grid.frame) + 1
    heard = np.zeros((frames, voices), np.float32)
    speakers, covering = np.zeros((2, frames), np.float32)
    for number in range(windows):
        begin = round(number * grid.step / grid.frame)
        there = slice(begin, begin + length)
        speakers[there] += speaks[number].sum(axis=1)
        covering[there] += 1
        names = labels[number]
        for voice in set(names[names >= 0].tolist()):
            heard[there, voice] += scores[number][:, names == voice].max(axis=1)
    return heard, np.rint(speakers / np.maximum(covering, 1)).astype(np.uint8)


def _loudest(heard: Floats, count: Integers) -> Booleans:
    """The `count` (frames,) voices with the highest scores (frames, voices).

    If there are more than voices, as windows may tell more speakers apart than the clustering, the
    surplus becomes voices of its own, as in pyannote.audio.
    """
    import numpy as np

    surplus = max(0, int(count.max(initial=0)) - heard.shape[1])
    heard = np.pad(heard, ((0, 0), (0, surplus)))
    found = np.zeros(heard.shape, bool)
    chosen = np.arange(heard.shape[1]) < count[:, None]
    np.put_along_axis(found, np.argsort(-heard, axis=1), chosen, axis=1)
    return found


class _Runs:
    """The frames in which each voice speaks, from first to behind the last."""

    def __init__(self) -> None:
        self._found: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def add(self, found: Booleans, before: int) -> None:
        """Add frames (frames, voices) that come after `before` others."""
        import numpy as np

        edges = np.diff(np.pad(found, ((1, 1), (0, 0))).astype(np.int8), axis=0)
        for voice in np.flatnonzero(found.any(axis=0)).tolist():
            runs = self._found[voice]
            starts, ends = (np.flatnonzero(edges[:, voice] == way) + before for way in (1, -1))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                if runs and runs[-1][1] == start:
                    start, _ = runs.pop()
                runs.append((start, end))

    def turns(self, pipeline: Any, frames: int, offset: float) -> list[NumberedTurn]:
        """The turns of a recording of so many frames, in the order of their times.

        A turn lasts from the middle of its first frame to that of the first without it, as in
        pyannote.audio, and goes on through gaps of less than the pipeline's `min_duration_off`.
        """
        field = pipeline._segmentation.model.receptive_field
        gap = pipeline.segmentation.min_duration_off

        def middle(frame: int) -> float:
            start = min(frame, frames - 1) * field.step
            return float(0.5 * (start + (start + field.duration)))

        found: list[NumberedTurn] = []
        for voice, runs in self._found.items():
            times: list[tuple[float, float]] = []
            for start, end in ((middle(first), middle(stop)) for first, stop in runs):
                if times and start - times[-1][1] < gap:
                    times[-1] = times[-1][0], end
                elif start < end:
                    times.append((start, end))
            found += [
                NumberedTurn(round(start + offset, 3), round(end + offset, 3), voice)
                for start, end in times
            ]
        return sorted(found, key=lambda turn: (turn.start, turn.end, turn.speaker))
