"""Where torch runs a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from protocol.errors import RpcError
from worker.cpu import available_threads

if TYPE_CHECKING:
    import torch

    from protocol.values import TorchDevice

# Before torch is imported: threads that spin while they wait take the cores from the engines
# beside this one, and make all of them several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def choose(device: TorchDevice, index: int) -> torch.device:
    """The device to use; `auto` is CUDA where it can be used, else the CPU.

    MPS has to be asked for: not every operation of these models is there. Raises `RpcError` of
    kind device_unavailable.
    """
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and index >= cuda):
        return torch.device("cpu")
    if device == "mps":
        if not torch.backends.mps.is_available():
            raise RpcError("device_unavailable", "Metal (MPS) cannot be used on this machine.")
        return torch.device("mps")
    if index >= cuda:
        raise RpcError(
            "device_unavailable", f"There is no CUDA device {index}; {cuda} can be used."
        )
    return torch.device("cuda", index)


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads; 0 stands for all that there are."""
    import torch

    torch.set_num_threads(threads or available_threads())
