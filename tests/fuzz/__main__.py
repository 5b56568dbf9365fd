"""The long forms: `python -m tests.fuzz --target TARGET`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.fuzz.coverage import MOST_BYTES, guided


def main() -> int:
    """Fuzz; return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    targets = [*MOST_BYTES, "session", "recordings"]
    parser.add_argument("--target", choices=targets, required=True)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="(random)")
    parser.add_argument(
        "--seconds", type=int, default=60, help="of coverage-guided fuzzing with atheris (60)"
    )
    parser.add_argument(
        "--count", type=int, default=100, help="sessions, or damaged files per encoding (100)"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}")
    if options.target in MOST_BYTES:
        return guided(options.target, options.seconds, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        # Without a login or a network, like the test suite.
        os.environ.update(HF_HOME=folder, HF_ENDPOINT="http://127.0.0.1:9")
        if options.target == "session":
            _sessions(options.count, options.seed)
        else:
            _recordings(Path(folder), options.count, options.seed)
    return 0


def _sessions(count: int, seed: int) -> None:
    from tests.fuzz.session import run

    run(count, seed)
    print(f"{count} sessions")


def _recordings(folder: Path, count: int, seed: int) -> None:
    from tests.fuzz.recordings import fuzz

    def keep(encoding: str, data: bytes, kind: str) -> None:
        path = Path(f"{kind}-{secrets.token_hex(4)}.{encoding.split()[0]}")
        path.write_bytes(data)
        print(f"{encoding}: {kind}, kept as {path}", file=sys.stderr)

    print(fuzz(folder, count, seed, on_finding=keep))


if __name__ == "__main__":
    sys.exit(main())
