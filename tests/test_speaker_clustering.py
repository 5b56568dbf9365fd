"""Clustering the voices of long recordings: bounded memory changes nothing, or next to nothing."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster import hierarchy

from worker.engines.diarization import linkage as module
from worker.engines.diarization import vbx as vbx_module
from worker.engines.diarization.clustering import NOBODY, assign, cluster
from worker.engines.diarization.linkage import linkage
from worker.engines.diarization.windows import Windows

Floats = npt.NDArray[np.floating]

METHODS = [
    *(("centroid", "euclidean"), ("median", "euclidean"), ("ward", "euclidean")),
    *(("average", "cosine"), ("weighted", "cosine"), ("single", "cosine"), ("complete", "cosine")),
]
CENTROID = METHODS[0]


def voices(
    seed: int, speakers: int, windows: int, spread: float, dimension: int = 32
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Unit vectors of speakers who talk in turns, and whose each is.

    As windows overlap, a vector differs less from the one before than from others of its speaker.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(speakers, dimension))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    who = np.repeat(rng.integers(speakers, size=windows // 5 + 1), 5)[:windows]
    turn = np.repeat(rng.normal(size=(windows // 5 + 1, dimension)), 5, axis=0)[:windows]
    vectors = centres[who] + spread / dimension**0.5 * (
        0.8 * turn + 0.6 * rng.normal(size=(windows, dimension))
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), who


def same(some: npt.NDArray[Any], others: npt.NDArray[Any]) -> bool:
    """Whether two partitions are the same but for the clusters' numbers."""
    pairs = set(zip(some.tolist(), others.tolist(), strict=True))
    return len(pairs) == len(set(some.tolist())) == len(set(others.tolist()))


def small(monkeypatch: pytest.MonkeyPatch, most: int, block: int) -> None:
    monkeypatch.setattr(module, "MOST", most)
    monkeypatch.setattr(module, "_BLOCK", block)


def in_two_levels(vectors: Floats, method: str, metric: str, most: int, block: int) -> Floats:
    with pytest.MonkeyPatch.context() as patch:
        small(patch, most, block)
        return linkage(vectors, method, metric)


