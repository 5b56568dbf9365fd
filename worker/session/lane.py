"""The handler lane: work requests, one after another, dispatched by jsonrpcserver.

jsonrpcserver is given one request at a time through its own seams. What it does not do right by
itself is mended here and nowhere else: exceptions never leak their text into `data`, results that
cannot be written as JSON become an error, and signatures are looked up once.
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
"""What Python says where the system has no more of them."""


def typed(function: Callable[[Job, Any], Any], params_type: Callable[[], type]) -> Method:
    """A method whose params are decoded into a struct before `function` sees them."""

    def method(job: Job) -> Any:
        return function(job, decode_params(job.params, params_type()))

    method.__name__ = getattr(function, "__name__", "method")
    return method


class Lane:
    """Runs jobs on one thread, in the order they came. The thread starts with the first job."""

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
        """Leave the lane to another thread: this one ends with the job that it is at."""
        with self._wake:
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="lane", daemon=True)
        thread.start()  # which may fail: then all is as it was
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
            except Exception as error:  # a package that cannot be imported, say
                job.fail(failure(error, job.method, self._log))


def answer_aside(job: Job, title: str, work: Callable[[], Json], log: Log) -> Later:
    """Answer `job` with what `work` returns or raises, on a thread of its own."""

    def run() -> None:
        try:
            job.begin(title)
            job.succeed(work())
        except BaseException as error:
            job.fail(failure(error, job.method, log))

    threading.Thread(target=run, name=job.method, daemon=True).start()
    return LATER


def as_json(result: msgspec.Struct) -> Json:
    """A result as JSON."""
    return Json([msgspec.json.encode(result)])


def failure(error: BaseException, method: str, log: Log) -> RpcError:
    """What a client is told of `error`; one that was not foreseen goes to the log in full."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, MemoryError):
        return RpcError("out_of_memory")
    if isinstance(error, RuntimeError) and str(error) in _NO_THREAD:
        return RpcError(
            "out_of_memory",
            "The system lets the worker start no further thread.",
            remedy="End other programs, or raise the limits on memory and processes.",
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        message = f"The package {package} is not installed here."
        return RpcError("engine_unavailable", message, missing=[package])
    if isinstance(error, ImportError):  # a library of it is missing or damaged
        return RpcError(
            "engine_unavailable",
            f"A package of the engine cannot be loaded: {error}.",
            remedy="The worker's command diagnose tells what is wrong with it.",
        )
    log.unforeseen(f"{method} failed", error)
    return RpcError("internal_error", exception=type(error).__name__)


def make_dispatch(methods: Mapping[str, Method], log: Log) -> Callable[[Job], None]:
    """The function that answers a job with jsonrpcserver, unless its method does so later."""
    # Here, on the lane's thread and with the first job: the import takes about 100 ms, and
    # control requests are answered meanwhile.
    import jsonrpcserver
    import orjson

    # Its types know of text alone; what it hands to the deserializer may be anything.
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
        # Only methods fail, and in one of two ways: by themselves, or because jsonrpcserver
        # found that the params do not fit the signature.
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
            log.error(f"{job.method}: the result cannot be written as JSON: {error}")
            job.fail(RpcError("internal_error"))

    def encode(result: Any) -> bytes:
        typed_result = isinstance(result, msgspec.Struct)
        return msgspec.json.encode(result) if typed_result else orjson.dumps(result)

    return dispatch


def _seal(method: Method, log: Log, jsonrpcserver: Any) -> Method:
    """Wrap `method` so that nothing but a result or a typed error comes out of it."""

    def sealed(job: Job, *args: Any, **kwargs: Any) -> Any:
        try:
            return jsonrpcserver.Success(method(job, *args, **kwargs))
        except BaseException as error:  # SystemExit out of a library must not end the lane
            told = failure(error, job.method, log)
        raise jsonrpcserver.JsonRpcError(told.code, told.message, told.data)

    # jsonrpcserver asks for the signature on every call.
    sealed.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return sealed
