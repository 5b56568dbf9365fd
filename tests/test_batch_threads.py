"""Batches that are shared out to threads give what they give as a whole."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from protocol.errors import RpcError
from worker.engines.common.batch_threads import BatchThreads
from worker.engines.diarization.engine import DiarizationEngine
from worker.session.lane import failure
from worker.system.log import Log


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
def test_every_window_is_computed_once_and_in_order(count: int) -> None:
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
def test_an_error_in_one_thread_is_raised_after_all_end() -> None:
    model = Model()
    BatchThreads(model).use(2)
    with pytest.raises(MemoryError):
        model(torch.full((4, 3), torch.nan))


@pytest.mark.parametrize(
    "error",
    [  # with and without its arena, under a limit of address space
        Fail("AllocateRawInternal Failed to allocate memory for requested buffer of size 512"),
        RuntimeException("Non-zero status code returned while running Sub node: std::bad_alloc"),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda model, batch: model(batch), lambda model, _: model.min_num_samples]
)
@pytest.mark.filterwarnings(r"ignore:\s*torchcodec is not installed")
def test_a_failed_allocation_of_onnxruntime_is_out_of_memory(
    monkeypatch: pytest.MonkeyPatch, error: Exception, use: Any
) -> None:
    from worker.engines.diarization.onnx_embedding import OnnxEmbedding

    def run(**_: Any) -> None:
        raise error

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: SimpleNamespace(run=run))
    model = OnnxEmbedding(Path(__file__))
    BatchThreads(model).use(2)

    engine = DiarizationEngine()
    engine._pipeline = SimpleNamespace(device=model.device)
    with pytest.raises(RpcError) as caught, engine._errors():
        use(model, torch.zeros(4, 1, 16000))
    assert caught.value.kind == "out_of_memory"
    assert failure(error, "detectSpeech", Log("audio")).kind == "out_of_memory"  # Silero VAD
