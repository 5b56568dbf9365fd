"""Soak a worker, and print a Markdown table of its resource use.

python -m tests.soak --minutes 60 [--seed 1]
python -m tests.soak --jobs 5000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.soak.life import MB, Life, grown, trends

STRETCH: Final = 100
"""Jobs between two samples."""
MEGABYTES: Final = 5.0
"""How much the front may grow: the promise for its idle memory."""


def main() -> int:
    """Return 0 if nothing grew and nothing was lost, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=None, help="maximum number of jobs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        os.environ.update(HF_HOME=str(Path(place, "hub")), HF_ENDPOINT="http://127.0.0.1:9")
        life = Life(options.seed, Path(place, "run"), alignment=True)
        print("| jobs | minutes | front MB | descriptors | threads | processes | files |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        while time.monotonic() - began < 60 * options.minutes and (
            options.jobs is None or sum(life.asked.values()) < options.jobs
        ):
            life.live(STRETCH)
            jobs, memory, *rest = life.samples[-1]
            cells = [jobs, f"{_minutes(began):.1f}", f"{memory / MB:.1f}", *rest]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        life.end()
    print("\n| idle, no model loaded | first quarter | last quarter | per 1000 jobs |")
    print("| --- | ---: | ---: | ---: |")
    for name, first, last, slope in trends(life.samples):
        unit = MB if name == "memory" else 1
        shown = f"{name}{', MB' if name == 'memory' else ''}"
        print(f"| {shown} | {first / unit:.1f} | {last / unit:.1f} | {slope / unit:+.2f} |")
    print(f"\nasked for: {_list(life.asked)}\nanswers: {_list(life.answers)}")
    print(f"lost: {life.lost}; duplicated: {life.duplicated}; {_minutes(began):.1f} min")
    not_flat = grown(life.samples, MEGABYTES)
    print("\n".join(not_flat))
    return int(bool(not_flat or life.lost or life.duplicated))


def _minutes(began: float) -> float:
    return (time.monotonic() - began) / 60


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
