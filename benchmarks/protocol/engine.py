"""A synthetic engine: it computes nothing, and writes as much as each request says.

Requests, one per line: `notify {count}` writes notifications, each with a system call of its own;
`stream {seconds, rate}` does so for a while, `rate` per second (0: as fast as it can); `result
{bytes}` answers with a result of about that size, encoded beforehand. Answers are frames.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import orjson

from worker.session.frames import FRAMES, PARTIAL

NOTIFICATION = FRAMES.progress(
    PARTIAL, b'{"segments":[{"id":7,"start":12.34,"end":15.6,"text":"one two three"}]}'
)


def notify(params: dict[str, Any]) -> bytes:
    """Write `count` notifications."""
    write = os.write
    for _ in range(params["count"]):
        write(1, NOTIFICATION)
    return b"{}"


def stream(params: dict[str, Any]) -> bytes:
    """Write notifications for the requested seconds."""
    began = time.perf_counter()
    until = began + params["seconds"]
    rate = params["rate"]
    written = 0
    while (now := time.perf_counter()) < until:
        due = round((now - began) * rate) - written if rate else 100
        for _ in range(due):
            os.write(1, NOTIFICATION)
        written += due
        if rate:
            time.sleep(1 / rate)
    return b"{}"


@functools.cache
def _result(size: int) -> bytes:
    segment = {"id": 1, "start": 12.34, "end": 15.67, "text": "a few words of plain text" * 2}
    one = len(orjson.dumps(segment)) + 1
    return orjson.dumps({"segments": [segment] * (size // one)})


def result(params: dict[str, Any]) -> bytes:
    """A large result."""
    return _result(params["bytes"])


def main() -> None:
    """Serve until the end of input."""
    methods: dict[str, Callable[[dict[str, Any]], bytes]] = {
        "notify": notify,
        "stream": stream,
        "result": result,
    }
    with os.fdopen(0, "rb") as lines:
        for line in lines:
            request = orjson.loads(line)
            answer = methods[request["method"]](request["params"])
            view = memoryview(b"".join(FRAMES.result(b"%d" % request["id"], answer)))
            while view:
                view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
