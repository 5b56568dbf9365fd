"""Every kind of fault. A kind is a function that takes a run; its name states the promise."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from tests.faults import clients, engines, storage, streams, surroundings
from tests.faults.rig import Run, Tally
from tests.support import PATIENCE

Kind = Callable[[Run], None]


def _kinds(module: ModuleType) -> list[Kind]:
    found = vars(module).items()
    return [each for name, each in found if name.startswith(("a_", "an_", *_OTHERS))]


_OTHERS: Final = ("the_", "what_", "half_", "requests_", "rubbish_", "results_", "audio_")
KINDS: Final = [
    kind for module in (clients, engines, storage, streams, surroundings) for kind in _kinds(module)
]


class Outcome(NamedTuple):
    """The outcome of a run."""

    tally: Tally
    seconds: float
    failure: str
    """The broken promise and the end of the worker's stderr; empty if all held."""


def carry_out(kind: Kind, seed: int, place: Path, gone_seconds: float = PATIENCE) -> Outcome:
    """Run a kind once, in a new directory that is deleted afterwards."""
    began = time.monotonic()
    run = Run(seed, place, gone_seconds)
    failure = ""
    try:
        kind(run)
    except Exception:
        failure = traceback.format_exc()
    tally = run.end(in_time=not failure)
    if run.strays:
        failure += "left behind: " + "; ".join(run.strays)
    if failure or any(tally):
        failure += f"\n{tally}\n{run.last_words()}"
    shutil.rmtree(place, ignore_errors=True)
    return Outcome(tally, time.monotonic() - began, failure)
