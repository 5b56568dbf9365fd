"""Shared by all training phases: settings, learning rate, running means, checkpoints."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("training")


@dataclass(frozen=True)
class Schedule:
    """Length and learning rate of a phase."""

    steps: int
    batch: int
    learning_rate: float = 2e-3
    warm_up: int = 100
    seed: int = 0
    report_every: int = 50
    save_every: int = 200

    def rate(self, step: int) -> float:
        """The learning rate of a step: a short rise, then half a cosine down to 3 %."""
        progress = min(1.0, step / self.steps)
        rise = min(1.0, (step + 1) / self.warm_up)
        return self.learning_rate * rise * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))


class Figures:
    """Running means of the values of every step."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}

    def add(self, **values: float) -> None:
        """Add the values of one step, ignoring NaN."""
        for name, value in values.items():
            if not math.isnan(value):
                self._means[name] = 0.95 * self._means.get(name, value) + 0.05 * value

    def __str__(self) -> str:
        return " ".join(f"{name} {value:.3f}" for name, value in self._means.items())


def device() -> torch.device:
    """A GPU, if available."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def new_optimizer(parameters: list[torch.nn.Parameter], schedule: Schedule) -> torch.optim.AdamW:
    """The AdamW optimizer of all phases."""
    return torch.optim.AdamW(
        parameters, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )


def update(
    optimizer: torch.optim.Optimizer,
    parameters: list[torch.nn.Parameter],
    loss: torch.Tensor,
    rate: float,
) -> None:
    """Take one optimizer step, with gradients clipped to norm 1."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint atomically."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint, if it exists."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
