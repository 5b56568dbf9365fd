"""Links the speakers of a recording's pieces: one number per voice.

First, agglomerative clustering of the pieces' speakers. The distance of two clusters is the mean
cosine distance of their embeddings, weighted by seconds of speech (UPGMA: Sokal and Michener, "A
statistical method for evaluating systematic relationships", 1958); speakers of the same piece are
never joined (Davidson and Ravi, "Agglomerative hierarchical clustering with constraints", 2005).

Then speakers who said too little for clustering, and those that exceed the maximum number of
speakers, join the nearest cluster, one to one within a piece (Kuhn, "The Hungarian method for the
assignment problem", 1955), as pyannote.audio does for short speech in a window. A speaker without
an embedding joins the cluster that speaks nearest in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.engines.diarization.piece import NumberedTurn, PieceSpeakers, Voice

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

DEFAULT_THRESHOLD: Final = 0.25
"""Cosine distance up to which two voices are the same speaker.

pyannote/speaker-diarization-3.1 is tuned to this value (0.7046 between unit vectors), and
community-1 has the same embedding model.
"""

_CLEAR: Final = 2.0
"""Seconds of speech that identify a voice; pyannote.audio asks as much of a window of 10 s."""

_AT_CUT: Final = 0.1
"""Seconds from a cut within which two turns of a speaker are one."""


class _Speaker(NamedTuple):
    """A speaker of a piece; both numbers count from 0."""

    piece: int
    number: int


Cluster = list[_Speaker]


def threshold_of(clustering: Any) -> float:
    """The cosine distance up to which a pipeline's own clustering joins two voices.

    Centroid linkage measures the distance d of unit vectors, so the cosine distance is d²/2. The
    threshold of VBx is no such limit: it only sets the initial clusters, finer than speakers.
    """
    threshold = getattr(clustering, "threshold", None)
    method = getattr(clustering, "method", None)
    if not isinstance(threshold, float) or getattr(clustering, "metric", None) != "cosine":
        return DEFAULT_THRESHOLD
    if method in ("centroid", "median"):
        return threshold**2 / 2
    if method in ("average", "weighted", "complete", "single"):
        return threshold
    return DEFAULT_THRESHOLD


def link(
    pieces: Sequence[PieceSpeakers], threshold: float, least: int = 1, most: float = math.inf
) -> list[list[int]]:
    """Number each speaker of each piece; the same voice gets the same number.

    There are `least` to `most` numbers, unless the pieces have fewer speakers in all, or a single
    piece has more. Without any embeddings, all speakers stay separate.
    """
    import numpy as np

    speakers = [
        _Speaker(piece, number)
        for piece, found in enumerate(pieces)
        for number in range(len(found.voices))
    ]
    voices = {each: pieces[each.piece].voices[each.number] for each in speakers}
    weights = {each: _weight(voice) for each, voice in voices.items()}
    vectors = {
        each: _unit(np.array(voice.embedding))
        for each, voice in voices.items()
        if voice.embedding is not None
    }
    if not vectors:
        return _numbered(pieces, [[each] for each in speakers])

    def distance(each: _Speaker, cluster: Cluster) -> float:
        members = [member for member in cluster if member in vectors]
        centre = _unit(np.sum([weights[other] * vectors[other] for other in members], axis=0))
        return 1.0 - float(vectors[each] @ centre)

    def gap(each: _Speaker, cluster: Cluster) -> float:
        return _gap(_turns_of(pieces, [each]), _turns_of(pieces, cluster))

    def clustered(clear: Sequence[_Speaker], floor: int) -> tuple[list[Cluster], int]:
        """Cluster the clear speakers, down to `floor` clusters; place the others.

        Returns all clusters, and how many of them the clear speakers formed.
        """
        clusters = _agglomerate(clear, vectors, weights, threshold, floor, most)
        if len(clusters) > most:
            clusters.sort(key=lambda cluster: -sum(weights[each] for each in cluster))
            del clusters[int(most) :]
        count = len(clusters)
        placed = set(chain.from_iterable(clusters))
        _place([each for each in vectors if each not in placed], clusters, distance)
        _place([each for each in speakers if each not in vectors], clusters, gap)
        return clusters, count

    clear = [each for each in vectors if voices[each].seconds >= _CLEAR] or list(vectors)
    clusters, count = clustered(clear, 1)
    while len(clusters) < least and (count < len(clear) or len(clear) < len(vectors)):
        if count == len(clear):
            clear = list(vectors)
        clusters, count = clustered(clear, min(len(clear), count + int(least) - len(clusters)))
    return _numbered(pieces, clusters)


def joined(
    pieces: Sequence[PieceSpeakers],
    numbers: Sequence[Sequence[int]],
    turns_of: Callable[[PieceSpeakers], list[NumberedTurn]],
) -> list[NumberedTurn]:
    """The turns of all pieces, with the recording's speakers; turns that were cut are rejoined."""
    found: list[NumberedTurn] = []
    for piece, speakers in zip(pieces, numbers, strict=True):
        before = {
            turn.speaker: place
            for place, turn in enumerate(found)
            if turn.end >= piece.start - _AT_CUT
        }
        for turn in turns_of(piece):
            speaker = speakers[turn.speaker]
            place = before.pop(speaker, None)
            if place is not None and turn.start <= piece.start + _AT_CUT:
                found[place] = NumberedTurn(found[place].start, turn.end, speaker)
            else:
                found.append(NumberedTurn(turn.start, turn.end, speaker))
    return found


