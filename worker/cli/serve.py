"""`transcription-worker serve`: what the worker may take of the machine, as options."""

from __future__ import annotations

import argparse
import math
import re
from typing import Final, NoReturn

from worker.dispatcher import DEFAULT_MAX_OPEN
from worker.managers.managers import DEFAULT_KEEP_ALIVE, DEFAULT_MAX_LOADED, Policy

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", re.IGNORECASE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    parser.add_argument(
        "--keep-alive",
        type=keep_alive,
        default=DEFAULT_KEEP_ALIVE,
        metavar="SECONDS",
        help="how long an unused model stays loaded; 0, or forever (300)",
    )
    parser.add_argument(
        "--memory-budget",
        type=size,
        metavar="SIZE",
        help="resident memory for the worker with all its models, such as 6GB; idle models go "
        "before it is exceeded (what the machine has)",
    )
    parser.add_argument(
        "--max-models",
        type=count,
        default=DEFAULT_MAX_LOADED,
        metavar="N",
        help=f"models loaded at the same time ({DEFAULT_MAX_LOADED})",
    )
    parser.add_argument(
        "--max-jobs",
        type=count,
        default=DEFAULT_MAX_OPEN,
        metavar="N",
        help=f"jobs that wait or run; more are refused as busy ({DEFAULT_MAX_OPEN})",
    )
    parser.add_argument(
        "--cancel-grace",
        type=float,
        metavar="SECONDS",
        help="time for a cancelled job to stop by itself before its engine is ended (0.8)",
    )


def main(options: argparse.Namespace) -> NoReturn:
    """Serve, and exit. Without the word `serve` there are no options but the defaults."""
    from worker import front

    if options.command is None:
        front.main(options.log_level)
    policy = Policy(
        keep_alive=options.keep_alive,
        budget=options.memory_budget,
        max_loaded=options.max_models,
        cancel_grace=options.cancel_grace,
    )
    front.main(options.log_level, policy, options.max_jobs)


def keep_alive(text: str) -> float:
    """Seconds, or `forever`. Raises ValueError."""
    seconds = math.inf if text == "forever" else float(text)
    if not seconds >= 0:
        raise ValueError
    return seconds


def size(text: str) -> int:
    """Bytes: a number, with k, M, G (thousands) or Ki, Mi, Gi (1024s). Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError
    return round(float(match[1]) * _UNITS[match[2].lower()])


def count(text: str) -> int:
    """A number from 1. Raises ValueError."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
