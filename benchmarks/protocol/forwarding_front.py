"""A front with the synthetic engine, built from the worker's own parts.

`notify`, `stream` and `result` go to the engine unchanged; `reparse` requests the same result,
but parses and dumps it, like a front that does not forward bytes.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from worker.managers.engine_process import EngineProcess
from worker.session.dispatcher import Dispatcher
from worker.session.job import Job
from worker.session.lane import Json, Lane
from worker.session.server import Server
from worker.system.log import Log
from worker.system.stdio import claim_stdio

ENGINE_COMMAND = (sys.executable, "-m", "benchmarks.protocol.engine")


def main() -> int:
    """Serve until the end of input; return the exit code."""
    input_fd, output_fd = claim_stdio()
    log = Log("front")
    server = Server(input_fd, output_fd, log, finish_at_end_of_input=True)
    engine = EngineProcess("synthetic", ENGINE_COMMAND, log)

    def forward(job: Job) -> Json:
        return engine.call(job.method, job.params, job)

    def reparse(job: Job) -> Any:
        return orjson.loads(b"".join(engine.call("result", job.params, job)))

    methods = dict.fromkeys(("notify", "stream", "result"), forward)
    methods["reparse"] = reparse
    lane = Lane(methods, log)
    dispatcher = Dispatcher(
        server.writer,
        log,
        requests={"ping": lambda _: b"{}"},
        notifications={},
        lanes=dict.fromkeys(methods, lane),
        answer_cancelled=True,
    )
    code = server.serve(dispatcher)
    engine.kill()
    return code


if __name__ == "__main__":
    sys.exit(main())