def embeddings(
    pieces: Sequence[PieceSpeakers], numbers: Sequence[Sequence[int]]
) -> dict[int, list[float]]:
    """Each speaker's mean embedding, weighted by seconds of speech; none for those without any."""
    import numpy as np

    voices: dict[int, list[Voice]] = {}
    for piece, speakers in zip(pieces, numbers, strict=True):
        for voice, speaker in zip(piece.voices, speakers, strict=True):
            if voice.embedding is not None:
                voices.setdefault(speaker, []).append(voice)
    found: dict[int, list[float]] = {}
    for speaker, parts in voices.items():
        if len(parts) == 1:
            found[speaker] = parts[0].embedding or []
            continue
        vectors = np.array([part.embedding for part in parts])
        weights = [_weight(part) for part in parts]
        found[speaker] = np.average(vectors, axis=0, weights=weights).tolist()
    return found


def _weight(voice: Voice) -> float:
    return max(voice.seconds, 0.01)


def _agglomerate(
    speakers: Sequence[_Speaker],
    vectors: Mapping[_Speaker, Vector],
    weights: Mapping[_Speaker, float],
    threshold: float,
    least: float,
    most: float,
) -> list[Cluster]:
    """Join the nearest two clusters while they are within `threshold`, or more than `most` remain.

    Never join down to fewer than `least`.
    """
    import numpy as np

    matrix = np.stack([vectors[each] for each in speakers])
    distances = 1.0 - matrix @ matrix.T
    piece = np.array([each.piece for each in speakers])
    distances[piece[:, None] == piece] = np.inf  # and so is every mean with it
    weight = np.array([weights[each] for each in speakers])
    clusters: dict[int, Cluster] = {index: [each] for index, each in enumerate(speakers)}
    while len(clusters) > least:
        a, b = map(int, np.unravel_index(distances.argmin(), distances.shape))
        nearest = distances[a, b]
        if np.isinf(nearest) or (nearest > threshold and len(clusters) <= most):
            break
        mean = (weight[a] * distances[a] + weight[b] * distances[b]) / (weight[a] + weight[b])
        distances[a] = distances[:, a] = mean
        distances[b] = distances[:, b] = np.inf
        weight[a] += weight[b]
        clusters[a] += clusters.pop(b)
    return list(clusters.values())


def _place(
    speakers: Iterable[_Speaker],
    clusters: list[Cluster],
    cost: Callable[[_Speaker, Cluster], float],
) -> None:
    """Add speakers to clusters, piece by piece, at the lowest total cost in each.

    A cluster takes at most one speaker of a piece; those left over form clusters of their own.
    """
    from scipy.optimize import linear_sum_assignment

    for piece, group in groupby(speakers, attrgetter("piece")):
        left = list(group)
        free = [each for each in clusters if all(member.piece != piece for member in each)]
        if free:
            costs = [[cost(each, cluster) for cluster in free] for each in left]
            pairs = list(zip(*linear_sum_assignment(costs), strict=True))
            for row, column in pairs:
                free[column].append(left[row])
            left = [each for row, each in enumerate(left) if row not in dict(pairs)]
        clusters += [[each] for each in left]


def _numbered(pieces: Sequence[PieceSpeakers], clusters: Sequence[Cluster]) -> list[list[int]]:
    numbers = [[0] * len(found.voices) for found in pieces]
    for number, cluster in enumerate(clusters):
        for each in cluster:
            numbers[each.piece][each.number] = number
    return numbers


def _turns_of(pieces: Sequence[PieceSpeakers], speakers: Iterable[_Speaker]) -> list[NumberedTurn]:
    return [
        turn
        for speaker in speakers
        for turn in pieces[speaker.piece].turns
        if turn.speaker == speaker.number
    ]


def _gap(some: Sequence[NumberedTurn], others: Sequence[NumberedTurn]) -> float:
    """Seconds between the two nearest turns."""
    return min(
        (max(0.0, b.start - a.end, a.start - b.end) for a in some for b in others),
        default=1e9,
    )


def _unit(vector: Vector) -> Vector:
    import numpy as np

    return vector / np.linalg.norm(vector)
