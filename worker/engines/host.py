"""The engine's process: a server on the pipes of its parent, with the engine's methods."""

from __future__ import annotations

import faulthandler
import os
from functools import partial
from importlib import import_module
from typing import Final, NoReturn

from worker.engines.lane import EngineLane
from worker.session.dispatcher import Dispatcher
from worker.session.lane import Method, typed
from worker.session.server import Server
from worker.system.log import Log, adopt_logging
from worker.system.stdio import claim_stdio
from worker.system.watch import die_with_parent


def main(kind: str, parent: int | None) -> NoReturn:
    """Serve as engine `kind` until the end of input, and exit."""
    if parent is not None:
        die_with_parent(parent)
    if kind != "hub":  # whose files are a cache that others may share
        os.umask(0o077)
    input_fd, output_fd = claim_stdio()
    # A crash in native code leaves its Python stack in the stderr tail.
    faulthandler.enable(all_threads=False)
    log = Log(kind)
    adopt_logging(log)
    # The front is all that an engine is for: when its pipe ends, so does the engine.
    server = Server(input_fd, output_fd, log, finish_at_end_of_input=parent is None)
    methods = _methods(kind)
    lane = EngineLane(methods, log)
    dispatcher = Dispatcher(
        server.writer,
        log,
        requests={"ping": lambda _: b"{}"},
        notifications={"$/pause": lane.pause},
        lanes=dict.fromkeys([*methods, "resume"], lane),
        answer_cancelled=False,
    )
    code = server.serve(dispatcher)
    # Native threads and models need no tidy end, and may take long over one.
    os._exit(code)


# Of each kind of engine: its class, and its methods with the types of their params. By name,
# because what one engine imports is nothing that another's process should hold.
_CONTRACT: Final = "worker.engines.contract"
_ENGINES: Final = {
    "audio": ("worker.engines.decoding:AudioEngine", {"decode": "DecodeParams"}),
    "hub": (
        "worker.engines.hub.engine:HubEngine",
        {
            "download": "FetchParams",
            "cached": "NoEngineParams",
            "remove": "FetchParams",
            "whoami": "NoEngineParams",
        },
    ),
    "whisper": (
        "worker.engines.recognition.faster_whisper:WhisperEngine",
        {"load": "LoadParams", "transcribe": "EngineTranscribeParams"},
    ),
    "whisperx": (
        "worker.engines.recognition.whisperx:WhisperxEngine",
        {"load": "LoadParams", "transcribe": "EngineTranscribeParams"},
    ),
    "alignment": (
        "worker.engines.alignment.engine:AlignmentEngine",
        {"load": "LoadAlignmentParams", "align": "EngineAlignParams"},
    ),
    "diarization": (
        "worker.engines.diarization.engine:DiarizationEngine",
        {"load": "LoadDiarizationParams", "diarize": "EngineDiarizeParams"},
    ),
}


def _methods(kind: str) -> dict[str, Method]:
    where, params_types = _ENGINES[kind]
    module, _, name = where.partition(":")
    engine = getattr(import_module(module), name)()
    contract = import_module(_CONTRACT)
    return {
        method: typed(getattr(engine, method), partial(getattr, contract, params_type))
        for method, params_type in params_types.items()
    }