@pytest.mark.parametrize(("method", "metric"), METHODS)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 60), dimension=st.integers(2, 8))
@settings(max_examples=30, deadline=None)
def test_one_level_is_scipys_linkage(
    method: str, metric: str, seed: int, count: int, dimension: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    expected = hierarchy.linkage(vectors, method, metric)
    merging = module._Merging(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if metric == "cosine" else vectors,
        method,
        metric,
    )
    merging.merge(0, count, 1)
    heights = np.array([height for _, _, height, _ in merging.merges])
    assert heights == pytest.approx(expected[:, 2], abs=2e-3)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(10, 150),
    most=st.integers(4, 40),
    block=st.integers(4, 40),
    method=st.sampled_from(METHODS),
)
@settings(max_examples=80, deadline=None)
def test_two_levels_give_a_dendrogram(
    seed: int, count: int, most: int, block: int, method: tuple[str, str]
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 5))
    found = in_two_levels(vectors, *method, most, block)
    assert hierarchy.is_valid_linkage(found)
    assert len(found) == count - 1
    assert found[-1, 3] == count
    sizes = np.concatenate([np.ones(count), found[:, 3]])
    children = found[:, :2].astype(int)
    assert (sizes[children].sum(axis=1) == found[:, 3]).all()
    assert (np.diff(hierarchy.maxdists(found)) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_two_levels_find_the_speakers_that_one_finds(method: tuple[str, str], seed: int) -> None:
    vectors, who = voices(seed, speakers=8, windows=600, spread=0.5)
    expected = hierarchy.fcluster(hierarchy.linkage(vectors, *method), 8, "maxclust")
    found = hierarchy.fcluster(in_two_levels(vectors, *method, 100, 60), 8, "maxclust")
    assert same(expected, who)
    assert same(found, expected)


@pytest.mark.parametrize("seed", range(5))
def test_centres_carry_the_sizes_of_micro_clusters(seed: int) -> None:
    """The heights of the last merges are those of a linkage of all vectors."""
    vectors, _ = voices(seed, speakers=6, windows=500, spread=0.4)
    expected = hierarchy.linkage(vectors, *CENTROID)[-5:, 2]
    found = in_two_levels(vectors, *CENTROID, 90, 50)[-5:, 2]
    assert found == pytest.approx(expected, rel=1e-3)


# Whole recordings, with pyannote.audio's own clustering


def pipeline(**clustering: Any) -> Any:
    """As much of a pipeline as clustering needs; it takes speakers apart from a distance of 0.7."""
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering

    settings = {"method": "centroid", "threshold": 0.7, "min_cluster_size": 12, **clustering}
    return SimpleNamespace(clustering=AgglomerativeClustering().instantiate(settings))


def windows(vectors: Floats, second: Floats | None = None) -> Windows:
    """Successive windows in which one speaks, or two."""
    found = vectors[:, None] if second is None else np.stack([vectors, second], axis=1)
    count, speakers, _ = found.shape
    all_of_them = np.ones((count, speakers), bool).tobytes()
    return Windows(
        shape=(count, 1, speakers),
        packed_scores=zlib.compress(np.ones((count, 1, speakers), np.float32).tobytes()),
        packed_vectors=found.astype(np.float32).tobytes(),
        packed_active=all_of_them,
        packed_clear=all_of_them,
    )


def clustered(
    stretches: Sequence[Windows], of: Any = None, number: int | None = None, **bounds: float
) -> npt.NDArray[np.integer]:
    """The voice of each speaker of all windows."""
    of = of or pipeline()
    least, most = int(bounds.get("least", number or 1)), bounds.get("most", number or math.inf)
    found = cluster(of, stretches, number, least, most)
    return np.concatenate([assign(of, each, found) for each in stretches])


def bare(vectors: Floats, of: Any, **numbers: Any) -> npt.NDArray[np.integer]:
    """What pyannote.audio gives for all windows at once."""
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    everybody = SlidingWindowFeature(np.ones((len(vectors), 1, 1)), SlidingWindow())
    bounds = {"min_clusters": 1, "max_clusters": math.inf, **numbers}
    found: npt.NDArray[np.integer] = of.clustering(
        embeddings=vectors[:, None].astype(np.float32), segmentations=everybody, **bounds
    )[0]
    return found


def parts(vectors: Floats, count: int) -> list[Windows]:
    return [windows(each) for each in np.array_split(vectors, count)]


@given(
    seed=st.integers(0, 10**6),
    speakers=st.integers(1, 6),
    spread=st.floats(0.1, 1.5),
    stretches=st.integers(1, 7),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.slow
def test_stretches_cluster_as_the_whole(
    seed: int, speakers: int, spread: float, stretches: int
) -> None:
    vectors, _ = voices(seed, speakers, 200, spread)
    found = clustered(parts(vectors, stretches))
    assert np.array_equal(found, bare(vectors, pipeline()))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("numbers", [{}, {"num_clusters": 4}, {"max_clusters": 3}])
def test_micro_clusters_cluster_as_the_whole(
    seed: int, numbers: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, _ = voices(seed, 8, 1500, 0.5)
    expected = bare(vectors, pipeline(), **numbers)
    small(monkeypatch, 200, 100)
    number, most = numbers.get("num_clusters"), numbers.get("max_clusters", math.inf)
    found = clustered(parts(vectors, 9), number=number, most=number or most)
    assert len(np.unique(found)) == len(np.unique(expected))
    if numbers:  # which of voices that are all as different are joined, nobody can say
        return
    pairs = Counter(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    best = {voice: max(n for (own, _), n in pairs.items() if own == voice) for voice, _ in pairs}
    assert sum(best.values()) >= 0.97 * len(vectors)


def test_who_speaks_little_in_each_stretch_is_kept() -> None:
    """Each stretch has fewer windows of the second speaker than a voice must have."""
    vectors, _ = voices(1, speakers=1, windows=800, spread=0.3)
    rare, _ = voices(2, speakers=1, windows=16, spread=0.3)
    stretches = [
        windows(np.concatenate([vectors[n * 100 : (n + 1) * 100], rare[2 * n : 2 * n + 2]]))
        for n in range(8)
    ]
    found = np.concatenate([*np.split(clustered(stretches), 8)], axis=1)
    assert set(found[:100].ravel()) == {found[0, 0]}
    assert set(found[100:].ravel()) == {found[100, 0]} != {found[0, 0]}


def test_who_speaks_too_little_in_all_joins_the_nearest_voice() -> None:
    vectors, who = voices(1, speakers=3, windows=300, spread=0.3)
    rare = vectors[who == 2][:2]
    others = vectors[who != 2]
    found = clustered([windows(others), windows(rare)])
    assert len(np.unique(found)) == 2
    assert len(np.unique(clustered([windows(others)], number=2))) == 2


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_number_of_voices_holds_over_all_stretches(number: int) -> None:
    vectors, _ = voices(3, speakers=3, windows=300, spread=0.3)
    assert len(np.unique(clustered(parts(vectors, 5), number=number))) == number
    assert len(np.unique(clustered(parts(vectors, 5), most=number))) == number
    assert len(np.unique(clustered(parts(vectors, 5), least=number))) == 3


def test_stretches_of_silence_have_no_voices() -> None:
    vectors, _ = voices(3, speakers=2, windows=100, spread=0.3)
    nobody = np.zeros((4, 1), bool).tobytes()
    silence = Windows(
        shape=(4, 1, 1),
        packed_scores=zlib.compress(bytes(16)),
        packed_vectors=b"",
        packed_active=nobody,
        packed_clear=nobody,
    )
    found = clustered([silence, windows(vectors), silence])
    assert set(found[:4].ravel()) == set(found[-4:].ravel()) == {NOBODY}
    assert set(found[4:-4].ravel()) == {0, 1}
    assert set(clustered([silence, silence]).ravel()) == {NOBODY}


def test_a_voice_without_embedding_is_somebody() -> None:
    vectors, _ = voices(3, speakers=2, windows=100, spread=0.3)
    vectors[7] = np.nan
    whole = windows(vectors)
    clear = np.arange(100) != 7
    some = msgspec.structs.replace(whole, packed_clear=clear.tobytes())
    assert set(clustered([some]).ravel()) == {0, 1}


@pytest.mark.parametrize("clear", [0, 1])
def test_hardly_any_speech_is_one_voice(clear: int) -> None:
    vectors, _ = voices(3, speakers=2, windows=5, spread=0.3)
    few = (np.arange(5) < clear).tobytes()
    some = msgspec.structs.replace(windows(vectors), packed_clear=few)
    assert set(clustered([some]).ravel()) == {0}


def test_windows_round_trip_as_json() -> None:
    vectors, _ = voices(3, speakers=2, windows=20, spread=0.3)
    found = windows(vectors, vectors[::-1])
    again = msgspec.json.decode(msgspec.json.encode(found), type=Windows)
    assert again == found
    assert np.array_equal(again.vectors, found.vectors)


@given(
    seed=st.integers(0, 10**6),
    clusters=st.integers(2, 30),
    rows=st.integers(20, 200),
    balance=st.sampled_from([(0.07, 0.8), (0.3, 10.0)]),
)
@settings(max_examples=30, deadline=None)
def test_vbx_by_blocks_is_vbx(
    seed: int, clusters: int, rows: int, balance: tuple[float, float]
) -> None:
    from pyannote.audio.utils import vbx

    bare_vbx: Any = vbx.cluster_vbx
    vectors, _ = voices(seed, 4, 300, 0.5)
    rng = np.random.default_rng(seed)
    features = 3 * vectors
    variances = np.sort(rng.uniform(0.1, 4, 32))[::-1]
    initial = np.unique(rng.integers(clusters, size=300), return_inverse=True)[1]
    fa, fb = balance
    expected, priors = bare_vbx(initial, features, variances, Fa=fa, Fb=fb, maxIters=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vbx_module, "_ROWS", rows)
        found = vbx_module.cluster_vbx(initial, features, variances, Fa=fa, Fb=fb)
    kept = priors > 1e-7
    assert found[1] == pytest.approx(priors[kept], abs=1e-6)
    assert found[0] == pytest.approx(expected[:, kept], abs=1e-5)
