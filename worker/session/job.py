"""A job: a work request from its acceptance to its one reply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import UNSET

from protocol.envelope import Call, error_reply
from protocol.errors import CancelledBy, RpcError, cancelled
from protocol.progress import (
    REPORT_MARK,
    ProgressBegin,
    ProgressEnd,
    ProgressReport,
    encode_value,
    read_progress,
)
from protocol.progress import progress_line as _progress_line
from worker.session.writer import Writer
from worker.system.log import timestamp

if TYPE_CHECKING:
    from protocol.jobs import JobInfo

Answer = Callable[[tuple[bytes, ...]], None]
"""Takes the chunks of one reply line, or none for a notification."""

CancelHook = Callable[[CancelledBy], None]
"""Is told that somebody asked to stop, and who."""


class Json(tuple[bytes, ...]):
    """A result that is JSON already, in chunks that are never joined."""

    __slots__ = ()


class Later:
    """What a method returns that answers its job itself, when the work is done."""


LATER: Final = Later()

PAUSED: Final = Json([b'{"paused":true}'])
"""The result of work that stands back for other work, and goes on under another request's id."""


class Caller(Protocol):
    """On whose behalf an engine works: a job, or a part of one."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to stop."""

    def raise_if_cancelled(self) -> None:
        """Raise the error that answers a cancelled request."""

    def on_cancel(self, hook: CancelHook | None) -> None:
        """Have `hook` called on cancel; at once when that was already asked for."""

    def forward(self, lines: bytes) -> None:
        """Take notifications that the engine wrote."""

    def forward_report(self, token: bytes, line: bytes) -> None:
        """Take a progress report that the engine wrote."""

    def report(self, report: ProgressReport) -> None:
        """Tell how far the work is."""


class Cancellable:
    """Work that somebody may ask to stop. Its methods may be called from any thread."""

    def __init__(self) -> None:
        # Re-entrant: a hook may ask about, or end, the very work.
        self._lock = threading.RLock()
        self._cancelled_by: CancelledBy | None = None
        self._on_cancel: CancelHook | None = None

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._cancelled_by is not None

    def raise_if_cancelled(self) -> None:
        """Raise the error that answers a cancelled request."""
        if self._cancelled_by:
            raise cancelled(self._cancelled_by)

    def on_cancel(self, hook: CancelHook | None) -> None:
        """Have `hook` called on cancel; at once when that was already asked for."""
        with self._lock:
            self._on_cancel = hook
            by = self._cancelled_by
        if by and hook:
            hook(by)

    def stop(self, by: CancelledBy) -> None:
        """Ask to stop; who asks first is the one who cancelled."""
        with self._lock:
            if self._cancelled_by:
                return
            self._cancelled_by = by
            hook = self._on_cancel
        if hook:
            hook(by)


class _Common(msgspec.Struct, rename="camel"):
    """The part of any work params that a job cares for, as raw JSON."""

    progress_token: msgspec.Raw = msgspec.Raw(b"null")
    partial_result_token: msgspec.Raw = msgspec.Raw(b"null")
    priority: msgspec.Raw = msgspec.Raw(b"null")


_decode_common = msgspec.json.Decoder(_Common).decode


