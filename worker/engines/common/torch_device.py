"""Which device torch runs a model on, with how many threads, and what its errors mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from protocol.errors import RpcError
from worker.session.lane import ran_out_of_memory
from worker.system.cpu import available_threads

if TYPE_CHECKING:
    import torch

    from protocol.values import TorchDevice

# Set before torch is imported: threads that spin while they wait take the cores from other engines
# on this machine, and make all of them several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def choose(device: TorchDevice, index: int) -> torch.device:
    """Choose the device; `auto` means CUDA if it works, else the CPU.

    `auto` never means MPS, which lacks some operations of these models. Raises `RpcError` of kind
    device_unavailable.
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
"""With fewer bytes free than this, a device counts as full."""


def lacks_memory(error: Exception, device: torch.device) -> bool:
    """Whether `error` means that the machine or `device` ran out of memory.

    torch reports only its own failed allocations. cuBLAS and cuDNN allocate memory themselves and
    fail with any of several statuses, so for their errors the device's free memory decides.
    """
    if not isinstance(error, RuntimeError):  # onnxruntime's exceptions are none
        return ran_out_of_memory(error)
    text = str(error).lower()
    if "out of memory" in text:
        return True
    by_library = any(word in text for word in ("cuda", "cublas", "cudnn", "engine"))
    return by_library and device.type == "cuda" and _is_full(device)


def _is_full(device: torch.device) -> bool:
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(device)
    except RuntimeError:  # no memory even for this call
        return True
    return free < _FULL


def load_error(error: Exception, path: str, what: str, device: torch.device) -> RpcError:
    """The error for `what`, a model in `path`, that failed to load.

    Blames the files unless the device is known to be at fault.
    """
    text = f"{what} in {path} cannot be loaded: {type(error).__name__}: {error}."
    if lacks_memory(error, device):
        return RpcError("out_of_memory", text)
    if isinstance(error, RuntimeError) and str(error).lower().startswith(("cuda", "cudnn")):
        return RpcError("device_unavailable", text)
    return RpcError("model_invalid", text, path=path)


def use_threads(threads: int) -> None:
    """Let torch use this many CPU threads; 0 means all."""
    import torch

    torch.set_num_threads(threads or available_threads())
