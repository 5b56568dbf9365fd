"""CUDA's libraries, where they come as Python packages: CTranslate2 looks on the system alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# In the order in which they need each other.
_LIBRARIES: Final = (
    "cuda_runtime/lib/libcudart.so.*",
    "cublas/lib/libcublasLt.so.*",
    "cublas/lib/libcublas.so.*",
    "cudnn/lib/libcudnn*.so.*",
)


def preload() -> None:
    """Load what the `nvidia-…` packages, or the frozen bundle, bring; once is enough.

    Libraries that are opened by name later are found among those that are loaded. What cannot be
    loaded is passed over: whoever needs it says so.
    """
    import ctypes

    for folder in _folders():
        if sys.platform == "win32":
            import os

            for binaries in folder.glob("*/bin"):
                os.add_dll_directory(str(binaries))
            continue
        for pattern in _LIBRARIES:
            for library in sorted(folder.glob(pattern)):
                try:
                    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
                except OSError:
                    pass


def _folders() -> list[Path]:
    frozen = getattr(sys, "_MEIPASS", None)
    if frozen:
        return [Path(frozen, "nvidia")]
    return [folder for place in sys.path if (folder := Path(place, "nvidia")).is_dir()]
