"""One name for a voice in all stretches of a recording.

Agglomerative clustering of the stretches' speakers. The distance of two clusters is the mean cosine
distance of their embeddings, weighted by seconds of speech (UPGMA: Sokal and Michener, "A
statistical method for evaluating systematic relationships", 1958); speakers of the same stretch are
never joined (Davidson and Ravi, "Agglomerative hierarchical clustering with constraints", 2005).
Speakers who say too little for that, and those whom the constraints leave over when there may be
only so many, then go to the nearest cluster, one to one within a stretch (Kuhn, "The Hungarian
method for the assignment problem", 1955), as pyannote.audio has it for short speech in a window.
Who has no embedding goes to who speaks nearest in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.engines.diarization.stretch import LocalTurn, StretchSpeakers, Voice

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

DEFAULT_THRESHOLD: Final = 0.25
"""Cosine distance up to which voices are the same.

What pyannote/speaker-diarization-3.1 was tuned to (0.7046 between unit vectors), whose embedding
model is community-1's too.
"""

_CLEAR: Final = 2.0
"""Seconds of speech that tell a voice; pyannote.audio wants as many of a window of 10 s."""

_AT_CUT: Final = 0.1
"""Seconds from a cut within which a turn goes on behind it."""


class _Speaker(NamedTuple):
    """Number `local` of stretch number `stretch`."""

    stretch: int
    local: int


Cluster = list[_Speaker]


def threshold_of(clustering: Any) -> float:
    """The cosine distance up to which a pipeline's own clustering joins two voices.

    Its centroid linkage measures d between unit vectors, so the cosine distance is d²/2. The
    threshold of VBx is none: it only starts the clustering, finer than the speakers are.
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
    stretches: Sequence[StretchSpeakers], threshold: float, least: int = 1, most: float = math.inf
) -> list[list[int]]:
    """For each speaker of each stretch, a number that is the same where the voice is.

    There are `least` to `most` of them, unless there are fewer speakers than that, or more in a
    stretch. Where nobody has an embedding, everybody stays on their own.
    """
    import numpy as np

    everybody = [
        _Speaker(stretch, local)
        for stretch, found in enumerate(stretches)
        for local in range(len(found.voices))
    ]
    voices = {each: stretches[each.stretch].voices[each.local] for each in everybody}
    weights = {each: _weight(voice) for each, voice in voices.items()}
    vectors = {
        each: _unit(np.array(voice.embedding))
        for each, voice in voices.items()
        if voice.embedding is not None
    }
    if not vectors:
        return _numbered(stretches, [[each] for each in everybody])

    def distance(each: _Speaker, cluster: Cluster) -> float:
        members = [member for member in cluster if member in vectors]
        centre = _unit(np.sum([weights[other] * vectors[other] for other in members], axis=0))
        return 1.0 - float(vectors[each] @ centre)

    def gap(each: _Speaker, cluster: Cluster) -> float:
        return _gap(_turns_of(stretches, [each]), _turns_of(stretches, cluster))

    def clustered(clear: Sequence[_Speaker], floor: int) -> tuple[list[Cluster], int]:
        """Everybody, and how many clusters those have who speak clearly: `floor`, if it may be."""
        clusters = _agglomerate(clear, vectors, weights, threshold, floor, most)
        if len(clusters) > most:
            clusters.sort(key=lambda cluster: -sum(weights[each] for each in cluster))
            del clusters[int(most) :]
        count = len(clusters)
        placed = set(chain.from_iterable(clusters))
        _place([each for each in vectors if each not in placed], clusters, distance)
        _place([each for each in everybody if each not in vectors], clusters, gap)
        return clusters, count

    clear = [each for each in vectors if voices[each].seconds >= _CLEAR] or list(vectors)
    clusters, count = clustered(clear, 1)
    while len(clusters) < least and (count < len(clear) or len(clear) < len(vectors)):
        if count == len(clear):
            clear = list(vectors)
        clusters, count = clustered(clear, min(len(clear), count + int(least) - len(clusters)))
    return _numbered(stretches, clusters)


def joined(
    stretches: Sequence[StretchSpeakers],
    numbers: Sequence[Sequence[int]],
    turns_of: Callable[[StretchSpeakers], list[LocalTurn]],
) -> list[LocalTurn]:
    """The turns of all stretches, with the recording's speakers; one that was cut is whole."""
    found: list[LocalTurn] = []
    for stretch, speakers in zip(stretches, numbers, strict=True):
        before = {
            turn.speaker: place
            for place, turn in enumerate(found)
            if turn.end >= stretch.start - _AT_CUT
        }
        for turn in turns_of(stretch):
            speaker = speakers[turn.speaker]
            place = before.pop(speaker, None)
            if place is not None and turn.start <= stretch.start + _AT_CUT:
                found[place] = LocalTurn(found[place].start, turn.end, speaker)
            else:
                found.append(LocalTurn(turn.start, turn.end, speaker))
    return found


def embeddings(
    stretches: Sequence[StretchSpeakers], numbers: Sequence[Sequence[int]]
) -> dict[int, list[float]]:
    """A vector for each of the recording's speakers who has any: the mean by seconds of speech."""
    import numpy as np

    voices: dict[int, list[Voice]] = {}
    for stretch, speakers in zip(stretches, numbers, strict=True):
        for voice, speaker in zip(stretch.voices, speakers, strict=True):
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
    """Join the nearest while they are near, there may not be so many, or are not too few."""
    import numpy as np

    matrix = np.stack([vectors[each] for each in speakers])
    distances = 1.0 - matrix @ matrix.T
    stretch = np.array([each.stretch for each in speakers])
    distances[stretch[:, None] == stretch] = np.inf  # stays so in means
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
    """Add speakers to clusters that have nobody of their stretch; those left over found their own.

    In the order of stretches, at the lowest cost in each.
    """
    from scipy.optimize import linear_sum_assignment

    for stretch, group in groupby(speakers, attrgetter("stretch")):
        left = list(group)
        free = [each for each in clusters if all(member.stretch != stretch for member in each)]
        if free:
            costs = [[cost(each, cluster) for cluster in free] for each in left]
            pairs = list(zip(*linear_sum_assignment(costs), strict=True))
            for row, column in pairs:
                free[column].append(left[row])
            left = [each for row, each in enumerate(left) if row not in dict(pairs)]
        clusters += [[each] for each in left]


def _numbered(stretches: Sequence[StretchSpeakers], clusters: Sequence[Cluster]) -> list[list[int]]:
    numbers = [[0] * len(found.voices) for found in stretches]
    for number, cluster in enumerate(clusters):
        for stretch, local in cluster:
            numbers[stretch][local] = number
    return numbers


def _turns_of(
    stretches: Sequence[StretchSpeakers], speakers: Iterable[_Speaker]
) -> list[LocalTurn]:
    return [
        turn
        for stretch, local in speakers
        for turn in stretches[stretch].turns
        if turn.speaker == local
    ]


def _gap(some: Sequence[LocalTurn], others: Sequence[LocalTurn]) -> float:
    """Seconds between the nearest of their turns."""
    return min(
        (max(0.0, b.start - a.end, a.start - b.end) for a in some for b in others),
        default=1e9,
    )


def _unit(vector: Vector) -> Vector:
    import numpy as np

    return vector / np.linalg.norm(vector)
