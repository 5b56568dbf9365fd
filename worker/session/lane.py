"""A lane runs work requests one after another; jsonrpcserver dispatches them.

jsonrpcserver gets one request at a time, through its public parameters. This module makes up for
what it lacks: exceptions never leak their text into `data`, results that cannot be encoded become
an error, and signatures are inspected once.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from protocol.errors import INVALID_PARAMS, ErrorObject, RpcError
from protocol.params import decode_params
from worker.session.job import LATER, Job, Json, Later
from worker.system.log import Log

Method = Callable[..., Any]

_NO_THREAD = ("can't start new thread", "can't allocate lock")
"""Python's messages when the system refuses another thread."""


def typed(function: Callable[[Job, Any], Any], params_type: Callable[[], type]) -> Method:
    """A method that decodes its params into a struct and passes them to `function`."""

    def method(job: Job) -> Any:
        return function(job, decode_params(job.params, params_type()))

    method.__name__ = getattr(function, "__name__", "method")
    return method


class Lane:
    """Runs jobs in order on one thread, which starts with the first job."""

    def __init__(self, methods: Mapping[str, Method], log: Log) -> None:
        self._methods = methods
        self._log = log
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self._wake:
            if self._thread is None:
                self._start_thread()
            self._jobs.append(job)
            self._wake.notify()

    def hand_over(self) -> None:
        """Start another thread for the jobs that wait; the current one ends with its job."""
        with self._wake:
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="lane", daemon=True)
        thread.start()  # may fail: then nothing has changed
        self._thread = thread

    def _run(self) -> None:
        dispatch: Callable[[Job], None] | None = None
        while True:
            with self._wake:
                if self._thread is not threading.current_thread():
                    return
                while not self._jobs:
                    self._wake.wait()
                job = self._jobs.popleft()
            if job.finished:
                continue
            try:
                dispatch = dispatch or make_dispatch(self._methods, self._log)
                dispatch(job)
            except Exception as error:  # jsonrpcserver cannot be imported, say
                job.fail(failure(error, job.method, self._log))


def answer_aside(job: Job, title: str, work: Callable[[], Json], log: Log) -> Later:
    """Run `work` on a new thread; what it returns or raises answers `job`."""

    def run() -> None:
        try:
            job.begin(title)
            job.succeed(work())
        except BaseException as error:
            job.fail(failure(error, job.method, log))

    threading.Thread(target=run, name=job.method, daemon=True).start()
    return LATER


def as_json(result: msgspec.Struct) -> Json:
    """Encode a result."""
    return Json([msgspec.json.encode(result)])


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, in Python or in onnxruntime, which raises no MemoryError."""
    of_onnx = type(error).__module__.startswith("onnxruntime")
    return isinstance(error, MemoryError) or (of_onnx and "alloc" in str(error).lower())


def failure(error: BaseException, method: str, log: Log) -> RpcError:
    """The error that answers the client; an unforeseen one is logged in full."""
    if isinstance(error, RpcError):
        return error
    if ran_out_of_memory(error):
        return RpcError("out_of_memory")
    if isinstance(error, RuntimeError) and str(error) in _NO_THREAD:
        return RpcError(
            "out_of_memory",
            "The system does not let the worker start another thread.",
            remedy="Close other programs, or raise the limits on memory and processes.",
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        message = f"The package {package} is not installed here."
        remedy = (
            "Install all: pip install 'transcription-worker[full]'. "
            "Of an application, use the build that contains it."
        )
        return RpcError("engine_unavailable", message, remedy=remedy, missing=[package])
    if isinstance(error, ImportError):  # one of its libraries is missing or damaged
        return RpcError(
            "engine_unavailable",
            f"A package of the engine cannot be loaded: {error}.",
            remedy="Run the worker's command diagnose to find out why.",
        )
    log.unforeseen(f"{method} failed", error)
    return RpcError("internal_error", exception=type(error).__name__)


def make_dispatch(methods: Mapping[str, Method], log: Log) -> Callable[[Job], None]:
    """The function that answers a job with jsonrpcserver, unless its method does so later."""
    # Imported on the lane's thread with the first job: that takes about 100 ms, during which the
    # reader goes on answering control requests.
    import jsonrpcserver
    import orjson

    # Its types allow only text, but it passes anything on to the deserializer.
    dispatch_to_response: Any = jsonrpcserver.dispatch_to_response
    sealed = {name: _seal(method, log, jsonrpcserver) for name, method in methods.items()}
    takes_params = {name: len(inspect.signature(m).parameters) > 1 for name, m in methods.items()}

    def deserialize(job: Job) -> dict[str, Any]:
        params = orjson.loads(job.params) if job.params and takes_params[job.method] else []
        return {"method": job.method, "params": params, "id": None}

    def dispatch(job: Job) -> None:
        response: Any = dispatch_to_response(
            job,
            sealed,
            context=job,
            deserializer=deserialize,
            validator=lambda _: None,  # the envelope was checked when it was parsed
        )
        # Either the method failed, or the params do not fit its signature.
        if error := getattr(response, "_error", None):
            data = error.data if isinstance(error.data, dict) else {}
            if error.code == INVALID_PARAMS and not data:
                job.fail(RpcError("invalid_params", f"The params do not fit: {error.data}."))
            else:
                job.fail(RpcError.from_object(ErrorObject(error.code, error.message, data)))
            return
        result = response._value.result
        if isinstance(result, Later):
            return
        try:
            job.succeed(result if isinstance(result, Json) else Json([encode(result)]))
        except TypeError as error:
            log.error(f"{job.method}: the result cannot be encoded: {error}")
            job.fail(RpcError("internal_error"))

    def encode(result: Any) -> bytes:
        typed_result = isinstance(result, msgspec.Struct)
        return msgspec.json.encode(result) if typed_result else orjson.dumps(result)

    return dispatch


def _seal(method: Method, log: Log, jsonrpcserver: Any) -> Method:
    """Wrap `method` so that it returns a result or raises a typed error, and nothing else."""

    def sealed(job: Job, *args: Any, **kwargs: Any) -> Any:
        try:
            return jsonrpcserver.Success(method(job, *args, **kwargs))
        except BaseException as error:  # a library's SystemExit must not end the lane
            answerable = failure(error, job.method, log)
        raise jsonrpcserver.JsonRpcError(answerable.code, answerable.message, answerable.data)

    # jsonrpcserver inspects the signature on every call.
    sealed.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return sealed
