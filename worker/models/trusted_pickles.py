"""Hashes of files that are trusted although reading them can run code."""

from __future__ import annotations

from typing import Final

WHISPERX_VAD_SHA256: Final = "0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea"
"""The speech detection model that whisperx 3 ships, a pickle."""