class Job(Cancellable):
    """State of one work request. Its methods may be called from any thread.

    `finish` takes effect once: whoever comes second, a late result or a late cancel, changes
    nothing, and no notification follows the reply.
    """

    def __init__(self, call: Call, writer: Writer, answer: Answer) -> None:
        super().__init__()
        self.id = call.id
        self.method = call.method
        self.params = call.params
        self.accepted_at = time.monotonic()
        self._writer = writer
        self._answer = answer
        self._finished = False
        self._taken_up = False
        self._last_report = b""
        # As raw JSON; empty where the client gave none.
        self.progress_token = self.partial_token = b""
        self.stand_back: Callable[[], float] | None = None
        """Lets other work go first, where that was asked for; returns the seconds it took."""
        self.priority = "interactive"
        self._take_common_params()

    @property
    def finished(self) -> bool:
        """Whether the reply is out."""
        return self._finished

    def cancel(self, by: CancelledBy, *, answer: bool) -> None:
        """Ask the job to stop; with `answer`, reply now and let the work end by itself."""
        if self._finished:
            return
        with self._lock:
            self.stop(by)
            if answer:
                self.fail(cancelled(by))

    def begin(self, title: str) -> None:
        """Tell that the job was taken up."""
        with self._lock:
            self._taken_up = True
            if self.progress_token and not self._finished:
                self._notify(self.progress_token, ProgressBegin(title=title))

    def report(self, report: ProgressReport) -> None:
        """Tell how far the job is."""
        with self._lock:
            if self.progress_token and not self._finished:
                line = _progress_line(self.progress_token, encode_value(report))
                self._write_report(self.progress_token, line)

    def partial(self, value: msgspec.Struct) -> None:
        """Hand out a part of the result."""
        with self._lock:
            if self.partial_token and not self._finished:
                self._notify(self.partial_token, value)

    def forward(self, lines: bytes) -> None:
        """Pass on notifications that an engine wrote for this job."""
        with self._lock:
            if not self._finished:
                if (mark := lines.rfind(REPORT_MARK)) >= 0:
                    begin, end = lines.rfind(b"\n", 0, mark) + 1, lines.index(b"\n", mark)
                    self._last_report = lines[begin:end]
                self._writer.write(lines)

    def forward_report(self, token: bytes, line: bytes) -> None:
        """Pass on a progress report that an engine wrote for this job."""
        with self._lock:
            if not self._finished:
                self._write_report(token, line)

    def give_way(self) -> float:
        """Let other work with the same model go first, where that was asked for.

        Returns the seconds that took. Raises the error that answers a cancelled request.
        """
        self.raise_if_cancelled()
        seconds = self.stand_back() if self.stand_back else 0.0
        self.raise_if_cancelled()
        return seconds

    def pause(self) -> None:
        """Answer for now: the work will go on, with `resume_as`."""
        self.succeed(PAUSED)

    def resume_as(self, other: Job) -> None:
        """Go on under the id of another request, and answer that."""
        with self._lock:
            self.id, self._answer = other.id, other._answer
            self._finished = False
        other.on_cancel(self.stop)

    def describe(self) -> JobInfo:
        """What there is to tell of an open job."""
        from protocol.jobs import JobInfo

        seconds = time.monotonic() - self.accepted_at
        info = JobInfo(
            id=msgspec.Raw(self.id or b"null"),
            method=self.method,
            state="running" if self._taken_up else "waiting",
            priority=self.priority,
            accepted_at=timestamp(time.time() - seconds),
            seconds=seconds,
        )
        if self._last_report:
            report = msgspec.json.decode(read_progress(self._last_report)[1], type=ProgressReport)
            info.stage = report.stage
            info.percentage = UNSET if report.percentage is None else report.percentage
        return info

    def finish(self, *reply: bytes) -> None:
        """Send the reply, unless the job has had one."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            if self._taken_up and self.progress_token:
                self._notify(self.progress_token, ProgressEnd())
            self._answer(reply if self.id else ())

    def succeed(self, result: Json) -> None:
        """Send a result as the reply, unless the job has had one."""
        self.finish(b'{"jsonrpc":"2.0","id":%b,"result":' % self.id, *result, b"}\n")

    def fail(self, error: RpcError) -> None:
        """Send an error as the reply, unless the job has had one."""
        self.finish(error_reply(self.id, error))

    def _notify(self, token: bytes, value: msgspec.Struct) -> None:
        self._writer.write(_progress_line(token, encode_value(value)))

    def _write_report(self, token: bytes, line: bytes) -> None:
        self._last_report = line
        self._writer.write_report(token, line)

    def _take_common_params(self) -> None:
        try:
            common = _decode_common(self.params or b"{}")
        except msgspec.ValidationError:  # params by position hold none of them
            return
        # Wrong types are for the validation of the params to refuse.
        pair = (bytes(common.progress_token), bytes(common.partial_result_token))
        self.progress_token, self.partial_token = (
            token if token[0] in b'"-0123456789' else b"" for token in pair
        )
        if bytes(common.priority) == b'"batch"':
            self.priority = "batch"
