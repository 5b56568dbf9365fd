"""Replaces names of a package's module for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def patched(module: ModuleType, ours: Mapping[str, Any]) -> Iterator[None]:
    """Set the module's names to `ours`, and back again."""
    originals = {name: getattr(module, name) for name in ours}
    vars(module).update(ours)
    try:
        yield
    finally:
        vars(module).update(originals)
