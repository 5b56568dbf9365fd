"""Real models and real speech, from packages of the Python index: `python -m examples.models`.

README.md tells what each asset is, whose it is and what it is for.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parents[2] / "build" / "models"
"""Where they lie."""


def call() -> Path:
    """The directory of a telephone call that pyannote.audio ships: sample.wav, .rttm and .stm.

    Raises `FileNotFoundError` where it is not installed. Nothing of it is imported.
    """
    spec = find_spec("pyannote.audio")
    for package in spec.submodule_search_locations or () if spec else ():
        if Path(package, "sample", "sample.wav").is_file():
            return Path(package, "sample")
    raise FileNotFoundError("pyannote.audio, which ships the telephone call, is not installed.")
