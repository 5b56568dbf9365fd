"""Entry point: `python -m worker`, the console script and the frozen program."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return the exit code."""
    if len(sys.argv) > 1:
        from worker.cli import run

        return run(sys.argv[1:])
    if sys.stdin is not None and sys.stdin.isatty():
        from worker.cli import explain_stdin

        explain_stdin()
    # The way of every embedding application: not even argparse stands before the first answer.
    from worker import front

    return front.main()


if __name__ == "__main__":
    sys.exit(main())
