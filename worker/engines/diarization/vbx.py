"""Variational Bayes clustering of embeddings (VBx) within bounded memory.

Landini, Profant, Diez and Burget, "Bayesian HMM clustering of x-vector sequences (VBx) in speaker
diarization", 2022, without the HMM, as in pyannote.audio. That keeps several arrays of
responsibilities (embeddings, speakers), with many more speakers than remain at last: 100 MB each
for ten hours. Here they are computed by blocks from the speakers' models, and only their sums are
kept; the result is the same. Numbers of equations are the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Model = tuple[Floats, Floats, Floats]

_ROWS: Final = 4096
"""Embeddings in a block."""

_ENOUGH: Final = 1e-4
"""Iterations end when the bound on the likelihood grows by less."""

_LEAST: Final = 1e-7
"""Speakers with a lower prior are dropped."""


def cluster_vbx(
    initial: npt.NDArray[np.integer],
    features: Floats,
    variances: Floats,
    Fa: float,  # noqa: N803 as pyannote.audio calls it
    Fb: float,  # noqa: N803
    maxIters: int = 20,  # noqa: N803
    init_smoothing: float = 7.0,
) -> tuple[Floats, Floats]:
    """Cluster as pyannote.audio's function of that name does.

    `initial` (n,) are clusters to begin with, of `features` (n, dimension), which the PLDA has
    transformed; `variances` (dimension,) are those between speakers. Return responsibilities
    (n, speakers) and priors (speakers,) of the speakers who remain.
    """
    import numpy as np
    from scipy.special import logsumexp, softmax

    speakers = int(initial.max()) + 1
    weighted = features * np.sqrt(variances)  # (18)
    constants = -0.5 * (
        np.sum(features**2, axis=1, keepdims=True) + features.shape[1] * np.log(2 * np.pi)
    )
    blocks = [slice(first, first + _ROWS) for first in range(0, len(features), _ROWS)]

    def shares(rows: slice, model: Model | None) -> tuple[Floats, float]:
        """The responsibilities of a block, and the logarithm of its likelihood."""
        if model is None:
            chosen = np.eye(speakers)[initial[rows].astype(int)]
            return softmax(chosen * init_smoothing, axis=1), 0.0
        means, precisions, priors = model
        logs = weighted[rows] @ means.T - 0.5 * (precisions + means**2) @ variances
        joint = Fa * (logs + constants[rows]) + np.log(priors + 1e-8)  # (23)
        total = logsumexp(joint, axis=1, keepdims=True)
        return np.exp(joint - total), float(total.sum())

    def sums(model: Model | None) -> tuple[Floats, Floats, float]:
        """The responsibilities' sums, alone and times the features; the likelihood of all."""
        counts, products, likelihood = np.zeros(speakers), np.zeros((speakers, len(variances))), 0.0
        for rows in blocks:
            share, likely = shares(rows, model)
            counts += share.sum(axis=0)
            products += share.T @ weighted[rows]
            likelihood += likely
        return counts, products, likelihood

    model = None
    priors: Floats = np.full(speakers, 1 / speakers)
    bound = -np.inf
    counts, products, _ = sums(model)
    for _ in range(maxIters):
        precisions = 1 / (1 + Fa / Fb * counts[:, None] * variances)  # (17)
        means = Fa / Fb * precisions * products  # (16)
        model = means, precisions, priors
        counts, products, likelihood = sums(model)
        priors = counts / counts.sum()
        previous = bound
        certainty = float(np.sum(np.log(precisions) - precisions - means**2 + 1))
        bound = likelihood + Fb * 0.5 * certainty  # (25)
        if bound - previous < _ENOUGH:
            break
    remaining = priors > _LEAST
    found = [shares(rows, model)[0][:, remaining] for rows in blocks]
    return np.concatenate(found), priors[remaining]
