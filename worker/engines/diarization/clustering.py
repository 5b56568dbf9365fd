"""Clusters the windows of a whole recording, as its pipeline would, within bounded memory.

The pipeline's own clustering, with its method, its threshold and its least size of a cluster, runs
on the embeddings of all windows in which somebody speaks for long enough. Only the two parts of it
that need too much memory are replaced: scipy's `linkage`, and the inference of VBx (see these
modules). Then each speaker of each window gets the nearest voice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.engines.diarization.linkage import linkage
from worker.engines.diarization.patching import patched
from worker.engines.diarization.vbx import cluster_vbx

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.engines.diarization.windows import Windows

    Floats = npt.NDArray[np.floating]
    Integers = npt.NDArray[np.int16]

NOBODY: Final = -2
"""pyannote's number for a speaker of a window who does not speak, or is none of the voices."""


class Voices(NamedTuple):
    """The voices of a recording."""

    centroids: Floats
    """(voices, dimension)."""
    exclusive: bool
    """Whether no two speakers of a window may have the same voice."""


def cluster(
    pipeline: Any, windows: Iterable[Windows], number: int | None, least: int, most: float
) -> Voices:
    """Find the voices of a recording: `number` of them if it is known, or `least` to `most`.

    There are none if nobody speaks. Raises `ValueError` if the clustering cannot find so many.
    """
    import numpy as np
    from pyannote.audio.pipelines import clustering as module
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    parts = [each.vectors[each.clear[each.active]] for each in windows if each.active.any()]
    if not parts:
        return Voices(np.zeros((0, 0)), exclusive=False)
    vectors = np.concatenate(parts)
    del parts  # they are large
    if not len(vectors):  # all speak for too short a time to be told apart
        return Voices(np.full((1, vectors.shape[1]), np.nan), exclusive=False)
    kept: list[int] = []

    def vbx(*arguments: Any, **options: Any) -> tuple[Floats, Floats]:
        found = cluster_vbx(*arguments, **options)
        kept.append(len(found[1]))
        return found

    clustering = pipeline.clustering
    with patched(module, {"linkage": linkage, "cluster_vbx": vbx}):
        # It clusters whatever has an embedding, so each gets a window of its own.
        _, _, centroids = clustering(
            embeddings=vectors[:, None],
            segmentations=SlidingWindowFeature(np.ones((len(vectors), 1, 1)), SlidingWindow()),
            num_clusters=number,
            min_clusters=least,
            max_clusters=most,
        )
    # VBx gives that up if it has to find another number of voices, or has nothing to cluster.
    exclusive = clustering.constrained_assignment and (not kept or kept[-1] == len(centroids))
    return Voices(centroids, exclusive and len(vectors) > 1)


def assign(pipeline: Any, windows: Windows, voices: Voices) -> Integers:
    """The voice of each speaker of each window (windows, speakers), or `NOBODY`.

    It is the nearest one, or within a window those with the least distance in all (Kuhn, "The
    Hungarian method for the assignment problem", 1955).
    """
    import numpy as np
    from scipy.spatial.distance import cdist

    active = windows.active
    found = np.full(active.shape, NOBODY, np.int16)
    if not active.any():
        return found
    near = 2 - cdist(windows.vectors, voices.centroids, metric=pipeline.clustering.metric)
    if not voices.exclusive:
        found[active] = near.argmax(axis=1)
        return found
    every = np.full((*active.shape, near.shape[1]), -1.0)
    every[active] = np.nan_to_num(near, nan=0.0)
    found[active] = pipeline.clustering.constrained_argmax(every)[active]
    return found
