"""CUDA libraries that Python packages bring: CTranslate2 searches only the system's directories."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# CTranslate2 opens these by name when it first multiplies on a device.
_BY_NAME: Final = (
    ("cublasLt64_12.dll", "cublas64_12.dll")
    if sys.platform == "win32"
    else ("libcublasLt.so.12", "libcublas.so.12")
)
# Each one needs those before it.
_LIBRARIES: Final = (
    "cuda_runtime/lib/libcudart.so.*",
    "cublas/lib/libcublasLt.so.*",
    "cublas/lib/libcublas.so.*",
    "cudnn/lib/libcudnn*.so.*",
)


def preload() -> None:
    """Load the libraries of the `nvidia-…` packages or of the frozen bundle; once is enough.

    The loader finds a library that is opened by name later among those already loaded. A library
    that fails to load is skipped; `missing` reports those that recognition needs.
    """
    frozen = getattr(sys, "_MEIPASS", None)
    places = [frozen] if frozen else sys.path
    for folder in (Path(place, "nvidia") for place in places):
        if folder.is_dir():
            _load_from(folder)


def missing() -> list[str]:
    """Names of the libraries that recognition on a device would not find; call `preload` first."""
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
