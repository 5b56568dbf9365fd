"""A small x-vector network, which embeds the sound of a voice as a vector.

Trained narrow, as a classifier of voices with an additive margin (Wang et al., "Additive margin
softmax for face verification", 2018). pyannote's XVectorMFCC has fixed widths, far more than these
voices need: the trained network is widened with channels that are always zero, which changes
nothing of what it computes, so that the checkpoint names pyannote's own class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import XVectorMFCC
from torch import nn
from torch.nn import functional

from tests.training import training
from tests.training.scenes import decibels, noise
from tests.training.speech import SAMPLE_RATE, WordBank

DIMENSION = 64
NARROW = (96, 96, 96, 96, 192)
MFCC = {
    "n_mfcc": 40,
    "log_mels": True,
    "melkwargs": {"n_fft": 512, "hop_length": 400, "n_mels": 64},
}
"""A hop of 25 ms keeps the wide network fast enough for tests."""

MARGIN, SCALE = 0.2, 20.0

SPEEDS = (0.88, 1.0, 1.13)
"""Every voice also counts as two others: faster and higher, slower and lower (Ko et al., "Audio
augmentation for speech recognition", 2015)."""


def specifications(bank: WordBank) -> Specifications:
    """The trained task: classify voices."""
    return Specifications(
        problem=Problem.REPRESENTATION,
        resolution=Resolution.CHUNK,
        duration=2.5,
        classes=[str(number) for number in range(count_voices(bank))],
    )


def new_model(widths: tuple[int, ...] | None = None) -> XVectorMFCC:
    """pyannote's network, or a narrow version of it."""
    model = XVectorMFCC(mfcc=MFCC, dimension=DIMENSION)
    if widths is None:
        return model
    channels = MFCC["n_mfcc"]
    layers: list[nn.Module] = []
    for width, kernel, dilation in zip(widths, model.kernel_size, model.dilation, strict=True):
        layers += [
            nn.Conv1d(channels, width, kernel, dilation=dilation),
            nn.LeakyReLU(),
            nn.BatchNorm1d(width),
        ]
        channels = width
    model.tdnns = nn.ModuleList(layers)
    model.embedding = nn.Linear(2 * channels, DIMENSION)
    return model


def widened(narrow: XVectorMFCC) -> XVectorMFCC:
    """The same function with pyannote's widths."""
    wide = new_model()
    source, target = narrow.state_dict(), wide.state_dict()
    for name, value in target.items():
        given = source[name]
        if value.shape == given.shape:
            value.copy_(given)
            continue
        value.zero_()
        if name == "embedding.weight":  # the means of all channels, then their deviations
            half_given, half_value = given.shape[1] // 2, value.shape[1] // 2
            value[:, :half_given] = given[:, :half_given]
            value[:, half_value : half_value + half_given] = given[:, half_given:]
        else:
            value[tuple(slice(size) for size in given.shape)] = given
            if name.endswith("running_var"):
                value[given.shape[0] :] = 1
    wide.load_state_dict(target)
    return wide.eval()


def count_voices(bank: WordBank) -> int:
    """All voices, including those of other speeds."""
    return len(bank.voices) * len(SPEEDS)


def _clip(bank: WordBank, voice: int, word: int) -> NDArray[np.float32]:
    """A word of one of the voices."""
    voice, speed = divmod(voice, len(SPEEDS))
    clip = bank.clip(voice, word)
    if SPEEDS[speed] == 1.0:
        return clip
    places = np.arange(0, len(clip) - 1, SPEEDS[speed])
    return np.interp(places, np.arange(len(clip)), clip).astype(np.float32)


def utterance(
    rng: np.random.Generator, bank: WordBank, voice: int, seconds: float
) -> NDArray[np.float32]:
    """Words of one voice, close together, with a little noise."""
    length = int(seconds * SAMPLE_RATE)
    samples = np.zeros(length, np.float32)
    place = 0
    while place < length:
        clip = _clip(bank, voice, int(rng.integers(len(bank.words))))[: length - place]
        samples[place : place + len(clip)] = clip
        place += len(clip) + int(rng.uniform(0.01, 0.25) * SAMPLE_RATE)
    samples *= decibels(rng.uniform(-15, 0))
    samples += noise(rng, length) * decibels(rng.uniform(-80, -45))
    return samples.astype(np.float32)


def train(path: Path, bank: WordBank, schedule: training.Schedule) -> XVectorMFCC:
    """Train from scratch, unless the checkpoint at ``path`` exists."""
    torch.manual_seed(schedule.seed)
    model = new_model(NARROW)
    if state := training.load(path):
        model.load_state_dict(state["model"])
        return model.eval()
    model.train()
    centres = nn.Parameter(torch.randn(count_voices(bank), DIMENSION) * 0.1)
    parameters: list[nn.Parameter] = [*model.parameters(), centres]
    optimizer = training.new_optimizer(parameters, schedule)
    figures = training.Figures()
    for step in range(schedule.steps):
        rng = np.random.default_rng((schedule.seed, step))
        voices = rng.choice(count_voices(bank), size=schedule.batch, replace=False)
        seconds = float(rng.choice((0.8, 1.2, 2.0, 3.0)))
        spoken = [utterance(rng, bank, int(voice), seconds) for voice in voices]
        vectors = functional.normalize(model(torch.from_numpy(np.stack(spoken))[:, None]), dim=-1)
        cosines = vectors @ functional.normalize(centres, dim=-1).T
        targets = torch.from_numpy(voices)
        margin = MARGIN * min(1.0, 3 * step / schedule.steps)
        logits = SCALE * (cosines - margin * functional.one_hot(targets, count_voices(bank)))
        loss = functional.cross_entropy(logits, targets)
        training.update(optimizer, parameters, loss, schedule.rate(step))
        right = (cosines.argmax(-1) == targets).float().mean().item()
        figures.add(loss=loss.item(), right=right)
        if (step + 1) % schedule.report_every == 0:
            training.log.info("embedding %d: %s", step + 1, figures)
    training.save(path, model=model.state_dict())
    return model.eval()


def fit_plda(model: XVectorMFCC, bank: WordBank, seed: int) -> dict[str, dict[str, Any]]:
    """The arrays of ``xvec_transform.npz`` and ``plda.npz``, from the training voices.

    Two-covariance PLDA (Brümmer and de Villiers, "The speaker partitioning problem", 2010): within
    and between covariances diagonalised together.
    """
    from scipy.linalg import eigh

    rng = np.random.default_rng(seed)
    vectors, labels = [], []
    for voice in range(count_voices(bank)):
        for _ in range(3):
            samples = utterance(rng, bank, voice, float(rng.uniform(1.0, 4.0)))
            with torch.inference_mode():
                vectors.append(model(torch.from_numpy(samples)[None, None])[0].numpy())
            labels.append(voice)
    found = np.array(vectors, np.float64)
    speakers = np.array(labels)

    def scaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
        unit: NDArray[np.float64] = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return unit * np.sqrt(DIMENSION)

    mean1 = found.mean(0)
    centred = scaled(found - mean1)
    mean2 = centred.mean(0)
    x = scaled(centred - mean2)
    means = np.array([x[speakers == voice].mean(0) for voice in np.unique(speakers)])
    within = sum(np.cov(x[speakers == voice].T, bias=True) for voice in np.unique(speakers))
    within = within / len(means) + 1e-2 * np.eye(DIMENSION)
    between = np.cov(means.T) + 1e-3 * np.eye(DIMENSION)
    psi, axes = eigh(between, within)
    return {
        "xvec_transform.npz": {"mean1": mean1, "mean2": mean2, "lda": np.eye(DIMENSION)},
        "plda.npz": {"mu": x.mean(0), "tr": axes.T[::-1], "psi": np.maximum(psi[::-1], 1e-6)},
    }
