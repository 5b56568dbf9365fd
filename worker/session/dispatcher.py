"""The dispatcher answers control requests at once, and sends work to its lane.

It is the preempter of golang.org/x/exp/jsonrpc2: requests that must not wait (`ping`,
`$/cancelRequest`, `shutdown`) never queue behind slow ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import msgspec

from protocol import envelope
from protocol.control import CancelParams
from protocol.envelope import Batch, Call, Fault, Response
from protocol.errors import CancelledBy, RpcError
from protocol.framing import Oversize
from protocol.params import decode_params
from worker.session.job import Answer, Job
from worker.session.lane import Lane, failure
from worker.session.wire import LINES, Wire
from worker.session.writer import Writer
from worker.system.limits import DEFAULT_LIMITS, SessionLimits
from worker.system.log import Log

Control = Callable[[bytes], bytes]
"""Takes raw params, returns the result as JSON, raises `RpcError`."""


class Dispatcher:
    """Turns lines into replies, and keeps account of the open jobs: those that wait or run.

    With `answer_cancelled`, a cancelled request is answered at once, while its work may still be
    ending; without it, the reply shows that the work has ended. Jobs beyond the `limits` are
    refused as busy.
    """

    def __init__(
        self,
        writer: Writer,
        log: Log,
        *,
        requests: Mapping[str, Control],
        notifications: Mapping[str, Control],
        lanes: Mapping[str, Lane],
        answer_cancelled: bool,
        limits: SessionLimits = DEFAULT_LIMITS,
        wire: Wire = LINES,
    ) -> None:
        self.refusal: RpcError | None = None
        """If set, it answers every request."""
        self._writer = writer
        self._log = log
        self._requests = requests
        self._notifications = {**notifications, "$/cancelRequest": self._cancel}
        self._lanes = lanes
        self._answer_cancelled = answer_cancelled
        self.limits = limits
        self._wire = wire
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._open: dict[Job, int] = {}  # to the bytes of its params, in order of acceptance
        self._open_bytes = 0
        self._idle_since = time.monotonic()

    def receive(self, line: bytes | Oversize) -> bytes:
        """Serve a line; return the replies that are ready now, as whole lines."""
        if isinstance(line, Oversize):
            return self._wire.error(envelope.NULL_ID, RpcError("line_too_long"))
        message = envelope.parse(line)
        if isinstance(message, Call):
            return self._serve(message, self._answer_single)
        if isinstance(message, Batch):
            return self._serve_batch(message)
        if isinstance(message, Fault):
            return self._wire.error(message.id, message.error)
        if isinstance(message, Response):
            self._ignore_response(message)
        return b""

    def open_jobs(self) -> list[Job]:
        """The open jobs, in order of acceptance."""
        with self._lock:
            return list(self._open)

    def cancel_all(self, by: CancelledBy) -> None:
        """Cancel every open job."""
        for job in self.open_jobs():
            job.cancel(by, answer=self._answer_cancelled)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until no job is open; return False if `timeout` seconds pass first."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._open, timeout)

    @property
    def open_bytes(self) -> int:
        """Bytes of the params of the open jobs."""
        return self._open_bytes

    def idle_seconds(self) -> float:
        """Seconds since the last job was open; 0 if one is."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._idle_since

    def _answer_single(self, reply: tuple[bytes, ...]) -> None:
        if reply:
            self._writer.write(*reply)

    def _serve(self, call: Call, answer: Answer) -> bytes:
        """Serve a request or notification; return its reply if that is ready now."""
        id_ = call.id
        try:
            if id_:
                if self.refusal:
                    raise self.refusal
                control = self._requests.get(call.method)
                if control:
                    return self._wire.reply(id_, control(call.params))
            elif control := self._notifications.get(call.method) or self._requests.get(call.method):
                control(call.params)
                return b""
            if call.method in self._lanes:
                self._start_job(call, answer)
                return b""
            if not id_:
                return self._ignore_notification(call)
            raise RpcError(
                "method_not_found", f"There is no method {call.method[:100]}.", method=call.method
            )
        except Exception as error:  # every request gets an answer
            answerable = failure(error, call.method, self._log)
            if not id_:
                self._log.warning(f"notification {call.method[:100]}: {answerable.message}")
                return b""
            return self._wire.error(id_, answerable)

    def _start_job(self, call: Call, answer: Answer) -> None:
        if self.refusal:
            raise self.refusal

        def answer_and_close(reply: tuple[bytes, ...]) -> None:
            try:
                answer(reply)
            finally:
                self._close_job(job)

        try:
            job = Job(call, self._writer, answer_and_close, self._wire)
        except RecursionError:  # the envelope was parsed a few stack frames further up
            raise RpcError(
                "invalid_params", "The params are nested too deeply.", path="$"
            ) from None
        with self._lock:
            if len(self._open) >= self.limits.max_open_jobs:
                raise RpcError("busy", limit=self.limits.max_open_jobs)
            size, most = len(call.params), self.limits.max_open_bytes
            if self._open and self._open_bytes + size > most:
                message = f"The requests that wait or run have more than {most} bytes together."
                raise RpcError("busy", message, limitBytes=most)
            self._open[job] = size
            self._open_bytes += size
        try:
            self._lanes[call.method].submit(job)
        except BaseException:
            self._close_job(job)
            raise

    def _close_job(self, job: Job) -> None:
        with self._lock:
            self._open_bytes -= self._open.pop(job, 0)
            self._idle_since = time.monotonic()
            self._idle.notify_all()

    def _serve_batch(self, batch: Batch) -> bytes:
        gathered = _BatchReply(self._writer)
        for member in batch.members:
            if isinstance(member, Call):
                if member.id:
                    gathered.expect()
                reply = self._serve(member, gathered.add)
                if reply:
                    gathered.add((reply,))
            elif isinstance(member, Fault):
                gathered.expect()
                gathered.add((self._wire.error(member.id, member.error),))
            else:
                self._ignore_response(member)
        return gathered.seal()

    def _cancel(self, params: bytes) -> bytes:
        id_ = _id_value(bytes(decode_params(params, CancelParams).id))
        with self._lock:
            jobs = [job for job in self._open if _id_value(job.id) == id_]
        for job in jobs:
            job.cancel("client", answer=self._answer_cancelled)
        return b"null"

    def _ignore_notification(self, call: Call) -> bytes:
        if not call.method.startswith("$/"):  # in LSP, the name says that it may be ignored
            self._log.warning(f"notification of an unknown method: {call.method[:100]}")
        return b""

    def _ignore_response(self, response: Response) -> None:
        self._log.warning("received a reply, but the worker sends its client no requests")


class _BatchReply:
    """Gathers the replies of a batch into one array, which the last reply sends."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._missing = 0
        self._sealed = False
        self._chunks: list[bytes] = []
        self._lock = threading.Lock()

    def expect(self) -> None:
        """Count a member that will be answered."""
        with self._lock:
            self._missing += 1

    def add(self, reply: tuple[bytes, ...]) -> None:
        """Add the reply of a member; the last one of a sealed batch sends the array."""
        if not reply:
            return
        with self._lock:
            self._chunks += (b"," if self._chunks else b"[", *reply[:-1], reply[-1][:-1])
            self._missing -= 1
            complete = self._sealed and not self._missing
        if complete:
            self._writer.write(*self._chunks, b"]\n")

    def seal(self) -> bytes:
        """End the batch; return the array if every member has been answered."""
        with self._lock:
            self._sealed = True
            if self._missing or not self._chunks:
                return b""
            return b"".join((*self._chunks, b"]\n"))


def _id_value(raw: bytes) -> object:
    """An id to compare: `1` and "1" differ, two spellings of the same string do not."""
    if raw[:1] == b'"':
        return msgspec.json.decode(raw)
    return raw
