"""Batches of a torch model on the CPU, shared out to threads.

For the small convolutions of speaker models torch's own threads, within each operation, cost more
than they bring: two took 23 s of CPU time for what one did in 17, and no less wall time. Windows of
a batch do not depend on each other, so that each thread takes some of them, by itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class BatchThreads:
    """Takes the place of `model.forward`, whose arguments are tensors, (batch, …), or None."""

    def __init__(self, model: Any) -> None:
        self._forward = model.forward
        self._pool: ThreadPoolExecutor | None = None
        self._threads = 1
        model.forward = self._whole

    def use(self, threads: int) -> None:
        """Share batches out to so many threads from now on."""
        import torch

        if threads == self._threads:
            return
        if self._pool:
            self._pool.shutdown()
        self._threads = threads
        self._pool = ThreadPoolExecutor(
            threads, "batch", initializer=torch.set_num_threads, initargs=(1,)
        )

    def _whole(self, batch: torch.Tensor, **more: torch.Tensor | None) -> torch.Tensor:
        import torch

        count = min(self._threads, len(batch))
        if count < 2:
            found: torch.Tensor = self._forward(batch, **more)
            return found
        assert self._pool
        edges = [len(batch) * number // count for number in range(count + 1)]
        parts = [
            self._pool.submit(
                self._part,
                batch[begin:end],
                {name: each if each is None else each[begin:end] for name, each in more.items()},
            )
            for begin, end in pairwise(edges)
        ]
        wait(parts)  # all of them, whatever becomes of one
        return torch.cat([part.result() for part in parts])

    def _part(self, batch: torch.Tensor, more: dict[str, torch.Tensor | None]) -> torch.Tensor:
        import torch

        with torch.inference_mode():  # which is each thread's own
            found: torch.Tensor = self._forward(batch, **more)
            return found
