"""First phase: the encoder alone learns the word and the position of each frame.

The decoder navigates by position, so a second head predicts each frame's position from the output:
trained only on words, the encoder loses it, and the decoder learns far more slowly.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from tests.training import training
from tests.training.scenes import SceneOptions, compose, frame_labels, log_mel
from tests.training.speech import WordBank
from tests.training.tokenizer import Vocabulary
from tests.training.whisper_model import FIRST_LABEL, LABELS, POSITIONS, WIDTH, encode, new_model

GERMAN_SHARE = 0.2
SHORT_WINDOW, LONG_WINDOW = 12.0, 30.0
SHORT_BATCH_FACTOR = 2.2
"""Ratio of short to long windows in a batch."""

PLACE_WEIGHT = 1.0
"""Weight of the position error."""

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Features, the first frame of each window, frame labels."""


class LabelledWindows(IterableDataset[Batch]):
    """Endless batches of windows of 12 s, at random places in Whisper's 30 s, and of 30 s."""

    def __init__(self, banks: dict[str, WordBank], batch: int, seed: int, long_odds: float) -> None:
        self.banks = banks
        self.batch = batch
        self.seed = seed
        self.long_odds = long_odds

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        while True:
            long = rng.random() < self.long_odds
            count = self.batch if long else int(self.batch * SHORT_BATCH_FACTOR)
            seconds = LONG_WINDOW if long else SHORT_WINDOW
            windows = [self.window(rng, seconds) for _ in range(count)]
            mels, firsts, labels = zip(*windows, strict=True)
            yield (
                torch.stack(mels),
                torch.tensor(firsts),
                torch.from_numpy(np.stack(labels)),
            )

    def window(self, rng: np.random.Generator, seconds: float) -> tuple[torch.Tensor, int, object]:
        """One window: features, first frame, labels."""
        language = "de" if rng.random() < GERMAN_SHARE else "en"
        scene = compose(rng, self.banks[language], SceneOptions(seconds=seconds))
        labels = frame_labels(scene, FIRST_LABEL[language])
        room = POSITIONS - len(labels)
        first = int(rng.integers(0, room + 1)) if room and rng.random() < 0.6 else 0
        return log_mel(rng, scene), first, labels


def train_encoder(
    path: Path, banks: dict[str, WordBank], vocabulary: Vocabulary, schedule: training.Schedule
) -> None:
    """Train until the schedule ends, resuming from ``path`` if it holds an unfinished training."""
    device = training.device()
    torch.manual_seed(schedule.seed)
    model = new_model(vocabulary)
    heads = nn.ModuleDict({"words": nn.Linear(WIDTH, LABELS), "place": nn.Linear(WIDTH, WIDTH)})
    encoder = model.model.encoder
    step = 0
    state = training.load(path)
    if state:
        encoder.load_state_dict(state["encoder"])
        heads.load_state_dict(state["heads"])
        step = state["step"]
    encoder.to(device)
    heads.to(device)
    parameters = [p for p in (*encoder.parameters(), *heads.parameters()) if p.requires_grad]
    optimizer = training.new_optimizer(parameters, schedule)
    if state:
        optimizer.load_state_dict(state["optimizer"])
    figures = training.Figures()

    def save() -> None:
        training.save(
            path,
            encoder=encoder.state_dict(),
            heads=heads.state_dict(),
            optimizer=optimizer.state_dict(),
            step=step,
        )

    while step < schedule.steps:
        # Short windows are cheap and come first; long ones take over later.
        stage = 4 * step // schedule.steps
        stage_end = -(-(stage + 1) * schedule.steps // 4)
        windows = LabelledWindows(
            banks, schedule.batch, schedule.seed + 1 + step, (0.2, 0.4, 0.55, 0.6)[stage]
        )
        loader = DataLoader(windows, batch_size=None, num_workers=1, prefetch_factor=4)
        for mel, first, labels in itertools.islice(loader, stage_end - step):
            mel, first, labels = mel.to(device), first.to(device), labels.to(device)
            with torch.autocast(device.type, torch.bfloat16):
                hidden = encode(encoder, mel, first)
                scores, places = heads["words"](hidden), heads["place"](hidden)
            frames = first[:, None] + torch.arange(labels.shape[1], device=device)
            lost = functional.mse_loss(places.float(), encoder.embed_positions.weight[frames])
            loss = functional.cross_entropy(scores.float().transpose(1, 2), labels)
            loss = loss + PLACE_WEIGHT * lost
            training.update(optimizer, parameters, loss, schedule.rate(step))
            step += 1
            right = scores.argmax(-1) == labels
            figures.add(
                loss=loss.item(),
                lost=lost.item(),
                words=right[labels > 0].float().mean().item(),
                silence=right[labels == 0].float().mean().item(),
            )
            if step % schedule.report_every == 0:
                training.log.info("encoder step %d of %d: %s", step, schedule.steps, figures)
            if step % schedule.save_every == 0:
                save()
    save()
