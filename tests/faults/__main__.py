"""Run many faults, and print a Markdown table of the outcomes.

python -m tests.faults --seed 1 --count 200 [--kind NAME-PART]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.faults.kinds import KINDS, Outcome, carry_out
from tests.faults.rig import Tally

_GONE_SECONDS: Final = 2.0
"""Seconds after which nothing may be left of an ended worker, on a machine that is mostly idle."""


def main() -> int:
    """Return 0 if every promise held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kind", default="", help="only kinds whose name contains this")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if options.kind in kind.__name__]
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        os.environ.update(HF_HOME=str(Path(place, "hub")), HF_ENDPOINT="http://127.0.0.1:9")
        for number in range(options.count):
            kind, seed = kinds[number % len(kinds)], options.seed + number
            outcome = carry_out(kind, seed, Path(place, str(number)), _GONE_SECONDS)
            outcomes[kind.__name__].append(outcome)
            state = "FAILED" if outcome.failure else "ok"
            name = kind.__name__.replace("_", " ")
            print(f"{number + 1:5}  {outcome.seconds:5.1f} s  {state:6}  {name} (seed {seed})")
            if outcome.failure:
                print(outcome.failure)
            sys.stdout.flush()
    print(f"\n{_table(outcomes)}\n\n{time.monotonic() - began:.0f} s; seed {options.seed}")
    return int(any(each.failure for row in outcomes.values() for each in row))


def _table(outcomes: dict[str, list[Outcome]]) -> str:
    head = ("promise", "runs", "broken", *Tally._fields)
    rows = [(name.replace("_", " "), *_sums(row)) for name, row in outcomes.items()]
    rows.append(("**all**", *_sums([each for row in outcomes.values() for each in row])))
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _sums(row: list[Outcome]) -> list[int]:
    broken = sum(bool(each.failure) for each in row)
    return [len(row), broken, *map(sum, zip(*(each.tally for each in row), strict=True))]


if __name__ == "__main__":
    sys.exit(main())
