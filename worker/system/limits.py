"""Limits that do not concern models.

The limits on recordings are environment variables, so that they also apply in engines, and in
workers that our commands start.
"""

from __future__ import annotations

import math
import os
from typing import Final, NamedTuple

DURATION_VARIABLE: Final = "TRANSCRIPTION_WORKER_MAX_AUDIO_DURATION"
SIZE_VARIABLE: Final = "TRANSCRIPTION_WORKER_MAX_AUDIO_SIZE"
DEFAULT_DURATION: Final = 24 * 3600.0
"""Seconds. With some codecs, a few kilobytes decode to days of silence."""
DEFAULT_SIZE: Final = 64 * 10**9
"""Bytes; more than a video of several hours has."""


class SessionLimits(NamedTuple):
    """Limits of a session, from the options of `serve`."""

    max_open_jobs: int = 10_000
    """Work requests that wait or run."""
    max_open_bytes: int = 512 * 1024 * 1024
    """Total bytes of their params; a single request may exceed this."""
    max_line_bytes: int | None = None
    """Bytes of a line, even if `initialize` asks for more; None leaves that to the client."""
    idle_exit: float | None = None
    """Seconds without input and open jobs after which the worker ends; None: never."""


DEFAULT_LIMITS: Final = SessionLimits()


def max_audio_duration() -> float:
    """The longest recording, in seconds."""
    return _number(DURATION_VARIABLE, DEFAULT_DURATION)


def max_audio_size() -> int:
    """The largest file of a recording, in bytes."""
    return int(_number(SIZE_VARIABLE, DEFAULT_SIZE))


def set_audio_limits(duration: float | None, size: int | None) -> None:
    """Set the given limits for this process and its children."""
    for variable, value in ((DURATION_VARIABLE, duration), (SIZE_VARIABLE, size)):
        if value is not None:
            os.environ[variable] = str(value)


def _number(variable: str, otherwise: float) -> float:
    """The variable's value; the default unless that is a positive number."""
    try:
        value = float(os.environ[variable])
    except (KeyError, ValueError):
        return otherwise
    return value if 0 < value < math.inf else otherwise
