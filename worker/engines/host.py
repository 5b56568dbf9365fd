"""The engine's process: serves one engine's methods on the pipes to the front."""

from __future__ import annotations

import faulthandler
import inspect
import os
from functools import partial
from importlib import import_module
from typing import NoReturn

from worker.engines.lane import EngineLane
from worker.models.families import FAMILIES
from worker.session.dispatcher import Dispatcher
from worker.session.frames import FRAMES, MAX_FRAME_BYTES
from worker.session.lane import Method, typed
from worker.session.server import Server
from worker.system.log import Log, adopt_logging
from worker.system.stdio import claim_stdio
from worker.system.watch import die_with_parent


def main(kind: str, parent: int | None) -> NoReturn:
    """Serve engine `kind` until the end of input, and exit.

    The process ends with `parent`, the front's process id, if that is given.
    """
    if parent is not None:
        die_with_parent(parent)
    if kind != "hub":  # other users may share its cache
        os.umask(0o077)
    input_fd, output_fd = claim_stdio()
    # A crash in native code writes its Python stack to stderr, whose tail goes into the error.
    faulthandler.enable(all_threads=False)
    log = Log(kind)
    adopt_logging(log)
    # An engine serves its front alone: when the front's pipe ends, so does the engine.
    server = Server(input_fd, output_fd, log, finish_at_end_of_input=parent is None)
    server.limit_lines(MAX_FRAME_BYTES)  # the front has applied the client's limit
    engine = _engine(kind)
    methods = _methods(engine)
    lane = EngineLane(methods, log)
    dispatcher = Dispatcher(
        server.writer,
        log,
        requests={"ping": lambda _: b"{}"},
        notifications={"$/pause": lane.pause, **getattr(engine, "notifications", {})},
        lanes=dict.fromkeys([*methods, "resume"], lane),
        answer_cancelled=False,
        wire=FRAMES,
    )
    code = server.serve(dispatcher)
    # Skip the interpreter's shutdown: with native threads and large models it can take long.
    os._exit(code)


def _engine(kind: str) -> object:
    module, _, class_name = FAMILIES[kind].engine.partition(":")
    return getattr(import_module(module), class_name)()


def _methods(engine: object) -> dict[str, Method]:
    """The public methods of the engine; each names the type of its params."""
    contract = import_module("worker.engines.contract")
    return {
        name: typed(method, partial(getattr, contract, method.__annotations__["params"]))
        for name, method in inspect.getmembers(engine, inspect.ismethod)
        if not name.startswith("_")
    }
