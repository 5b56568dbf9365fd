"""The front: the process that a client spawns. It answers control requests and owns the engines.

Nothing heavy is imported here: it starts in tens of milliseconds and stays small.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import msgspec

from protocol import methods
from protocol.control import (
    Capabilities,
    EngineInfo,
    InitializeParams,
    InitializeResult,
    Limits,
    LogMessageParams,
    NoParams,
    ServerInfo,
)
from protocol.envelope import DEFAULT_MAX_BATCH, notification
from protocol.errors import RpcError
from protocol.params import decode_params
from worker import __version__
from worker.channel import claim_stdio
from worker.dispatcher import Dispatcher
from worker.handler import DEFAULT_MAX_QUEUED, HandlerLane, typed
from worker.log import Log, timestamp
from worker.managers.whisper import WhisperManager
from worker.server import Server, Stop
from worker.watch import watch_process, watch_reader

if TYPE_CHECKING:
    from protocol.transcript import ExportParams, ExportResult
    from worker.jobs import Job

_ENGINE_PACKAGES = {"faster-whisper": ("faster_whisper", "ctranslate2", "av", "onnxruntime")}


class Front:
    """The session's control methods, and the lanes that lead to the model managers."""

    def __init__(self, server: Server, whisper: WhisperManager) -> None:
        self._server = server
        self._log = server.log
        self._initialized = False
        self._shut_down = False
        lane = HandlerLane(
            {
                "transcribe": typed(
                    whisper.transcribe, lambda: methods.REQUESTS["transcribe"].params_type
                )
            },
            self._log,
        )
        # A lane of its own: a transcript never waits behind a transcription.
        export_lane = HandlerLane(
            {"export": typed(_export, lambda: methods.REQUESTS["export"].params_type)}, self._log
        )
        self.dispatcher = Dispatcher(
            server.writer,
            self._log,
            requests={
                "initialize": self._initialize,
                "ping": _ping,
                "shutdown": self._shutdown,
            },
            notifications={"initialized": _ignore, "exit": self._exit},
            lanes={"transcribe": lane, "export": export_lane},
            answer_cancelled=True,
        )

    def _initialize(self, raw: bytes) -> bytes:
        params = decode_params(raw, InitializeParams)
        if self._initialized:
            raise RpcError("invalid_request", "The session is initialized already.")
        self._initialized = True
        self._server.framer.max_line_bytes = params.max_line_bytes
        if params.client_info:
            info = params.client_info
            self._log.info(f"client: {info.name} {info.version or ''}".rstrip())
        if params.log_level:
            self._log.listen(self._send_log, params.log_level)
        if params.process_id and not watch_process(params.process_id, self._server.client_gone):
            self._log.warning(f"process {params.process_id} is not visible here: not watched")
        result = InitializeResult(
            process_id=os.getpid(),
            server_info=ServerInfo(name="transcription-worker", version=__version__),
            capabilities=Capabilities(
                methods=sorted(methods.REQUESTS),
                notifications=sorted(methods.NOTIFICATIONS),
                engines={name: _engine_info(needs) for name, needs in _ENGINE_PACKAGES.items()},
            ),
            limits=Limits(
                max_line_bytes=params.max_line_bytes,
                max_batch_members=DEFAULT_MAX_BATCH,
                max_queued_jobs=DEFAULT_MAX_QUEUED,
            ),
        )
        return msgspec.json.encode(result)

    def _shutdown(self, raw: bytes) -> bytes:
        decode_params(raw, NoParams)
        self._shut_down = True
        self.dispatcher.refusal = RpcError("shutting_down")
        return b"null"

    def _exit(self, raw: bytes) -> bytes:
        self._server.stop(Stop("exit", 0 if self._shut_down else 1))
        return b"null"

    def _send_log(self, level: str, logger: str, message: str) -> None:
        if self._server.writer.congested:
            return  # it is on stderr; results come first
        params = {"level": level, "logger": logger, "message": message, "time": timestamp()}
        line = notification(
            "$/logMessage", msgspec.json.encode(msgspec.convert(params, LogMessageParams))
        )
        self._server.writer.write(line)


def _ping(raw: bytes) -> bytes:
    if raw not in (b"", b"{}"):
        decode_params(raw, NoParams)
    return b"{}"


def _ignore(raw: bytes) -> bytes:
    return b"null"


def _export(job: Job, params: ExportParams) -> ExportResult:
    from worker.formats.export import export  # with the first of them

    return export(job, params)


def _engine_info(packages: tuple[str, ...]) -> EngineInfo:
    missing = [name for name in packages if find_spec(name) is None]
    return EngineInfo(available=not missing, missing=missing)


def main(log_level: str | None = None, cancel_grace: float | None = None) -> NoReturn:
    """Serve on stdin and stdout, and exit."""
    input_fd, output_fd = claim_stdio()
    log = Log("front", log_level)
    whisper = WhisperManager(log, cancel_grace)
    server = Server(input_fd, output_fd, log, finish_at_end_of_input=True, on_stop=whisper.close)
    whisper.writer = server.writer
    front = Front(server, whisper)
    watch_reader(output_fd, server.client_gone)
    code = server.serve(front.dispatcher)
    # Nothing is left to tidy; a thread stuck on a client that does not read must not hold this up.
    os._exit(code)
