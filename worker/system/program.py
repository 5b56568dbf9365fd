"""The command that starts this program: an executable when frozen, a module when from source."""

from __future__ import annotations

import sys


def program() -> list[str]:
    """The first arguments of a command line that starts this program."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-m", "worker"]
