"""Batches that are shared out to threads give what they give as a whole."""

from __future__ import annotations

import threading

import pytest
import torch

from worker.engines.common.batch_threads import BatchThreads


class Model(torch.nn.Module):
    """Sums windows up, by their weights if there are any; notes who computes how many."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, int] = {}

    def forward(self, batch: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        if batch.isnan().any():
            raise MemoryError
        self.seen[threading.current_thread().name] = len(batch)
        return (batch if weights is None else batch * weights).sum(1)


@pytest.mark.parametrize("count", [1, 2, 7, 32])
@torch.inference_mode()
def test_every_window_is_computed_once_and_stays_in_its_place(count: int) -> None:
    model = Model()
    threads = BatchThreads(model)
    batch, weights = torch.rand(count, 9), torch.rand(count, 9)
    whole = model(batch, weights=weights)
    for number in (3, 1, 2):
        threads.use(number)
        model.seen.clear()
        assert torch.equal(model(batch, weights=weights), whole)
        assert torch.equal(model(batch, weights=None), batch.sum(1))
        assert max(model.seen.values()) - min(model.seen.values()) <= 1


@torch.inference_mode()
def test_what_fails_in_one_thread_fails_when_all_have_ended() -> None:
    model = Model()
    BatchThreads(model).use(2)
    with pytest.raises(MemoryError):
        model(torch.full((4, 3), torch.nan))
