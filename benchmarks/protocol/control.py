"""Measures control requests: round trips, cost when pipelined, and time and memory of a start."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.common import Process, cost_of_command, percentile
from benchmarks.protocol.peers import Contender

IMPORTS_COMMAND: Final = (sys.executable, "-c", "import orjson, msgspec")
"""The floor of a start: an interpreter with the two packages that do the work."""

_ROUND_TRIP_SECONDS: Final = 0.25
_WARM_UP: Final = 200


@dataclass
class Rounds:
    """The measurements of one contender, one value per round. Times are seconds."""

    start_wall: list[float] = field(default_factory=list)
    start_cpu: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    ping_p50: list[float] = field(default_factory=list)
    ping_p99: list[float] = field(default_factory=list)
    request_cpu: list[float] = field(default_factory=list)
    request_wall: list[float] = field(default_factory=list)


def measure_start(contender: Contender, rounds: Rounds | None) -> None:
    """Spawn, ping, and record the cost until the answer; with None, only warm up."""
    with Process(contender.command) as process:
        process.write(contender.ping(1))
        process.read_until(contender.mark, 1)
        wall = time.perf_counter() - process.started
        if rounds:
            rounds.start_wall.append(wall)
            rounds.start_cpu.append(process.cpu_seconds)
            rounds.resident.append(process.resident_bytes)


def measure_imports() -> tuple[float, float]:
    """Measure wall and CPU seconds of the floor of a start."""
    return cost_of_command(IMPORTS_COMMAND)


def measure_requests(contender: Contender, rounds: Rounds) -> None:
    """Measure pings one at a time, then many at once, on one warm process."""
    with Process(contender.command) as process:
        for id_ in range(_WARM_UP):
            process.write(contender.ping(id_))
            process.read_until(contender.mark, 1)
        times = _round_trips(contender, process)
        rounds.ping_p50.append(percentile(times, 50))
        rounds.ping_p99.append(percentile(times, 99))
        requests = b"".join(map(contender.ping, range(contender.requests)))
        cpu, wall = process.cpu_seconds, time.perf_counter()
        writer = process.write_aside(requests)
        process.read_until(contender.mark, contender.requests)
        rounds.request_wall.append((time.perf_counter() - wall) / contender.requests)
        rounds.request_cpu.append((process.cpu_seconds - cpu) / contender.requests)
        writer.join()


def _round_trips(contender: Contender, process: Process) -> list[float]:
    request, mark = contender.ping(1), contender.mark
    clock = time.perf_counter
    times: list[float] = []
    until = clock() + _ROUND_TRIP_SECONDS
    while (started := clock()) < until:
        process.write(request)
        process.read_until(mark, 1)
        times.append(clock() - started)
    return times
