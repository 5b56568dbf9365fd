"""Splits batches of a torch model on the CPU between threads.

torch's own threads split each operation. For the small convolutions of speaker models that costs
more than it brings: two threads took 23 s of CPU time for what one did in 17, and no less wall
time. The windows of a batch are independent, so here each thread runs the model on some of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class BatchThreads:
    """Replaces `model.forward`, whose arguments are tensors (batch, …) or None."""

    def __init__(self, model: Any) -> None:
        self._forward = model.forward
        self._pool: ThreadPoolExecutor | None = None
        self._threads = 1
        model.forward = self._run_split

    def use(self, threads: int) -> None:
        """Split batches between this many threads from now on."""
        import torch

        if threads == self._threads:
            return
        if self._pool:
            self._pool.shutdown()
        self._threads = threads
        self._pool = ThreadPoolExecutor(
            threads, "batch", initializer=torch.set_num_threads, initargs=(1,)
        )

    def _run_split(self, batch: torch.Tensor, **more: torch.Tensor | None) -> torch.Tensor:
        import torch

        count = min(self._threads, len(batch))
        if count < 2:
            found: torch.Tensor = self._forward(batch, **more)
            return found
        assert self._pool
        edges = [len(batch) * number // count for number in range(count + 1)]
        parts = [
            self._pool.submit(
                self._run_part,
                batch[begin:end],
                {name: each if each is None else each[begin:end] for name, each in more.items()},
            )
            for begin, end in pairwise(edges)
        ]
        wait(parts)  # for all of them, even if one fails
        return torch.cat([part.result() for part in parts])

    def _run_part(self, batch: torch.Tensor, more: dict[str, torch.Tensor | None]) -> torch.Tensor:
        import torch

        with torch.inference_mode():  # each thread has its own mode
            found: torch.Tensor = self._forward(batch, **more)
            return found
