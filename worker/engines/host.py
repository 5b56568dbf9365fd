"""The engine's process: a server on the pipes of its parent, with the engine's methods."""

from __future__ import annotations

import faulthandler
import os
from typing import NoReturn

from worker.channel import claim_stdio
from worker.dispatcher import Dispatcher
from worker.handler import HandlerLane, Method, typed
from worker.log import Log, adopt_logging
from worker.server import Server
from worker.watch import die_with_parent


def main(kind: str, parent: int | None) -> NoReturn:
    """Serve as engine `kind` until the end of input, and exit."""
    if parent is not None:
        die_with_parent(parent)
    input_fd, output_fd = claim_stdio()
    # A crash in native code leaves its Python stack in the stderr tail.
    faulthandler.enable(all_threads=False)
    log = Log(kind)
    adopt_logging(log)
    # The front is all that an engine is for: when its pipe ends, so does the engine.
    server = Server(input_fd, output_fd, log, finish_at_end_of_input=parent is None)
    lane = HandlerLane(_methods(kind), log)
    dispatcher = Dispatcher(
        server.writer,
        log,
        requests={"ping": lambda _: b"{}"},
        notifications={},
        lanes=dict.fromkeys(("load", "transcribe"), lane),
        answer_cancelled=False,
    )
    code = server.serve(dispatcher)
    # Native threads and models need no tidy end, and may take long over one.
    os._exit(code)


def _methods(kind: str) -> dict[str, Method]:
    from worker.engines import contract
    from worker.engines.whisper import WhisperEngine

    engine = WhisperEngine()
    return {
        "load": typed(engine.load, lambda: contract.LoadParams),
        "transcribe": typed(engine.transcribe, lambda: contract.EngineTranscribeParams),
    }
