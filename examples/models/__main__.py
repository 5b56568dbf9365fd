"""Install real models and real speech under build/models: all of them, or the named ones.

python -m examples.models [NAME …]
"""

from __future__ import annotations

import argparse
import sys

from examples.models import MODELS
from examples.models.assets import ASSETS
from examples.models.install import install


def main() -> int:
    """Install assets; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="; ".join(f"{asset.name}: {asset.what}" for asset in ASSETS),
    )
    names = parser.parse_args().names
    known = [asset.name for asset in ASSETS]
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    failures = install(names)
    for failure in failures:
        print(failure, file=sys.stderr)
    if not failures:
        print(f"{', '.join(names or known)}: in {MODELS}.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
