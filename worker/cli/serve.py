"""`transcription-worker serve`: parses the worker's limits from the command line, and serves."""

from __future__ import annotations

import argparse
import math
import re
from typing import Final, NoReturn

from protocol.framing import DEFAULT_MAX_LINE_BYTES
from worker.managers.pool import DEFAULT_KEEP_ALIVE, DEFAULT_MAX_LOADED, Policy
from worker.system.limits import (
    DEFAULT_DURATION,
    DEFAULT_LIMITS,
    DEFAULT_SIZE,
    SessionLimits,
    set_audio_limits,
)

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", re.IGNORECASE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    parser.add_argument(
        "--keep-alive",
        type=keep_alive,
        default=DEFAULT_KEEP_ALIVE,
        metavar="SECONDS",
        help="how long an unused model stays loaded: seconds, or forever (300)",
    )
    parser.add_argument(
        "--memory-budget",
        type=size,
        metavar="SIZE",
        help="resident memory for the worker with all its models, such as 6GB; the worker unloads "
        "idle models before it exceeds this (the machine's memory)",
    )
    parser.add_argument(
        "--max-models",
        type=count,
        default=DEFAULT_MAX_LOADED,
        metavar="N",
        help=f"how many models may be loaded at the same time ({DEFAULT_MAX_LOADED})",
    )
    parser.add_argument(
        "--max-jobs",
        type=count,
        default=DEFAULT_LIMITS.max_open_jobs,
        metavar="N",
        help=f"open jobs; the worker refuses more as busy ({DEFAULT_LIMITS.max_open_jobs})",
    )
    parser.add_argument(
        "--max-queue",
        type=size,
        default=DEFAULT_LIMITS.max_open_bytes,
        metavar="SIZE",
        help="total bytes of these jobs' requests; more are refused as busy "
        f"({DEFAULT_LIMITS.max_open_bytes >> 20}MiB)",
    )
    parser.add_argument(
        "--max-line",
        type=line_size,
        metavar="SIZE",
        help="maximum bytes of a request's line, even if the client requests more "
        f"({DEFAULT_MAX_LINE_BYTES >> 20}MiB, or the client's maxLineBytes)",
    )
    parser.add_argument(
        "--max-audio-duration",
        type=positive,
        metavar="SECONDS",
        help=f"maximum duration of a recording ({DEFAULT_DURATION:.0f})",
    )
    parser.add_argument(
        "--max-audio-size",
        type=size,
        metavar="SIZE",
        help=f"maximum size of a recording's file ({DEFAULT_SIZE // 10**9}GB)",
    )
    parser.add_argument(
        "--idle-exit",
        type=positive,
        metavar="SECONDS",
        help="exit after this long without input and without jobs (never)",
    )
    parser.add_argument(
        "--cancel-grace",
        type=float,
        metavar="SECONDS",
        help="how long a cancelled job has to stop before its engine is killed (0.8)",
    )


def main(options: argparse.Namespace) -> NoReturn:
    """Serve, and exit. Without the command `serve`, the defaults apply."""
    from worker import front

    if options.command is None:
        front.main(options.log_level)
    policy = Policy(
        keep_alive=options.keep_alive,
        budget=options.memory_budget,
        max_loaded=options.max_models,
        cancel_grace=options.cancel_grace,
    )
    set_audio_limits(options.max_audio_duration, options.max_audio_size)
    limits = SessionLimits(
        max_open_jobs=options.max_jobs,
        max_open_bytes=options.max_queue,
        max_line_bytes=options.max_line,
        idle_exit=options.idle_exit,
    )
    front.main(options.log_level, policy, limits)


def keep_alive(text: str) -> float:
    """Seconds, or `forever`. Raises ValueError."""
    seconds = math.inf if text == "forever" else float(text)
    if not seconds >= 0:
        raise ValueError
    return seconds


def size(text: str) -> int:
    """Bytes: a number, with k, M, G (powers of 1000) or Ki, Mi, Gi (1024). Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError
    return count(str(round(float(match[1]) * _UNITS[match[2].lower()])))


def line_size(text: str) -> int:
    """A valid limit for a line, in bytes. Raises ValueError."""
    number = size(text)
    if not 1024 <= number <= 2**31:
        raise ValueError
    return number


def positive(text: str) -> float:
    """Seconds above 0 and finite. Raises ValueError."""
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def count(text: str) -> int:
    """An integer of at least 1. Raises ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
