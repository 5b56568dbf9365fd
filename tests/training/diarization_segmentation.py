"""A small PyanNet, which detects up to three speakers in each frame.

After pyannote.audio's powerset training (Plaquet and Bredin, "Powerset multi-class cross entropy
loss for neural speaker diarization", Interspeech 2023), permutation-invariant. First the whole
network is trained; then its convolutions, by far the slowest part, are frozen and their output is
kept and used several times.
"""

from __future__ import annotations

import itertools
from collections import deque
from pathlib import Path

import numpy as np
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.segmentation import PyanNet
from pyannote.audio.utils.powerset import Powerset
from torch.nn import functional

from tests.training import training
from tests.training.conversation import ConversationOptions, converse, pick_voices
from tests.training.speech import SAMPLE_RATE, WordBank

SECONDS = 10.0
"""Seconds of a training example."""
WINDOW = 3.0
"""Seconds that the pipeline processes at once. Such a small network confuses voices within ten
seconds; in three there are rarely more than two, and the embeddings tell them apart."""
SPEAKERS, AT_ONCE = 3, 2
POWERSET = Powerset(SPEAKERS, AT_ONCE)
SPECIFICATIONS = Specifications(
    problem=Problem.MONO_LABEL_CLASSIFICATION,
    resolution=Resolution.FRAME,
    duration=WINDOW,
    warm_up=(0.0, 0.0),
    classes=[f"speaker#{number}" for number in range(1, SPEAKERS + 1)],
    powerset_max_classes=AT_ONCE,
    permutation_invariant=True,
)
KEPT = 2500
"""Number of examples whose features are cached at a time."""


def new_model() -> PyanNet:
    """Two bidirectional LSTM layers of 48 units on SincNet's features."""
    model = PyanNet(
        sincnet={"stride": 10},
        lstm={"hidden_size": 48, "num_layers": 2, "bidirectional": True},
        linear={"hidden_size": 48, "num_layers": 1},
    )
    model.specifications = SPECIFICATIONS
    model.build()
    return model


def example(
    rng: np.random.Generator, bank: WordBank, model: PyanNet
) -> tuple[torch.Tensor, torch.Tensor]:
    """A conversation and its active speakers: (samples,) and (frames, speakers)."""
    number = int(rng.choice((1, 2, 3), p=(0.25, 0.5, 0.25)))
    options = ConversationOptions(
        seconds=SECONDS,
        turn_words=(1, 7),
        shortest_pause=0.05,
        mean_pause=float(rng.choice((0.3, 0.6, 1.2))),
        overlap_odds=float(rng.choice((0.0, 0.25))),
        same_odds=0.15,
        longest_lead=2.0,
        noise_db=(-80.0, -40.0),
    )
    conversation = converse(rng, bank, pick_voices(rng, bank, number), options)
    field = model.receptive_field
    heard = np.zeros((model.num_frames(int(SECONDS * SAMPLE_RATE)), SPEAKERS), np.float32)
    for turn in conversation.turns:
        first, last = (
            max(0, round((time - field.start - field.duration / 2) / field.step))
            for time in (turn.start, turn.end)
        )
        heard[first:last, turn.speaker] = 1
    return torch.from_numpy(conversation.mixed.astype(np.float32)), torch.from_numpy(heard)


def _classify(model: PyanNet, features: torch.Tensor) -> torch.Tensor:
    """The network's log-probabilities for SincNet's features (batch, frames, 60)."""
    hidden, _ = model.lstm(features)
    for layer in model.linear:
        hidden = functional.leaky_relu(layer(hidden))
    classes: torch.Tensor = model.activation(model.classifier(hidden))
    return classes


def _targets(scores: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """The powerset class of each frame, with speakers in the order that fits the scores best."""
    classes = torch.stack(
        [
            POWERSET.to_powerset(heard[:, :, list(order)]).argmax(-1)
            for order in itertools.permutations(range(SPEAKERS))
        ]
    )  # (orders, batch, frames)
    with torch.no_grad():
        losses = torch.stack(
            [
                functional.nll_loss(scores.transpose(1, 2), each, reduction="none").mean(1)
                for each in classes
            ]
        )
    return classes[losses.argmin(0), torch.arange(len(heard))]


def train(
    path: Path, bank: WordBank, whole: training.Schedule, frozen: training.Schedule
) -> PyanNet:
    """Train from scratch in two phases; the checkpoint at ``path`` skips finished ones."""
    torch.manual_seed(whole.seed)
    model = new_model().train()
    state = training.load(path)
    if state:
        model.load_state_dict(state["model"])
    if not state or state["phase"] < 1:
        _train_whole(model, bank, whole)
        training.save(path, model=model.state_dict(), phase=1)
    if not state or state["phase"] < 2:
        _train_frozen(model, bank, frozen)
        training.save(path, model=model.state_dict(), phase=2)
    return model.eval()


def _train_whole(model: PyanNet, bank: WordBank, schedule: training.Schedule) -> None:
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = training.new_optimizer(parameters, schedule)
    figures = training.Figures()
    for step in range(schedule.steps):
        rng = np.random.default_rng((schedule.seed, step))
        drawn = [example(rng, bank, model) for _ in range(schedule.batch)]
        samples, heard = (torch.stack(each) for each in zip(*drawn, strict=True))
        features = model.sincnet(samples[:, None]).transpose(1, 2)
        _step(model, optimizer, parameters, features, heard, schedule.rate(step), figures)
        if (step + 1) % schedule.report_every == 0:
            training.log.info("segmentation, whole %d: %s", step + 1, figures)


def _train_frozen(model: PyanNet, bank: WordBank, schedule: training.Schedule) -> None:
    for parameter in model.sincnet.parameters():
        parameter.requires_grad_(False)
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = training.new_optimizer(parameters, schedule)
    figures = training.Figures()
    kept: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=KEPT)
    for step in range(schedule.steps):
        rng = np.random.default_rng((schedule.seed, step))
        for _ in range(2 if len(kept) >= 3 * schedule.batch else 3 * schedule.batch):
            samples, heard = example(rng, bank, model)
            with torch.no_grad():
                kept.append((model.sincnet(samples[None, None])[0].T.contiguous(), heard))
        chosen = [kept[int(place)] for place in rng.integers(len(kept), size=schedule.batch)]
        features, heard = (torch.stack(each) for each in zip(*chosen, strict=True))
        _step(model, optimizer, parameters, features, heard, schedule.rate(step), figures)
        if (step + 1) % schedule.report_every == 0:
            training.log.info("segmentation, frozen %d: %s", step + 1, figures)


def _step(
    model: PyanNet,
    optimizer: torch.optim.Optimizer,
    parameters: list[torch.nn.Parameter],
    features: torch.Tensor,
    heard: torch.Tensor,
    rate: float,
    figures: training.Figures,
) -> None:
    scores = _classify(model, features)
    targets = _targets(scores, heard)
    loss = functional.nll_loss(scores.transpose(1, 2), targets)
    training.update(optimizer, parameters, loss, rate)
    figures.add(loss=loss.item(), right=(scores.argmax(-1) == targets).float().mean().item())
