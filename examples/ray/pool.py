"""The driver: gives each free actor the next file, and replaces lost actors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError

from protocol.errors import RpcError, cancelled
from worker.batch.inputs import Task
from worker.batch.progress import Progress
from worker.batch.report import Line, Report, failure
from worker.batch.run import TICK, Interrupt
from worker.client import CLOSE_SECONDS

_PATIENCE: Final = round(30 / TICK)
"""How many checks without a running actor until the user is told."""

Actor = Any
Ref = Any


class ClusterError(Exception):
    """The cluster cannot run the batch at all; the message says why."""


class _Job(msgspec.Struct, kw_only=True):
    """A task on its way through the cluster."""

    index: int
    task: Task
    attempts: int = 0


class Pool:
    """Runs tasks on up to `size` actors.

    It does not use Ray's own retries: they bind a file to its actor, which waits for room on the
    cluster if its node is gone. Here the file goes to the next free actor.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        params_of: Callable[[Task], dict[str, Any]],
        start: Callable[[], Actor],
        check: Callable[[Actor], Ref],
        size: int,
        attempts: int,
        report: Report,
        progress: Progress,
        interrupt: Interrupt,
        on_line: Callable[[Line], None],
        on_tick: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._params_of = params_of
        self._start = start
        self._check = check
        self._size = size
        self._attempts = attempts
        self._report = report
        self._progress = progress
        self._interrupt = interrupt
        self._on_line = on_line
        self._on_tick = on_tick
        self._say = say
        self._waiting = deque(_Job(index=i, task=task) for i, task in enumerate(tasks))
        self._starting: dict[Ref, Actor] = {}
        self._idle: list[Actor] = []
        self._running: dict[Ref, tuple[Actor, _Job]] = {}
        self._lost = 0
        """How many actors in a row failed before they were ready."""
        self._looks = 0

    def run(self) -> None:
        """Run until all tasks are done, or until Ctrl-C; raises `ClusterError`."""
        try:
            self._report_unusable()
            while not self._interrupt.received:
                self._fill()
                if not self._running and not self._waiting:
                    break
                self._step()
            else:
                self._cancel()
        finally:
            self._end()

    def _report_unusable(self) -> None:
        """Report the tasks that need no actor: no media, or refused."""
        for job in list(self._waiting):
            if job.task.not_media:
                self._waiting.remove(job)
                self._add(job, Line(input=job.task.input, status="skipped", reason="not_media"))
            elif job.task.refusal:
                self._waiting.remove(job)
                self._fail(job, job.task.refusal)

    def _fill(self) -> None:
        wanted = min(self._size, len(self._waiting) + len(self._running))
        while len(self._starting) + len(self._idle) + len(self._running) < wanted:
            actor = self._start()
            self._starting[self._check(actor)] = actor
        while self._idle and self._waiting:
            actor, job = self._idle.pop(), self._waiting.popleft()
            ref = actor.transcribe.remote(job.task, self._params_of(job.task))
            self._running[ref] = actor, job

    def _step(self) -> None:
        done, _ = ray.wait([*self._starting, *self._running], timeout=TICK)
        for ref in done:
            if ref in self._starting:
                self._started(ref, self._starting.pop(ref))
            else:
                self._finished(ref, *self._running.pop(ref))
        self._looks = 0 if self._running else self._looks + 1
        if self._looks == _PATIENCE:
            self._say("Waiting for room on the cluster; press Ctrl-C to stop, --resume continues.")
        self._on_tick()

    def _started(self, ref: Ref, actor: Actor) -> None:
        try:
            blind = ray.get(ref)
        except RayError as error:
            self._lost += 1
            if self._lost >= self._attempts:
                raise ClusterError(f"No actor starts: {_summary(error)}") from None
            return
        if blind:
            raise ClusterError(
                f"The node {blind} does not see the output folder: "
                "mount it at the same path on all nodes."
            )
        self._lost = 0
        self._idle.append(actor)

    def _finished(self, ref: Ref, actor: Actor, job: _Job) -> None:
        try:
            line: Any = ray.get(ref)
        except RayTaskError as error:
            self._idle.append(actor)
            self._fail(job, RpcError("internal_error", f"{error.cause!r}"))
        except RayError as error:
            ray.kill(actor)
            message = f"While processing this file, its actor was lost: {_summary(error)}"
            self._crashed(job, failure(RpcError("engine_crashed", message)))
        else:
            self._idle.append(actor)
            if line.error and line.error.kind == "engine_crashed":
                self._crashed(job, line.error)
            else:
                self._add(job, line)

    def _crashed(self, job: _Job, error: Any) -> None:
        """Try the job again after the others."""
        job.attempts += 1
        if job.attempts < self._attempts:
            self._waiting.append(job)
        else:
            self._add(job, Line(input=job.task.input, status="failed", error=error))

    def _fail(self, job: _Job, error: RpcError) -> None:
        self._add(job, Line(input=job.task.input, status="failed", error=failure(error)))

    def _add(self, job: _Job, line: Line) -> None:
        if line.status == "skipped":
            self._progress.skip(job.index)
        else:
            self._progress.finish(job.index, line.duration)
        self._report.add(line)
        self._on_line(line)

    def _cancel(self) -> None:
        for _, job in self._running.values():
            self._fail(job, cancelled("signal", "The batch was interrupted."))

    def _end(self) -> None:
        """Close idle actors gracefully and kill the others; a worker never outlives its actor."""
        for actor in (*self._starting.values(), *(actor for actor, _ in self._running.values())):
            ray.kill(actor)
        closing = [actor.close.remote() for actor in self._idle]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=2 * CLOSE_SECONDS)
        for actor in self._idle:
            ray.kill(actor)


def _summary(error: RayError) -> str:
    """The first line of Ray's message."""
    return str(error).strip().partition("\n")[0]
