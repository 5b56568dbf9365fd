"""What NVIDIA's own program tells of the first device."""

from __future__ import annotations

import subprocess
from typing import NamedTuple


class Memory(NamedTuple):
    """A device and its memory, in bytes."""

    name: str
    total: int
    used: int


def memory() -> Memory:
    """How much of it is in use now."""
    name, total, used = _ask("--query-gpu=name,memory.total,memory.used")[0]
    return Memory(name, int(total) << 20, int(used) << 20)


def processes() -> dict[int, int]:
    """Bytes that each process holds; empty where the driver does not tell of processes."""
    rows = _ask("--query-compute-apps=pid,used_memory")
    return {int(pid): int(used) << 20 for pid, used in rows if used.isdigit()}


def _ask(query: str) -> list[list[str]]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
