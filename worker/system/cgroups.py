"""Linux control groups: how much memory a container or a service's slice may use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")


def limits() -> list[tuple[int, int]]:
    """(limit, use) in bytes of each group that this process is in; use excludes the page cache."""
    try:
        own_group = Path("/proc/self/cgroup").read_text()
    except OSError:
        return []
    found = []
    path = next((line[3:] for line in own_group.splitlines() if line.startswith("0::")), "/")
    group = _ROOT / path.strip().lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(_ROOT):
            break
        found += _limit(folder / "memory.max", folder / "memory.current", folder / "memory.stat")
    version_1 = _ROOT / "memory"
    found += _limit(
        version_1 / "memory.limit_in_bytes",
        version_1 / "memory.usage_in_bytes",
        version_1 / "memory.stat",
    )
    return found


def _limit(limit: Path, used: Path, stat: Path) -> list[tuple[int, int]]:
    try:
        most = int(limit.read_text())
        now = int(used.read_text())
        for line in stat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return [(most, max(0, now - int(value)))]
    except (OSError, ValueError):  # no such group, or "max"
        return []
    return [(most, now)]
