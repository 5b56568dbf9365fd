"""Agglomerative clustering of any number of vectors, within bounded memory.

scipy's `linkage` needs the distances of all pairs: 8 GB for a recording of ten hours. Up to `MOST`
vectors it is what runs here. More are clustered in two levels, as BIRCH does it (Zhang,
Ramakrishnan and Livny, "BIRCH: an efficient data clustering method for very large databases",
1996). First, each block of successive vectors is merged to a quarter of its number, nearest first,
and the rest again, until all that are left fit. Windows of speech overlap, so the first merges join
those that heard the same words. Then one linkage merges these micro-clusters.

A micro-cluster is its size and its centre. Linkage by centroids, Ward's method and the average
cosine distance need no more to go on as if every vector was still there (Lance and Williams, "A
general theory of classificatory sorting strategies", 1967); for the methods "single" and "complete"
a centre stands for its members. No threshold is involved, and no constant that depends on the
embedding: micro-clusters are as small as memory allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

MOST: Final = 4000
"""Vectors whose distances fit into memory: 64 MB, twice while scipy works."""

_BLOCK: Final = 2000
"""Vectors that are merged to micro-clusters together; they are not far apart in time."""

_SHRINK: Final = 4
"""A block keeps one of so many at least."""

_SQUARED: Final = ("centroid", "median", "ward")
"""Methods whose distances are Euclidean, and are updated as squares."""


def linkage(vectors: Floats, method: str = "single", metric: str = "euclidean") -> Floats:
    """Cluster (n, dimension) vectors; return a dendrogram (n - 1, 4) as scipy's `linkage` does.

    `method` is one of scipy's, `metric` is "euclidean" or "cosine". Raises `ValueError` for others.
    """
    from scipy.cluster import hierarchy

    if len(vectors) <= MOST:
        found: Floats = hierarchy.linkage(vectors, method=method, metric=metric)
        return found
    return _in_two_levels(vectors, method, metric)


def _in_two_levels(vectors: Floats, method: str, metric: str) -> Floats:
    import numpy as np

    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"Unknown metric: {metric}")
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    merging = _Merging(vectors, method, metric)
    while len(merging.nodes) > MOST:
        merging.shrink()
    merging.merge(0, len(merging.nodes), 1)
    return _by_height(np.array(merging.merges), len(vectors))


class _Merging:
    """Clusters, and the merges that led to them."""

    def __init__(self, vectors: Floats, method: str, metric: str) -> None:
        import numpy as np

        self._method = method
        self._cosine = metric == "cosine"
        self._count = len(vectors)
        self.centres: Floats = np.array(vectors, np.float32)
        self.sizes: Floats = np.ones(len(vectors))
        self.nodes = np.arange(len(vectors))
        """The clusters' numbers in the dendrogram."""
        self.merges: list[tuple[int, int, float, float]] = []
        """Two clusters, their distance, and the size of both; the lower number first."""

    def shrink(self) -> None:
        """Merge the clusters of each block to a fraction of their number, none more than needed."""
        end = len(self.nodes)
        share = max(1 / _SHRINK, MOST / end)
        blocks = -(-end // _BLOCK)
        for block in reversed(range(blocks)):  # a block that shrinks moves the later ones
            first, stop = end * block // blocks, end * (block + 1) // blocks
            self.merge(first, stop, max(1, int((stop - first) * share)))

    def merge(self, first: int, stop: int, until: int) -> None:
        """Merge clusters `first` to `stop`, the nearest two first, until so many are left.

        Each cluster knows its nearest neighbour, so a merge takes time linear in their number
        (Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011).
        """
        import numpy as np

        block = slice(first, stop)
        centres, sizes, nodes = self.centres[block], self.sizes[block], self.nodes[block]
        distances = self._distances(centres, sizes)
        neighbour = distances.argmin(axis=1)
        nearest = distances[np.arange(len(nodes)), neighbour]
        alive = np.ones(len(nodes), bool)
        for _ in range(len(nodes) - until):
            a = int(nearest.argmin())
            b = int(neighbour[a])
            height = float(nearest[a])
            row = self._updated(distances[a], distances[b], height, sizes[a], sizes[b], sizes)
            row[~alive] = row[a] = row[b] = np.inf
            share = (
                0.5 if self._method in ("median", "weighted") else sizes[a] / (sizes[a] + sizes[b])
            )
            centres[a] = share * centres[a] + (1 - share) * centres[b]
            sizes[a] += sizes[b]
            self._note(int(nodes[a]), int(nodes[b]), height, float(sizes[a]))
            nodes[a] = self._count + len(self.merges) - 1
            alive[b] = False
            distances[a] = distances[:, a] = row
            distances[b] = distances[:, b] = nearest[b] = np.inf
            lost = np.flatnonzero(alive & ((neighbour == a) | (neighbour == b)))
            lost = np.append(lost, a)
            neighbour[lost] = distances[lost].argmin(axis=1)
            nearest[lost] = distances[lost, neighbour[lost]]
            closer = row < nearest
            neighbour[closer] = a
            nearest[closer] = row[closer]
        keep = np.ones(len(self.nodes), bool)
        keep[block] = alive
        self.centres, self.sizes = self.centres[keep], self.sizes[keep]
        self.nodes = self.nodes[keep]

    def _distances(self, centres: Floats, sizes: Floats) -> Floats:
        """The distances of all pairs, or their squares; infinite to oneself."""
        import numpy as np

        distances: Floats = centres @ centres.T  # and from here on in place: it is large
        if self._cosine:
            np.subtract(1, distances, out=distances)
        else:
            squares = np.einsum("ij,ij->i", centres, centres)
            distances *= -2
            distances += squares
            distances += squares[:, None]
        np.maximum(distances, 0, out=distances)
        if self._method == "ward":
            for row, size in zip(distances, sizes, strict=True):
                row *= 2 * size * sizes / (size + sizes)
        elif not self._cosine and self._method not in _SQUARED:
            np.sqrt(distances, out=distances)
        np.fill_diagonal(distances, np.inf)
        return distances

    def _updated(
        self, to_a: Floats, to_b: Floats, between: float, a: float, b: float, sizes: Floats
    ) -> Floats:
        """The distances to a and b merged, clusters of those sizes."""
        import numpy as np

        both = a + b
        found: Floats
        with np.errstate(invalid="ignore"):  # of the clusters that are gone
            match self._method:
                case "single":
                    found = np.minimum(to_a, to_b)
                case "complete":
                    found = np.maximum(to_a, to_b)
                case "average":
                    found = (a * to_a + b * to_b) / both
                case "weighted":
                    found = (to_a + to_b) / 2
                case "centroid":
                    found = (a * to_a + b * to_b) / both - a * b * between / both**2
                case "median":
                    found = (to_a + to_b) / 2 - between / 4
                case "ward":
                    found = (a + sizes) * to_a + (b + sizes) * to_b - sizes * between
                    found /= both + sizes
                case _:
                    raise ValueError(f"Unknown method: {self._method}")
            return np.maximum(found, 0)

    def _note(self, a: int, b: int, height: float, size: float) -> None:
        if self._method in _SQUARED:
            height = height**0.5
        self.merges.append((min(a, b), max(a, b), height, size))


def _by_height(merges: Floats, count: int) -> Floats:
    """Order merges by height, but none before those that it depends on.

    Blocks are merged one after another; callers expect the order of a single linkage.
    """
    import numpy as np
    from scipy.cluster import hierarchy

    order = np.argsort(hierarchy.maxdists(merges), kind="stable")
    number = np.arange(count + len(order), dtype=float)
    number[count + order] = count + np.arange(len(order))
    children = np.sort(number[merges[order, :2].astype(int)], axis=1)
    found: Floats = np.hstack([children, merges[order, 2:]])
    return found
