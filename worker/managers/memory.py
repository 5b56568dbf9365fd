"""Memory of the machine, its CUDA devices and processes, and estimates of what models need."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import Final, NamedTuple

from worker.models.families import FAMILIES

_MB: Final = 1_000_000
RESERVE: Final = 128 * _MB
"""Bytes that stay free for other programs."""
_SMI_SECONDS: Final = 5.0
_SMI_FRESH_SECONDS: Final = 1.0

_USUAL_FACTOR: Final = 1.5
"""Bytes of memory per byte of weights, unless the family has a factor of its own."""
_UNKNOWN_WEIGHTS: Final = 500 * _MB
_CUDA_CONTEXT: Final = 500 * _MB


class Estimate(NamedTuple):
    """Bytes that a model is expected to need at its highest."""

    system: int
    device: int
    """Memory of a CUDA device; 0 on the CPU."""


class SystemMemory(NamedTuple):
    """Memory of the machine, or of its container if that has less. In bytes."""

    total: int
    available: int


class DeviceMemory(NamedTuple):
    """Memory of a CUDA device, in bytes."""

    total: int
    free: int


def estimate(
    kind: str, weights: int | None, compute_type: str, on_device: bool, base: int | None
) -> Estimate:
    """What an engine needs for a model with `weights` bytes of weights; None if unknown.

    `base` is what engines of this kind were seen to need without weights; None if not measured.
    """
    held = _UNKNOWN_WEIGHTS if weights is None else weights
    family = FAMILIES[kind]
    base = family.base if base is None else base
    if on_device:
        # The weights pass through the process on their way to the device.
        return Estimate(base + held, round(_CUDA_CONTEXT + _USUAL_FACTOR * held))
    return Estimate(base + round(family.factors.get(compute_type, _USUAL_FACTOR) * held), 0)


def base_of(kind: str, weights: int | None, compute_type: str, measured: int) -> int:
    """What engines of this kind need without weights, from `measured` bytes of one with them."""
    family = FAMILIES[kind]
    factor = family.factors.get(compute_type, _USUAL_FACTOR)
    return max(family.base // 4, measured - round(factor * (weights or 0)))


def system() -> SystemMemory:
    """Memory of the machine or container."""
    import psutil

    from worker.system import cgroups

    machine = psutil.virtual_memory()
    total, available = int(machine.total), int(machine.available)
    for limit, used in cgroups.limits():
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return SystemMemory(total, available)


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes; 0 if it has ended."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def own() -> int:
    """Resident memory of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)


class Devices:
    """Memory of CUDA devices according to nvidia-smi, so that no native library is loaded here."""

    def __init__(self) -> None:
        self._memory: tuple[float, list[list[int]]] = (-math.inf, [])
        self._held: tuple[float, list[list[int]]] = (-math.inf, [])

    def memory(self) -> list[DeviceMemory]:
        """Memory per device, by index; empty without a driver."""
        self._memory = self._fresh(self._memory, "--query-gpu=memory.total,memory.free")
        return [DeviceMemory(row[0] << 20, row[1] << 20) for row in self._memory[1]]

    def held(self) -> dict[int, int]:
        """Bytes that each process holds on all devices together, by process id."""
        self._held = self._fresh(self._held, "--query-compute-apps=pid,used_memory")
        held: dict[int, int] = {}
        for pid, mebibytes in self._held[1]:
            held[pid] = held.get(pid, 0) + (mebibytes << 20)
        return held

    def _fresh(
        self, known: tuple[float, list[list[int]]], query: str
    ) -> tuple[float, list[list[int]]]:
        """`known`, a time and rows, or a new answer to `query` if that is too old."""
        now = time.monotonic()
        if not _nvidia_smi() or now - known[0] < _SMI_FRESH_SECONDS:
            return known
        return now, self._ask(query)

    def _ask(self, query: str) -> list[list[int]]:
        import subprocess

        command = [_nvidia_smi(), query, "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SMI_SECONDS,
                check=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            lines = done.stdout.decode("utf-8", "replace").splitlines()
            return [[int(cell) for cell in line.split(",")] for line in lines if line.strip()]
        except (OSError, subprocess.SubprocessError, ValueError):
            return []


@cache
def _nvidia_smi() -> str:
    """Path of the driver's program; empty if there is none."""
    import shutil

    return shutil.which("nvidia-smi") or ""
