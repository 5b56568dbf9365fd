"""The windows of a long recording: what the pipeline's models find in each, kept on disk.

A pipeline looks at windows of some seconds, which overlap. What it finds in one does not depend on
the others, until all are clustered. So the models run on one stretch of a recording after another,
on the very windows that pyannote.audio would take of the whole: a stretch continues where the last
window of the one before began, plus a step. The number of its windows is such that frames begin
where it does.
"""

from __future__ import annotations

import math
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from protocol.errors import RpcError
from worker.audio import SAMPLE_RATE
from worker.engines.common import recording as recordings
from worker.engines.common.recording import Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from worker.engines.common.recording import Recording

    Floats = npt.NDArray[np.float32]
    Booleans = npt.NDArray[np.bool_]


class Grid(NamedTuple):
    """Where a pipeline's windows and frames begin, in samples."""

    window: int
    """Length of a window."""
    step: int
    """From the beginning of one to that of the next."""
    frame: int
    """From the beginning of one frame to that of the next."""

    @property
    def unit(self) -> int:
        """Windows, no shorter in all than one, after which a frame begins with a window."""
        aligned = self.frame // math.gcd(self.step, self.frame)
        return aligned * -(-self.window // (self.step * aligned))

    def frames(self, windows: int) -> int:
        """The number of frames before a window, whose number is a multiple of `unit`."""
        return windows * self.step // self.frame


def grid_of(pipeline: Any) -> Grid:
    """The grid of a `SpeakerDiarization` pipeline."""
    inference = pipeline._segmentation
    seconds = inference.duration, inference.step, inference.model.receptive_field.step
    return Grid(*(round(each * SAMPLE_RATE) for each in seconds))


def stretches(recording: Recording, pipeline: Any) -> Iterator[Piece]:
    """Cut a recording into stretches of whole windows, which overlap by all but a step.

    A recording of up to `LONGEST_PIECE` seconds is not cut.
    """
    longest = recordings.LONGEST_PIECE * SAMPLE_RATE
    if (stop := recording.wait(longest + 1)) <= longest:
        yield Piece(0, recording.read(0, stop), last=True)
        return
    grid = grid_of(pipeline)
    fitting = (longest - grid.window) // grid.step + 1
    windows = max(1, fitting // grid.unit) * grid.unit
    length = (windows - 1) * grid.step + grid.window
    first = 0
    while (stop := recording.wait(first + length + 1)) > first + length:
        yield Piece(first, recording.read(first, first + length), last=False)
        first += windows * grid.step
    yield Piece(first, recording.read(first, stop), last=True)


class Windows(msgspec.Struct, frozen=True):
    """What the models find in successive windows; checkpoints keep it as JSON."""

    shape: tuple[int, int, int]
    """Windows, frames of each, and speakers of each, whose numbers mean nothing beyond it."""
    packed_scores: bytes
    packed_vectors: bytes
    packed_active: bytes
    packed_clear: bytes

    @property
    def scores(self) -> Floats:
        """Who speaks in which frame (windows, frames, speakers), from 0 to 1."""
        import numpy as np

        return np.frombuffer(zlib.decompress(self.packed_scores), np.float32).reshape(self.shape)

    @property
    def active(self) -> Booleans:
        """Who speaks at all (windows, speakers)."""
        return self._unpacked(self.packed_active)

    @property
    def clear(self) -> Booleans:
        """Whose embeddings are fit for clustering (windows, speakers): they speak long enough."""
        return self._unpacked(self.packed_clear)

    @property
    def vectors(self) -> Floats:
        """The embeddings of the active speakers (number of them, dimension); NaN where unknown."""
        import numpy as np

        rows = int(self.active.sum())
        return np.frombuffer(self.packed_vectors, np.float32).reshape(rows, -1 if rows else 0)

    def _unpacked(self, packed: bytes) -> Booleans:
        import numpy as np

        windows, _, speakers = self.shape
        return np.frombuffer(packed, np.bool_).reshape(windows, speakers)


def speaking(pipeline: Any, scores: Floats) -> Floats:
    """Who speaks in which frame (windows, frames, speakers), 0 or 1, by scores of that shape."""
    if pipeline._segmentation.model.specifications.powerset:
        return scores
    from pyannote.audio.utils.signal import binarize
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    found: Floats = binarize(
        SlidingWindowFeature(scores, SlidingWindow()),
        onset=pipeline.segmentation.threshold,
        initial_state=False,
    ).data
    return found


def waveform(piece: Piece) -> dict[str, Any]:
    """A piece as pyannote.audio takes it."""
    import torch

    return {
        "waveform": torch.from_numpy(piece.samples)[None],
        "sample_rate": SAMPLE_RATE,
        "uri": "audio",
    }


def analyse(pipeline: Any, piece: Piece, hook: Callable[..., None]) -> Windows:
    """Run a pipeline's models, as its `apply` does, on all windows of a stretch.

    `hook` gets the progress of each step.
    """
    import numpy as np
    from pyannote.core import SlidingWindowFeature

    file = waveform(piece)
    scores = pipeline.get_segmentations(file, hook=hook)
    speech = SlidingWindowFeature(speaking(pipeline, scores.data), scores.sliding_window)
    active = np.sum(speech.data, axis=1) > 0
    clear = np.zeros_like(active)
    vectors = np.zeros((0, 0), np.float32)
    if active.any():
        found = pipeline.get_embeddings(
            file, speech, exclude_overlap=pipeline.embedding_exclude_overlap, hook=hook
        )
        _, windows, speakers = pipeline.clustering.filter_embeddings(found, segmentations=speech)
        clear[windows, speakers] = True
        vectors = found[active]
    return Windows(
        shape=scores.data.shape,
        packed_scores=zlib.compress(scores.data.astype(np.float32).tobytes(), 1),
        packed_vectors=vectors.astype(np.float32).tobytes(),
        packed_active=active.tobytes(),
        packed_clear=clear.tobytes(),
    )


class Store:
    """The windows of successive stretches, in a file that vanishes with the process."""

    def __init__(self, stack: ExitStack) -> None:
        """Open the file until `stack` closes. Raises `RpcError` of kind storage_failed."""
        try:
            self._file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        except OSError as error:
            raise _storage_failed(error) from None
        self._sizes: list[int] = []

    def append(self, windows: Windows) -> None:
        """Keep the windows of the next stretch. Raises `RpcError` of kind storage_failed."""
        data = msgspec.msgpack.encode(windows)
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise _storage_failed(error) from None
        self._sizes.append(len(data))

    def __len__(self) -> int:
        """The number of stretches."""
        return len(self._sizes)

    def __iter__(self) -> Iterator[Windows]:
        """The windows of each stretch."""
        at = 0
        for size in self._sizes:
            self._file.seek(at)
            at += size
            yield msgspec.msgpack.decode(self._file.read(size), type=Windows)
        self._file.seek(at)


def _storage_failed(error: OSError) -> RpcError:
    return RpcError("storage_failed", f"Intermediate results cannot be stored: {error.strerror}.")
