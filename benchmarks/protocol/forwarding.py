"""Measures how fast the front forwards an engine's output, and pings during that time."""

from __future__ import annotations

import json
import select
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.common import Process
from benchmarks.protocol.engine import NOTIFICATION
from benchmarks.protocol.forwarding_front import ENGINE_COMMAND

FRONT_COMMAND: Final = (sys.executable, "-m", "benchmarks.protocol.forwarding_front")
RESULT_BYTES: Final = 10_000_000
STREAM_RATES: Final = {"1 000 notifications/s": 1000, "notifications flat out": 0}

# Ids that do not occur in the engine's output.
_WORK_ID: Final = 999_999_999
_WORK_MARK: Final = b'"id":%d,' % _WORK_ID
_FIRST_PING: Final = 1_000_000_000
_LONGEST_MARK: Final = 16
_PING_EVERY: Final = 0.002
_GIVE_UP_AFTER: Final = 10_000  # milliseconds


@dataclass
class Forwarding:
    """The measurements, one value per round. Times are seconds; `floor_` means without a front."""

    notification_wall: list[float] = field(default_factory=list)
    notification_cpu: list[float] = field(default_factory=list)
    floor_notification_wall: list[float] = field(default_factory=list)
    result_cpu: list[float] = field(default_factory=list)
    reparse_cpu: list[float] = field(default_factory=list)
    pings: dict[str, list[list[float]]] = field(default_factory=dict)
    """Round trips by the engine's work, one list per round."""


def measure(rounds: Forwarding, notifications: int, seconds: float) -> None:
    """Measure one round, with pings for `seconds` during each kind of work."""
    with Process(FRONT_COMMAND) as front, Process(ENGINE_COMMAND) as engine:
        for process in (front, engine):
            _notify(process, 100)
        for method in ("result", "reparse"):
            _call(front, method, {"bytes": RESULT_BYTES})

        rounds.floor_notification_wall.append(_notify(engine, notifications) / notifications)
        cpu = front.cpu_seconds
        rounds.notification_wall.append(_notify(front, notifications) / notifications)
        rounds.notification_cpu.append((front.cpu_seconds - cpu) / notifications)

        for method, values in (("result", rounds.result_cpu), ("reparse", rounds.reparse_cpu)):
            cpu = front.cpu_seconds
            _call(front, method, {"bytes": RESULT_BYTES})
            values.append(front.cpu_seconds - cpu)

        for name, rate in STREAM_RATES.items():
            work = _request("stream", {"seconds": seconds, "rate": rate})
            rounds.pings.setdefault(name, []).append(_ping_during(front, work, 1))
        repeats = max(1, round(seconds / 0.05))
        work = _request("result", {"bytes": RESULT_BYTES}) * repeats
        rounds.pings.setdefault("10 MB results", []).append(_ping_during(front, work, repeats))


def _request(method: str, params: dict[str, object]) -> bytes:
    params = {**params, "partialResultToken": "t"}
    request = {"jsonrpc": "2.0", "id": _WORK_ID, "method": method, "params": params}
    return json.dumps(request).encode() + b"\n"


def _call(process: Process, method: str, params: dict[str, object]) -> None:
    process.write(_request(method, params))
    process.read_until(b"\n", 1)


def _notify(process: Process, count: int) -> float:
    """Request and read `count` notifications; return the seconds taken."""
    started = time.perf_counter()
    process.write(_request("notify", {"count": count}))
    size = process.read_until(b"\n", count + 1)
    elapsed = time.perf_counter() - started
    if size < count * len(NOTIFICATION):
        raise RuntimeError("notifications were lost")
    return elapsed


def _ping_during(process: Process, work: bytes, replies: int) -> list[float]:
    """Request `work`, and ping until its `replies` begin to arrive; return the round trips."""
    poll = select.poll()
    poll.register(process.output, select.POLLIN)
    clock = time.perf_counter
    process.write(work)
    times: list[float] = []
    tail = b""
    id_ = _FIRST_PING
    waiting = False
    sent = 0.0
    while replies > 0 or waiting:
        if not waiting and clock() - sent >= _PING_EVERY:
            id_ += 1
            sent = clock()
            process.write(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % id_)
            waiting = True
        if not poll.poll(_GIVE_UP_AFTER if waiting else _PING_EVERY * 1000):
            if waiting:
                raise RuntimeError("a ping was not answered")
            continue
        # Search the end of the last read again, for a mark across two reads.
        seen, data = tail, tail + process.read()
        if waiting and b'"id":%d,' % id_ in data:
            times.append(clock() - sent)
            waiting = False
        replies -= data.count(_WORK_MARK) - seen.count(_WORK_MARK)
        tail = data[-_LONGEST_MARK:]
    return times
