"""Shared by the benchmarks: measured processes, medians, tables, conditions."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
READ_SIZE: Final = 64 * 1024
LIFE_SECONDS: Final = 120
"""A measured process that runs longer than this hangs, and is killed."""


def clean_environment() -> dict[str, str]:
    """The environment of measured processes: byte code cached, output buffered as usual."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONDEVMODE", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def offline_environment() -> dict[str, str]:
    """The same for processes that must not download models."""
    return {**clean_environment(), "HF_HUB_OFFLINE": "1"}


class Lines:
    """One of our scripts, in any Python, that reads one line per request and answers with lines.

    It can import this repository's modules.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**offline_environment(), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )
        self._command = command
        self.pid = self._process.pid

    def ask(self, question: dict[str, Any]) -> None:
        """Write a line of JSON."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question) + "\n")

    def answer(self) -> str:
        """The next line; raises at the end of the output."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"{' '.join(self._command)} ended early, with code {code}")
        return line

    def close(self) -> None:
        """End the script by closing its input."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Process:
    """A process on plain pipes, with its cost so far."""

    def __init__(self, command: Sequence[str], *, stderr: int | None = subprocess.DEVNULL) -> None:
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=clean_environment(),
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self.command = command
        self.pid = self._process.pid
        self.input = self._process.stdin.fileno()
        self.output = self._process.stdout.fileno()
        # Linux's encoding of clock_getcpuclockid(3): every thread of the process, in nanoseconds.
        self._cpu_clock = (~self.pid << 3) | 2
        self._watchdog = threading.Timer(LIFE_SECONDS, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the process, excluding its children."""
        return time.clock_gettime(self._cpu_clock)

    @property
    def resident_bytes(self) -> int:
        """Current resident memory, including shared libraries."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.input, view[:READ_SIZE]) :]

    def write_aside(self, data: bytes) -> threading.Thread:
        """Write all of `data` from another thread, so that this one can read."""
        thread = threading.Thread(target=self.write, args=(data,), daemon=True)
        thread.start()
        return thread

    def read(self) -> bytes:
        """The next bytes of the output; raises at its end."""
        data = os.read(self.output, READ_SIZE)
        if not data:
            code = self._process.wait()
            raise RuntimeError(f"{' '.join(self.command)} ended early, with code {code}")
        return data

    def read_until(self, mark: bytes, count: int) -> int:
        """Read until `mark` has occurred `count` times; return the number of bytes read."""
        found = size = 0
        overlap = len(mark) - 1
        tail = b""
        while found < count:
            data = self.read()
            size += len(data)
            found += data.count(mark)
            if overlap:
                # Also count a mark across two reads; neither remainder can contain a whole one.
                found += (tail + data[:overlap]).count(mark)
                tail = (tail + data[-overlap:])[-overlap:]
        return size

    def close(self) -> None:
        """End the process by closing its input, or kill it if that does not suffice."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._watchdog.cancel()
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def cost_of_command(command: Sequence[str]) -> tuple[float, float]:
    """Run `command` to its end; return its seconds of wall time and of CPU time."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment())
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with code {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median_ratio(values: Sequence[float], floors: Sequence[float]) -> float:
    """The median of the ratios per round: a temporary slowdown affects both sides of a round."""
    return median(value / floor for value, floor in zip(values, floors, strict=True))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned; the first is text, the others are numbers."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [cells[0], rule, *cells[1:]]))


def number(value: float) -> str:
    """A measurement with three significant digits."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package, in this interpreter."""
    return {name: metadata.version(name) for name in packages}


def conditions(packages: dict[str, str]) -> str:
    """The conditions of the measurement, as a line of text."""
    cpus = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "; ".join(
        (
            f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.system()} {platform.machine()}, {_cpu_model()}, {cpus} CPUs, load {load}",
            ", ".join(f"{name} {version}" for name, version in packages.items()),
        )
    )


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write all measurements, for other programs."""
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Report progress on stderr, because stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def material_options(parser: argparse.ArgumentParser) -> None:
    """Add the options `--recordings` and `--model`."""
    recordings = ROOT.parent / "shared" / "real"
    parser.add_argument("--recordings", type=Path, default=recordings, metavar="DIR")
    parser.add_argument(
        "--model", default="base", help="a CTranslate2 model: a folder, or a name in build/models"
    )


def check_material(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse recordings or a model that do not exist; make the model's path absolute."""
    if not (options.recordings / "manifest.jsonl").is_file():
        parser.error("it lacks recordings: --recordings DIR, where DIR/manifest.jsonl lists them")
    named = Path(options.model)
    options.model = named.resolve() if named.is_dir() else ROOT / "build" / "models" / named
    if not (options.model / "model.bin").is_file():
        parser.error(f"there is no model in {options.model}: `python -m examples.models` lays some")
