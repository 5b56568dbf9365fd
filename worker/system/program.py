"""How this very program is started again: frozen it is an executable, from source a module."""

from __future__ import annotations

import sys


def program() -> list[str]:
    """The beginning of a command line that runs this program."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-m", "worker"]
