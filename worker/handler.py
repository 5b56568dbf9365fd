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
from typing import Any, Final

import msgspec

from protocol import envelope
from protocol.errors import INVALID_PARAMS, ErrorObject, RpcError
from protocol.params import decode_params
from worker.jobs import Job
from worker.log import Log

Method = Callable[..., Any]

DEFAULT_MAX_QUEUED: Final = 10_000


class Json(tuple[bytes, ...]):
    """A result that is JSON already, in chunks that are never joined."""

    __slots__ = ()


def typed(function: Callable[[Job, Any], Any], params_type: Callable[[], type]) -> Method:
    """A method whose params are decoded into a struct before `function` sees them."""

    def method(job: Job) -> Any:
        return function(job, decode_params(job.params, params_type()))

    method.__name__ = getattr(function, "__name__", "method")
    return method


class HandlerLane:
    """Runs jobs on one thread, in the order they came.

    The thread starts with the first job and lives as long as the process: an engine that dies
    with its parent, does so when the *thread* that started it ends.
    """

    def __init__(
        self, methods: Mapping[str, Method], log: Log, max_queued: int = DEFAULT_MAX_QUEUED
    ) -> None:
        self.max_queued = max_queued
        self._methods = methods
        self._log = log
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Queue a job; raises `RpcError` of kind busy when too many wait."""
        with self._wake:
            if len(self._jobs) >= self.max_queued:
                # Those cancelled while they waited have their answer and take no place.
                self._jobs = deque(job for job in self._jobs if not job.finished)
            if len(self._jobs) >= self.max_queued:
                raise RpcError("busy", limit=self.max_queued)
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lane", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        dispatch: Callable[[Job], tuple[bytes, ...]] | None = None
        while True:
            with self._wake:
                while not self._jobs:
                    self._wake.wait()
                job = self._jobs.popleft()
            if job.finished:
                continue
            try:
                dispatch = dispatch or _make_dispatch(self._methods, self._log)
                job.finish(*dispatch(job))
            except Exception as error:  # a package that cannot be imported, say
                self._log.error(f"{job.method} could not be dispatched: {error!r}")
                job.fail(RpcError("internal_error", exception=type(error).__name__))


def _make_dispatch(methods: Mapping[str, Method], log: Log) -> Callable[[Job], tuple[bytes, ...]]:
    """The function that turns a job into the chunks of its reply, with jsonrpcserver."""
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

    def dispatch(job: Job) -> tuple[bytes, ...]:
        response: Any = dispatch_to_response(
            job,
            sealed,
            context=job,
            deserializer=deserialize,
            validator=lambda _: None,  # the envelope was checked when it was parsed
        )
        # Only methods fail, and in one of two ways: by themselves, or because jsonrpcserver
        # found that the params do not fit the signature.
        if failure := getattr(response, "_error", None):
            data = failure.data if isinstance(failure.data, dict) else {}
            if failure.code == INVALID_PARAMS and not data:
                error = RpcError("invalid_params", f"The params do not fit: {failure.data}.")
            else:
                error = RpcError.from_object(ErrorObject(failure.code, failure.message, data))
            return (envelope.error_reply(job.id, error),)
        result = response._value.result
        try:
            if isinstance(result, Json):
                return (b'{"jsonrpc":"2.0","id":%b,"result":' % job.id, *result, b"}\n")
            typed_result = isinstance(result, msgspec.Struct)
            encoded = msgspec.json.encode(result) if typed_result else orjson.dumps(result)
            return (envelope.reply(job.id, encoded),)
        except TypeError as error:
            log.error(f"{job.method}: the result cannot be written as JSON: {error}")
            return (envelope.error_reply(job.id, RpcError("internal_error")),)

    return dispatch


def _seal(method: Method, log: Log, jsonrpcserver: Any) -> Method:
    """Wrap `method` so that nothing but a result or a typed error comes out of it."""

    def sealed(job: Job, *args: Any, **kwargs: Any) -> Any:
        try:
            return jsonrpcserver.Success(method(job, *args, **kwargs))
        except RpcError as error:
            failure = error
        except MemoryError:
            failure = RpcError("out_of_memory")
        except BaseException as error:  # SystemExit out of a library must not end the lane
            import traceback

            log.error(f"{job.method} failed: {''.join(traceback.format_exception(error))}")
            failure = RpcError("internal_error", exception=type(error).__name__)
        raise jsonrpcserver.JsonRpcError(failure.code, failure.message, failure.data)

    # jsonrpcserver asks for the signature on every call.
    sealed.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return sealed
