"""CUDA's libraries, where they come as Python packages: CTranslate2 looks on the system alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# What CTranslate2 opens by name when it first multiplies on a device.
_BY_NAME: Final = (
    ("cublasLt64_12.dll", "cublas64_12.dll")
    if sys.platform == "win32"
    else ("libcublasLt.so.12", "libcublas.so.12")
)
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
    frozen = getattr(sys, "_MEIPASS", None)
    places = [frozen] if frozen else sys.path
    for folder in (Path(place, "nvidia") for place in places):
        if folder.is_dir():
            _load_from(folder)


def missing() -> list[str]:
    """Names of libraries that recognition on a device would not find, after `preload`."""
    return [name for name in _BY_NAME if not _loads(name)]


def _loads(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if sys.platform == "win32":

    def _load_from(folder: Path) -> None:
        import os

        for binaries in folder.glob("*/bin"):
            os.add_dll_directory(str(binaries))

else:

    def _load_from(folder: Path) -> None:
        import ctypes

        for pattern in _LIBRARIES:
            for library in sorted(folder.glob(pattern)):
                try:
                    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
                except OSError:
                    pass
