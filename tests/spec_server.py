"""The worker's front with the methods of the JSON-RPC specification's examples, via jsonrpcserver.

The examples can then be played literally against the real dispatcher and handler lane.
"""

from __future__ import annotations

import os
import sys

from worker.session.dispatcher import Dispatcher
from worker.session.job import Job
from worker.session.lane import Lane
from worker.session.server import Server
from worker.system.log import Log
from worker.system.stdio import claim_stdio


def subtract(job: Job, minuend: int, subtrahend: int) -> int:
    return minuend - subtrahend


def total(job: Job, *numbers: int) -> int:
    return sum(numbers)


def get_data(job: Job) -> list[object]:
    return ["hello", 5]


def notify(job: Job, *values: object) -> None:
    """Takes anything and answers nothing of interest."""


def unserialisable(job: Job) -> object:
    return {1j}


def leave(job: Job) -> object:
    sys.exit("a library calls sys.exit")


def fail(job: Job) -> object:
    raise LookupError("a secret in an exception's text")


METHODS = {
    "subtract": subtract,
    "sum": total,
    "get_data": get_data,
    "update": notify,
    "notify_hello": notify,
    "notify_sum": notify,
    "unserialisable": unserialisable,
    "leave": leave,
    "fail": fail,
}


def main() -> int:
    log = Log("spec")
    server = Server(*claim_stdio(), log, finish_at_end_of_input=True)
    lane = Lane(METHODS, log)
    dispatcher = Dispatcher(
        server.writer,
        log,
        requests={"ping": lambda params: b"{}"},
        notifications={},
        lanes=dict.fromkeys(METHODS, lane),
        answer_cancelled=True,
    )
    return server.serve(dispatcher)


if __name__ == "__main__":
    os._exit(main())
