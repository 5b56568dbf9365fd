"""Reports the size of each package in a bundle."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

_SHOWN: Final = 20
_EXECUTABLE: Final = "(executable)"
_PYTHON: Final = "(Python, and libraries of the system)"


def by_package(bundle: Path) -> Counter[str]:
    """Bytes per package of a finished bundle, including each package's libraries and metadata."""
    sizes: Counter[str] = Counter()
    for file in bundle.rglob("*"):
        if file.is_file() and not file.is_symlink():
            sizes[_package(file.relative_to(bundle).parts)] += file.stat().st_size
    return sizes


def report(sizes: Counter[str]) -> str:
    """A table of sizes, largest first."""
    rows = sizes.most_common(_SHOWN)
    rest = sizes.total() - sum(size for _, size in rows)
    if rest:
        rows.append(("(the rest)", rest))
    return "\n".join(f"{size / 1e6:9.1f} MB  {name}" for name, size in [*rows, ("", sizes.total())])


def _package(parts: tuple[str, ...]) -> str:
    if len(parts) == 1:
        return _EXECUTABLE
    first, *rest = parts[1:]  # below the folder of contents
    if not rest or first.startswith("python3") or first in sys.stdlib_module_names:
        return _PYTHON
    if first == "nvidia":
        return f"nvidia.{rest[0]}"
    for end in (".dist-info", ".libs"):
        if first.endswith(end):
            name = first.removesuffix(end)
            return name.rpartition("-")[0] if end == ".dist-info" else name
    return first
