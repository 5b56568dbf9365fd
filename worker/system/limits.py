"""What the worker takes at most, where that is not about models.

The limits on recordings are environment variables, so that engines, and commands that start a
worker, have the same ones.
"""

from __future__ import annotations

import math
import os
from typing import Final, NamedTuple

DURATION_VARIABLE: Final = "TRANSCRIPTION_WORKER_MAX_AUDIO_DURATION"
SIZE_VARIABLE: Final = "TRANSCRIPTION_WORKER_MAX_AUDIO_SIZE"
DEFAULT_DURATION: Final = 24 * 3600.0
"""Seconds. A few kilobytes of some codecs decode to days of silence."""
DEFAULT_SIZE: Final = 64 * 10**9
"""Bytes; a video of several hours has less."""


class SessionLimits(NamedTuple):
    """Limits of a session, as `serve` was started with."""

    max_open_jobs: int = 10_000
    """Work requests that wait or run."""
    max_open_bytes: int = 512 * 1024 * 1024
    """Bytes of the params of these; one request alone may have more."""
    max_line_bytes: int | None = None
    """Bytes of a line, also where `initialize` asks for more; its default where it is None."""
    idle_exit: float | None = None
    """Seconds without a request, after which the worker ends; it stays where it is None."""


DEFAULT_LIMITS: Final = SessionLimits()


def max_audio_duration() -> float:
    """Seconds of a recording that are decoded at most."""
    return _number(DURATION_VARIABLE, DEFAULT_DURATION)


def max_audio_size() -> int:
    """Bytes of a recording's file at most."""
    return int(_number(SIZE_VARIABLE, DEFAULT_SIZE))


def set_audio_limits(duration: float | None, size: int | None) -> None:
    """Set those that are given, for this process and its children."""
    for variable, value in ((DURATION_VARIABLE, duration), (SIZE_VARIABLE, size)):
        if value is not None:
            os.environ[variable] = str(value)


def _number(variable: str, otherwise: float) -> float:
    """A positive number; what is none is as good as not set."""
    try:
        value = float(os.environ[variable])
    except (KeyError, ValueError):
        return otherwise
    return value if 0 < value < math.inf else otherwise
