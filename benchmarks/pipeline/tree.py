"""Measures a program with all of its processes: CPU time, memory, and GPU memory."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final

_PERIOD: Final = 0.1  # seconds
_MEGABYTE: Final = 1_000_000


class Tree:
    """A process and its descendants, watched until `stop`."""

    def __init__(self, pid: int, device: str = "cpu") -> None:
        self._pid = pid
        self._device = device
        self._cpu: dict[int, float] = {}
        self.peaks: dict[str, float] = {}
        """Peak private memory in megabytes, by kind of process."""
        self.peak = 0.0
        """Peak private memory of all processes together, in megabytes."""
        self.resident_peak = 0.0
        """The same with file-backed pages, counted for each process that shares them."""
        self.device_peak = 0.0
        """Peak GPU memory of all processes, as the driver reports it."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all processes, including those that have ended since the last check."""
        self._look()
        return sum(self._cpu.values())

    def forget_peaks(self) -> None:
        """Reset the peaks."""
        self.peak = self.resident_peak = self.device_peak = 0.0
        self.peaks = {}

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_PERIOD):
            self._look()

    def _look(self) -> None:
        total = resident = 0.0
        pids = _tree(self._pid)
        if self._device == "cuda":
            self.device_peak = max(self.device_peak, _device_megabytes(pids))
        for pid in pids:
            with suppress(OSError, ValueError, LookupError):  # the process has just ended
                self._cpu[pid] = _cpu_seconds(pid)
                private, mapped = _megabytes(pid)
                name = _name(pid)
                self.peaks[name] = max(self.peaks.get(name, 0.0), private)
                total += private
                resident += private + mapped
        self.peak = max(self.peak, total)
        self.resident_peak = max(self.resident_peak, resident)


def device_name() -> str:
    """The name of the first CUDA device."""
    return _ask_driver("--query-gpu=name")[0]


def _device_megabytes(pids: Container[int]) -> float:
    """CUDA memory by process."""
    held = [line.split(",") for line in _ask_driver("--query-compute-apps=pid,used_memory")]
    return sum(int(used) << 20 for pid, used in held if int(pid) in pids) / _MEGABYTE


def _ask_driver(query: str) -> list[str]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _tree(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _megabytes(pid: int) -> tuple[float, float]:
    """Private memory, and file-backed memory, whose pages the kernel can reclaim."""
    status = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    anonymous, shared, mapped = (
        int(lines[name].split()[0]) * 1024 / _MEGABYTE
        for name in ("RssAnon", "RssShmem", "RssFile")
    )
    return anonymous + shared, mapped


def _name(pid: int) -> str:
    """The kind of the engine, or of another process."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return words[words.index("engine") + 1] if "engine" in words else "front"
