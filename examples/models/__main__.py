"""Lay real models and real speech under build/models: all of them, or those named.

python -m examples.models [NAME …]
"""

from __future__ import annotations

import argparse
import sys

from examples.models import MODELS
from examples.models.laying import lay
from examples.models.things import THINGS


def main() -> int:
    """Lay; return 1 when something could not be laid."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="; ".join(f"{thing.name}: {thing.what}" for thing in THINGS),
    )
    names = parser.parse_args().names
    known = [thing.name for thing in THINGS]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    failures = lay(names)
    for failure in failures:
        print(failure, file=sys.stderr)
    if not failures:
        print(f"{', '.join(names or known)}: in {MODELS}.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
