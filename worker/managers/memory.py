"""How much memory there is, who holds it, and what a model will need."""

from __future__ import annotations

import math
import time
from functools import cache
from typing import Final, NamedTuple

_MB: Final = 1_000_000
RESERVE: Final = 128 * _MB
"""Memory that is left to others."""
_SMI_SECONDS: Final = 5.0
_SMI_FRESH_SECONDS: Final = 1.0

# Resident memory of an engine's process beside the weights, and bytes of memory a byte of
# weights on disk, at the highest while it loads and works. Measured on Linux; what is measured
# at run time replaces the first.
_BASE: Final = {
    "audio": 90 * _MB,
    "hub": 60 * _MB,
    "whisper": 220 * _MB,
    "whisperx": 1250 * _MB,
    "alignment": 800 * _MB,
    "diarization": 1150 * _MB,
}
_FACTOR: Final = {"auto": 1.0, "int8": 1.0, "int8_float32": 1.0, "float32": 3.0, "default": 2.5}
_USUAL_FACTOR: Final = 1.5
_UNKNOWN_WEIGHTS: Final = 500 * _MB
_CUDA_CONTEXT: Final = 500 * _MB


class Estimate(NamedTuple):
    """What a model is expected to need at the highest, in bytes."""

    system: int
    device: int
    """Of a CUDA device; 0 where it runs on the CPU."""


class SystemMemory(NamedTuple):
    """Memory of the machine, or of the container when that has less. In bytes."""

    total: int
    available: int


class DeviceMemory(NamedTuple):
    """Memory of a CUDA device, in bytes."""

    total: int
    free: int


def estimate(
    kind: str, weights: int | None, compute_type: str, on_device: bool, base: int | None
) -> Estimate:
    """What an engine with a model of so many bytes of `weights` is expected to need.

    `base` is what was measured for this kind of engine, weights apart.
    """
    held = _UNKNOWN_WEIGHTS if weights is None else weights
    factor = _FACTOR.get(compute_type, _USUAL_FACTOR)
    base = _BASE.get(kind, 0) if base is None else base
    if on_device:
        # The weights pass through the process on their way to the device.
        return Estimate(base + held, round(_CUDA_CONTEXT + _USUAL_FACTOR * held))
    return Estimate(base + round(factor * held), 0)


def base_of(kind: str, weights: int | None, compute_type: str, measured: int) -> int:
    """What a measurement says of this kind of engine, weights apart."""
    factor = _FACTOR.get(compute_type, _USUAL_FACTOR)
    return max(_BASE.get(kind, 0) // 4, measured - round(factor * (weights or 0)))


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
    """Resident memory of a process, in bytes; 0 when it is gone."""
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
    """CUDA devices, as the driver's own program tells of them: nothing native is loaded here."""

    def __init__(self) -> None:
        self._memory: tuple[float, list[list[int]]] = (-math.inf, [])
        self._held: tuple[float, list[list[int]]] = (-math.inf, [])

    def memory(self) -> list[DeviceMemory]:
        """Of each device, by its index; empty without a driver."""
        self._memory = self._fresh(self._memory, "--query-gpu=memory.total,memory.free")
        return [DeviceMemory(row[0] << 20, row[1] << 20) for row in self._memory[1]]

    def held(self) -> dict[int, int]:
        """Bytes that processes hold on devices, by process id."""
        self._held = self._fresh(self._held, "--query-compute-apps=pid,used_memory")
        held: dict[int, int] = {}
        for pid, mebibytes in self._held[1]:
            held[pid] = held.get(pid, 0) + (mebibytes << 20)
        return held

    def _fresh(
        self, known: tuple[float, list[list[int]]], query: str
    ) -> tuple[float, list[list[int]]]:
        """What is known, asked again when it is old: when, and what."""
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
    """The path of the driver's program; empty where there is none."""
    import shutil

    return shutil.which("nvidia-smi") or ""
