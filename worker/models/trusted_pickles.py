"""Hashes of pickles that we load although a pickle can run code when loaded."""

from __future__ import annotations

from typing import Final

WHISPERX_VAD_SHA256: Final = "0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea"
"""The VAD model that whisperx 3 ships."""
