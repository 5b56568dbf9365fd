"""A job: a work request from its acceptance to its one reply.

A client, a signal and the work itself may all end a job at the same time. Only the first call of
`finish` counts: what comes later changes nothing, and no notification follows the reply.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import UNSET

from protocol.envelope import Call
from protocol.errors import CancelledBy, RpcError, cancelled
from protocol.progress import ProgressBegin, ProgressEnd, ProgressReport
from worker.session.wire import LINES, Wire
from worker.session.writer import Writer
from worker.system.log import timestamp

if TYPE_CHECKING:
    from protocol.jobs import JobInfo

Answer = Callable[[tuple[bytes, ...]], None]
"""Takes the chunks of one reply, or none for a notification."""

CancelHook = Callable[[CancelledBy], None]
"""Called with the source of a cancellation."""


class Json(tuple[bytes, ...]):
    """A result that is already JSON, in chunks that are never joined."""

    __slots__ = ()


class Later:
    """The return value of a method that answers its job later, by itself."""


LATER: Final = Later()

PAUSED: Final = Json([b'{"paused":true}'])
"""The result of a paused job, which goes on under the id of another request."""


class Caller(Protocol):
    """The side of a call for which an engine works: a job, or a part of one."""

    @property
    def cancelled(self) -> bool:
        """Whether `stop` was called."""

    def raise_if_cancelled(self) -> None:
        """Raise the error that answers a cancelled request."""

    def on_cancel(self, hook: CancelHook | None) -> None:
        """Set the hook to call on cancel; it is called at once if that has already happened."""

    def forward_partials(self, values: Sequence[bytes]) -> None:
        """Pass on parts of the result that the engine wrote, each as JSON."""

    def forward_report(self, value: bytes) -> None:
        """Pass on a progress report that the engine wrote, as JSON."""

    def report(self, report: ProgressReport) -> None:
        """Report progress."""


class Cancellable:
    """Work that can be cancelled. Its methods may be called from any thread."""

    def __init__(self) -> None:
        # Re-entrant: a hook may query or finish the work that it belongs to.
        self._lock = threading.RLock()
        self._cancelled_by: CancelledBy | None = None
        self._on_cancel: CancelHook | None = None

    @property
    def cancelled(self) -> bool:
        """Whether `stop` was called."""
        return self._cancelled_by is not None

    def raise_if_cancelled(self) -> None:
        """Raise the error that answers a cancelled request."""
        if self._cancelled_by:
            raise cancelled(self._cancelled_by)

    def on_cancel(self, hook: CancelHook | None) -> None:
        """Set the hook to call on cancel; it is called at once if that has already happened."""
        with self._lock:
            self._on_cancel = hook
            by = self._cancelled_by
        if by and hook:
            hook(by)

    def stop(self, by: CancelledBy) -> None:
        """Cancel the work; only the first call counts."""
        with self._lock:
            if self._cancelled_by:
                return
            self._cancelled_by = by
            hook = self._on_cancel
        if hook:
            hook(by)


class _Common(msgspec.Struct, rename="camel"):
    """The params that any job may have, as raw JSON: their types are checked later."""

    progress_token: msgspec.Raw = msgspec.Raw(b"null")
    partial_result_token: msgspec.Raw = msgspec.Raw(b"null")
    priority: msgspec.Raw = msgspec.Raw(b"null")


_decode_common = msgspec.json.Decoder(_Common).decode


class Job(Cancellable):
    """State of one work request. Its methods may be called from any thread."""

    def __init__(self, call: Call, writer: Writer, answer: Answer, wire: Wire = LINES) -> None:
        super().__init__()
        self.id = call.id
        self.method = call.method
        self.params = call.params
        self.accepted_at = time.monotonic()
        self._writer = writer
        self._answer = answer
        self._wire = wire
        self._finished = False
        self._begun = False
        self._last_report = b""
        self.yield_hook: Callable[[], float] | None = None
        """Lets other jobs go first if one waits; returns the seconds that they took."""
        try:
            common = _decode_common(call.params or b"{}")
        except msgspec.ValidationError:  # params by position have none of them
            common = _Common()
        self.progress_token, self.partial_token = wire.tokens or (
            _token(common.progress_token),
            _token(common.partial_result_token),
        )
        self.priority = "batch" if bytes(common.priority) == b'"batch"' else "interactive"

    @cached_property
    def given(self) -> frozenset[str]:
        """Names of the params that the client wrote, as opposed to those left to default."""
        if self.params[:1] != b"{":
            return frozenset()
        return frozenset(msgspec.json.decode(self.params, type=dict[str, msgspec.Raw]))

    @property
    def finished(self) -> bool:
        """Whether the job has had its reply."""
        return self._finished

    def cancel(self, by: CancelledBy, *, answer: bool) -> None:
        """Cancel the job; with `answer`, reply now and let the work end by itself."""
        if self._finished:
            return
        with self._lock:
            self.stop(by)
            if answer:
                self.fail(cancelled(by))

    def begin(self, title: str) -> None:
        """Report that the work begins."""
        with self._lock:
            self._begun = True
            if self.progress_token and not self._finished:
                self._notify(self.progress_token, msgspec.json.encode(ProgressBegin(title=title)))

    def report(self, report: ProgressReport) -> None:
        """Send a progress report."""
        self.forward_report(msgspec.json.encode(report))

    def forward_report(self, value: bytes) -> None:
        """Send a progress report, which is JSON."""
        token = self.progress_token
        with self._lock:
            if token and not self._finished:
                self._last_report = value
                self._writer.write_report(token, self._wire.progress(token, value))

    def announce(self, report: ProgressReport) -> None:
        """Send a progress report that no later one replaces."""
        with self._lock:
            if self.progress_token and not self._finished:
                self._notify(self.progress_token, msgspec.json.encode(report))

    def passing(self, value: msgspec.Struct) -> None:
        """Send a part of the result that the next part may replace while both wait."""
        token = self.partial_token
        with self._lock:
            if token and not self._finished:
                line = self._wire.progress(token, msgspec.json.encode(value))
                self._writer.write_report(token, line)

    def partial(self, value: msgspec.Struct) -> None:
        """Send a part of the result."""
        self.forward_partials([msgspec.json.encode(value)])

    def forward_partials(self, values: Sequence[bytes]) -> None:
        """Send parts of the result, each as JSON."""
        with self._lock:
            if self.partial_token and not self._finished:
                self._notify(self.partial_token, *values)

    def yield_to_others(self) -> float:
        """Let other jobs use the same model first, if the front asked for that.

        Returns the seconds that they took. Raises the error that answers a cancelled request.
        """
        self.raise_if_cancelled()
        seconds = self.yield_hook() if self.yield_hook else 0.0
        self.raise_if_cancelled()
        return seconds

    def pause(self) -> None:
        """Answer with `PAUSED`; the work goes on after `adopt_request`."""
        self.succeed(PAUSED)

    def adopt_request(self, other: Job) -> None:
        """Go on under the id of another request, and answer that one."""
        with self._lock:
            self.id, self._answer = other.id, other._answer
            self._finished = False
        other.on_cancel(self.stop)

    def describe(self) -> JobInfo:
        """Describe an open job for `jobs/list`."""
        from protocol.jobs import JobInfo

        seconds = time.monotonic() - self.accepted_at
        info = JobInfo(
            id=msgspec.Raw(self.id or b"null"),
            method=self.method,
            state="running" if self._begun else "waiting",
            priority=self.priority,
            accepted_at=timestamp(time.time() - seconds),
            seconds=seconds,
        )
        if self._last_report:
            report = msgspec.json.decode(self._last_report, type=ProgressReport)
            info.stage = report.stage
            info.percentage = UNSET if report.percentage is None else report.percentage
        return info

    def finish(self, *reply: bytes) -> None:
        """Send the reply, unless the job has had one."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._begun and self.progress_token:
                self._notify(self.progress_token, msgspec.json.encode(ProgressEnd()))
            self._answer(reply if self.id else ())

    def succeed(self, result: Json) -> None:
        """Send a result as the reply, unless the job has had one."""
        self.finish(*self._wire.result(self.id, *result))

    def fail(self, error: RpcError) -> None:
        """Send an error as the reply, unless the job has had one."""
        self.finish(self._wire.error(self.id, error))

    def _notify(self, token: bytes, *values: bytes) -> None:
        self._writer.write(self._wire.progress(token, *values))


def _token(raw: msgspec.Raw) -> bytes:
    """A token as JSON; empty if it has a wrong type, which the method's params refuse."""
    token = bytes(raw)
    return token if token[0] in b'"-0123456789' else b""
