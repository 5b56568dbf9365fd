"""Where torch runs a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from protocol.errors import RpcError
from worker.system.cpu import available_threads

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


_FULL: Final = 64 << 20
"""Bytes that are free on a device of which nothing more is to be had."""


def lacks_memory(error: Exception, device: torch.device) -> bool:
    """Whether memory ran out: of the machine, or of the device that was worked on.

    torch tells of its own allocations alone. cuBLAS and cuDNN, which take memory for themselves,
    fail with whatever status they have.
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    if "out of memory" in text:
        return True
    by_library = any(word in text for word in ("cuda", "cublas", "cudnn", "engine"))
    return by_library and device.type == "cuda" and _is_full(device)


def _is_full(device: torch.device) -> bool:
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(device)
    except RuntimeError:  # not even for that
        return True
    return free < _FULL


def load_error(error: Exception, path: str, what: str, device: torch.device) -> RpcError:
    """Why `what`, a model that is made of the files in `path`, cannot be loaded.

    What is not known to be the device's fault is taken to be the files'.
    """
    text = f"{what} in {path} cannot be loaded: {type(error).__name__}: {error}."
    if lacks_memory(error, device):
        return RpcError("out_of_memory", text)
    if isinstance(error, RuntimeError) and str(error).lower().startswith(("cuda", "cudnn")):
        return RpcError("device_unavailable", text)
    return RpcError("model_invalid", text, path=path)


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads; 0 stands for all that there are."""
    import torch

    torch.set_num_threads(threads or available_threads())
