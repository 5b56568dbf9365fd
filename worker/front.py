"""The front: the process that a client spawns. It answers control requests and owns the engines.

It imports nothing heavy, so that it starts in tens of milliseconds and stays small.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, NoReturn

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
from protocol.framing import DEFAULT_MAX_LINE_BYTES
from protocol.params import decode_params
from worker import __version__
from worker.managers.pool import ModelPool, Policy
from worker.methods.environment import EnvironmentMethods
from worker.methods.live import LiveMethods
from worker.methods.models import ModelMethods
from worker.methods.recordings import RecordingMethods
from worker.models.families import FAMILIES
from worker.session.dispatcher import Dispatcher
from worker.session.lane import Lane
from worker.session.server import Server, Stop
from worker.system.limits import DEFAULT_LIMITS, SessionLimits, max_audio_duration, max_audio_size
from worker.system.log import Log, timestamp
from worker.system.stdio import claim_stdio
from worker.system.watch import watch_process, watch_reader

_REMOVAL_SECONDS: Final = 1.0


class Front:
    """The session's control methods, and the lanes that lead to the work."""

    def __init__(
        self,
        server: Server,
        pool: ModelPool,
        lanes: Mapping[str, Lane],
        live: LiveMethods,
        limits: SessionLimits,
    ) -> None:
        self._server = server
        self._log = server.log
        self._pool = pool
        self._limits = limits
        server.limit_lines(limits.max_line_bytes or DEFAULT_MAX_LINE_BYTES)
        self._initialized = False
        self._shut_down = False
        self._live = live
        self.dispatcher = Dispatcher(
            server.writer,
            self._log,
            requests={
                "initialize": self._initialize,
                "ping": _ping,
                "rpc.discover": _discover,
                "jobs/list": self._list_jobs,
                "shutdown": self._shutdown,
                **live.requests(),
            },
            notifications={
                "initialized": _ignore,
                "exit": self._exit,
                **live.notifications(),
            },
            lanes=lanes,
            answer_cancelled=True,
            limits=limits,
        )

    def _initialize(self, raw: bytes) -> bytes:
        params = decode_params(raw, InitializeParams)
        if self._initialized:
            raise RpcError("invalid_request", "The session is already initialized.")
        self._initialized = True
        if params.max_line_bytes:
            ceiling = self._limits.max_line_bytes or params.max_line_bytes
            self._server.limit_lines(min(params.max_line_bytes, ceiling))
        if params.client_info:
            info = params.client_info
            self._log.info(f"client: {info.name} {info.version or ''}".rstrip())
        if params.hf_token:
            self._pool.use_token(params.hf_token)
        if params.log_level:
            self._log.listen(self._send_log, params.log_level)
        if params.process_id and not watch_process(params.process_id, self._server.client_gone):
            self._log.warning(f"cannot watch process {params.process_id}: it is not visible here")
        result = InitializeResult(
            process_id=os.getpid(),
            server_info=ServerInfo(name="transcription-worker", version=__version__),
            capabilities=Capabilities(
                methods=sorted(methods.REQUESTS),
                notifications=sorted(methods.NOTIFICATIONS),
                engines=_engines(),
            ),
            limits=Limits(
                max_line_bytes=self._server.max_line_bytes,
                max_batch_members=DEFAULT_MAX_BATCH,
                max_open_jobs=self._limits.max_open_jobs,
                max_open_bytes=self._limits.max_open_bytes,
                max_audio_duration=max_audio_duration(),
                max_audio_bytes=max_audio_size(),
                max_loaded_models=self._pool.policy.max_loaded,
                memory_budget=self._pool.policy.budget,
                idle_exit=self._limits.idle_exit,
            ),
        )
        return msgspec.json.encode(result)

    def _list_jobs(self, raw: bytes) -> bytes:
        from protocol.jobs import ListJobsParams, ListJobsResult

        decode_params(raw, ListJobsParams)
        jobs = [job.describe() for job in self.dispatcher.open_jobs()]
        return msgspec.json.encode(ListJobsResult(jobs=jobs, limit=self._limits.max_open_jobs))

    def _shutdown(self, raw: bytes) -> bytes:
        decode_params(raw, NoParams)
        self._shut_down = True
        self.dispatcher.refusal = RpcError("shutting_down")
        self._live.finish_all()
        return b"null"

    def _exit(self, raw: bytes) -> bytes:
        self._server.stop(Stop("exit", 0 if self._shut_down else 1))
        return b"null"

    def _send_log(self, level: str, logger: str, message: str) -> None:
        if self._server.writer.congested:
            return  # results come first; stderr has the message
        params = {"level": level, "logger": logger, "message": message, "time": timestamp()}
        line = notification(
            "$/logMessage", msgspec.json.encode(msgspec.convert(params, LogMessageParams))
        )
        self._server.writer.write(line)


def _ping(raw: bytes) -> bytes:
    if raw not in (b"", b"{}"):
        decode_params(raw, NoParams)
    return b"{}"


def _discover(raw: bytes) -> bytes:
    from protocol.openrpc import discover

    decode_params(raw, NoParams)
    return discover()


def _ignore(raw: bytes) -> bytes:
    return b"null"


def _engines() -> dict[str, EngineInfo]:
    from worker.system import bundle

    damaged = bundle.damaged()
    packages_of = {kind: family.packages for kind, family in FAMILIES.items() if family.task}
    # Any engine may need a file that belongs to no package.
    known = {name for packages in packages_of.values() for name in packages}
    unknown = sorted(damaged - known)

    def info(packages: tuple[str, ...]) -> EngineInfo:
        missing = [name for name in packages if name in damaged or not _installed(name)] + unknown
        return EngineInfo(available=not missing, missing=missing)

    return {kind: info(packages) for kind, packages in packages_of.items()}


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def _remove_temporary_files() -> None:
    """Delete them even while a job creates some; give up on a disk that hangs."""
    if "worker.system.scratch" in sys.modules:  # imported with the first job
        from worker.system import scratch

        removal = threading.Thread(target=scratch.close, daemon=True)
        removal.start()
        removal.join(_REMOVAL_SECONDS)


def main(
    log_level: str | None = None,
    policy: Policy | None = None,
    limits: SessionLimits = DEFAULT_LIMITS,
) -> NoReturn:
    """Serve on stdin and stdout, and exit."""
    input_fd, output_fd = claim_stdio()
    log = Log("front", log_level)
    server = Server(
        input_fd, output_fd, log, finish_at_end_of_input=True, idle_exit=limits.idle_exit
    )
    pool = ModelPool(log, policy)
    recordings = RecordingMethods(pool, log)
    # The first group's methods hand over to engines and threads; export works on its own lane.
    quick = {
        **recordings.engine_methods(),
        **ModelMethods(pool, log).methods(),
        **EnvironmentMethods(pool.token_variables, log).methods(),
    }
    live = LiveMethods(pool, log)
    lanes: dict[str, Lane] = {}
    for group in (quick, recordings.export_methods()):
        lanes |= dict.fromkeys(group, Lane(group, log))
    lanes |= live.lanes()
    front = Front(server, pool, lanes, live, limits)
    watch_reader(output_fd, server.client_gone)
    code = server.serve(front.dispatcher, pool.close, live.finish_all)
    _remove_temporary_files()
    # Without the interpreter's shutdown: a thread may be stuck on a client that does not read.
    os._exit(code)
