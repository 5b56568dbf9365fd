"""Formats the tables of a run, and its numbers for other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.common import median, median_ratio, number, percentile, table
from benchmarks.protocol.control import Rounds
from benchmarks.protocol.forwarding import Forwarding

FLOOR: Final = "bare orjson loop"
OURS: Final = "this worker"

_MICRO: Final = 1e6
_MILLI: Final = 1e3
_MEGA: Final = 1e6


@dataclasses.dataclass
class Imports:
    """The cost of an interpreter that imports our two packages, one value per round, in seconds."""

    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Promise:
    """A row of the targets; `limit` is a maximum or, with `at_least`, a minimum."""

    what: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the measurement keeps the promise."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """The cells of its row."""
        sign = "≥" if self.at_least else "≤"
        return (
            self.what,
            f"{sign} {self.limit:g} {self.unit}",
            f"{number(self.value)} {self.unit}",
            "met" if self.met else "**missed**",
        )


def requests_table(control: dict[str, Rounds]) -> str:
    """Round trips and pipelined requests, each with its ratio to the floor."""
    floor = control[FLOOR]
    rows = []
    for name, rounds in control.items():
        wall = median(rounds.request_wall)
        rows.append(
            (
                name,
                number(median(rounds.ping_p50) * _MICRO),
                _times(rounds.ping_p50, floor.ping_p50),
                number(median(rounds.ping_p99) * _MICRO),
                _times(rounds.ping_p99, floor.ping_p99),
                number(median(rounds.request_cpu) * _MICRO),
                _times(rounds.request_cpu, floor.request_cpu),
                number(1 / wall),
                f"{1 / median_ratio(rounds.request_wall, floor.request_wall):.2g}",
            )
        )
    return table(
        (
            *("server", "ping p50 µs", "× floor", "ping p99 µs", "× floor"),
            *("CPU µs/request", "× floor", "requests/s", "× floor"),
        ),
        rows,
    )


def start_table(control: dict[str, Rounds], imports: Imports) -> str:
    """Starts, compared with the floor and with an interpreter that only imports our packages."""
    floor = control[FLOOR]
    rows = [
        (
            '`python -c "import orjson, msgspec"`',
            number(median(imports.wall) * _MILLI),
            _times(imports.wall, floor.start_wall),
            number(median(imports.cpu) * _MILLI),
            _times(imports.cpu, floor.start_cpu),
            "1.0",
            "–",
            "–",
        )
    ]
    for name, rounds in control.items():
        rows.append(
            (
                name,
                number(median(rounds.start_wall) * _MILLI),
                _times(rounds.start_wall, floor.start_wall),
                number(median(rounds.start_cpu) * _MILLI),
                _times(rounds.start_cpu, floor.start_cpu),
                _times(rounds.start_cpu, imports.cpu),
                number(median(rounds.resident) / _MEGA),
                _times(rounds.resident, floor.resident),
            )
        )
    return table(
        (
            *("spawn to first answer", "wall ms", "× floor", "CPU ms", "× floor"),
            *("× imports", "resident MB", "× floor"),
        ),
        rows,
    )


def forwarding_table(measured: Forwarding) -> str:
    """The throughput from an engine through the front."""
    notification = median(measured.notification_wall)
    floor = median(measured.floor_notification_wall)
    share = median_ratio(measured.floor_notification_wall, measured.notification_wall)
    saved = 1 / median_ratio(measured.result_cpu, measured.reparse_cpu)
    rows = [
        ("notifications/s, engine read without a front", number(1 / floor), "1.0"),
        ("notifications/s through the front", number(1 / notification), f"{share:.2f}"),
        (
            "front CPU a notification, µs",
            number(median(measured.notification_cpu) * _MICRO),
            "–",
        ),
        ("front CPU, 10 MB result forwarded, ms", _milli(measured.result_cpu), "1.0"),
        (
            "front CPU, 10 MB result parsed and dumped again, ms",
            _milli(measured.reparse_cpu),
            f"{saved:.0f}",
        ),
    ]
    return table(("engine to client", "measured", "ratio"), rows)


def busy_table(measured: Forwarding, idle: Rounds) -> str:
    """Pings while an engine writes."""
    rows = [
        (
            "nothing (pings only)",
            number(median(idle.ping_p50) * _MILLI),
            number(median(idle.ping_p99) * _MILLI),
        )
    ]
    for name, rounds in measured.pings.items():
        rows.append(
            (
                name,
                number(median(percentile(times, 50) for times in rounds) * _MILLI),
                number(_p99(rounds) * _MILLI),
            )
        )
    return table(("the engine writes", "ping p50 ms", "ping p99 ms"), rows)


def promises(
    control: dict[str, Rounds], imports: Imports, measured: Forwarding
) -> Iterator[Promise]:
    """The targets of the design, and the measurements."""
    ours, floor = control[OURS], control[FLOOR]
    start = median_ratio(ours.start_cpu, imports.cpu)
    yield Promise("spawn to first answer, CPU against the imports alone", start, 1.3, "×")
    yield Promise("resident after the first answer", median(ours.resident) / _MEGA, 16, "MB")
    yield Promise(
        "CPU per pipelined request against the bare loop",
        median_ratio(ours.request_cpu, floor.request_cpu),
        1.5,
        "×",
    )
    for peer in ("pygls", "mcp"):
        yield Promise(
            f"CPU per pipelined request, {peer} against ours",
            median_ratio(control[peer].request_cpu, ours.request_cpu),
            100,
            "×",
            at_least=True,
        )
    for name, rounds in measured.pings.items():
        if "notifications" in name:
            yield Promise(f"ping p99, {name}", _p99(rounds) * _MILLI, 5, "ms")
    yield Promise(
        "notifications through the front, written singly",
        1e-3 / median(measured.notification_wall),
        250,
        "k/s",
        at_least=True,
    )


def promises_table(rows: list[Promise]) -> str:
    """The promises as a table."""
    return table(("promise", "target", "measured", ""), [promise.row() for promise in rows])


def document(
    control: dict[str, Rounds],
    imports: Imports,
    measured: Forwarding,
    rows: list[Promise],
    conditions: str,
) -> dict[str, Any]:
    """Everything, round by round; times in seconds, memory in bytes."""
    return {
        "conditions": conditions,
        "control": {name: dataclasses.asdict(rounds) for name, rounds in control.items()},
        "imports": dataclasses.asdict(imports),
        "forwarding": dataclasses.asdict(measured),
        "promises": [dataclasses.asdict(row) | {"met": row.met} for row in rows],
    }


def _times(values: list[float], floors: list[float]) -> str:
    ratio = median_ratio(values, floors)
    return f"{ratio:.2f}" if ratio < 10 else number(ratio)


def _milli(values: list[float]) -> str:
    return number(median(values) * _MILLI)


def _p99(rounds: list[list[float]]) -> float:
    return median(percentile(times, 99) for times in rounds)
