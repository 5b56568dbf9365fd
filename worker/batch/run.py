"""Runs a batch: keeps some requests in flight at one worker, and restarts it after a crash.

Any file in work may have caused a crash, so each gets one more try, alone; a second crash fails it.
"""

from __future__ import annotations

import queue
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

import msgspec

from protocol.errors import ErrorObject, RpcError, cancelled
from worker.batch.done import Marker, Markers, fingerprint
from worker.batch.inputs import Task
from worker.batch.progress import Progress
from worker.batch.report import Line, Report, done, failure
from worker.client import Client, WorkerEndedError
from worker.system.paths import to_wire

TICK: Final = 0.2
"""Seconds between two checks for Ctrl-C while the worker is silent."""
CANCEL_SECONDS: Final = 5.0
"""How long the worker has to answer cancelled requests."""

_ENDING: Final = ("cancelled", "shutting_down")
"""Errors from a worker that is ending, for example because Ctrl-C reached it first."""


class Interrupt:
    """Records Ctrl-C instead of raising between a result and its line; a second one raises."""

    def __init__(self) -> None:
        self.received = False

    def __enter__(self) -> Interrupt:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Job(msgspec.Struct, kw_only=True):
    """A task on its way through the worker."""

    index: int
    task: Task
    params: dict[str, Any]
    fingerprint: str = ""
    device: int | None = None
    """The CUDA device that runs it."""
    crashes: int = 0
    """How many processes have crashed while it was in work."""


class Batch:
    """Runs tasks, `jobs` at a time. `params_of` returns the complete params of a task.

    With several CUDA `devices`, each runs `jobs` at a time.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        params_of: Callable[[Task], dict[str, Any]],
        jobs: int,
        devices: Sequence[int] = (),
        markers: Markers,
        resume: bool,
        report: Report,
        progress: Progress,
        interrupt: Interrupt,
        on_line: Callable[[Line], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._params_of = params_of
        self._jobs = jobs * max(1, len(devices))
        self._devices = devices
        self._markers = markers
        self._resume = resume
        self._report = report
        self._progress = progress
        self._interrupt = interrupt
        self._on_line = on_line
        self._on_tick = on_tick
        self._waiting = deque(enumerate(tasks))
        self._suspects: deque[_Job] = deque()
        """Jobs that were in work when a process crashed: each is tried once more, alone."""
        self._running: dict[int, _Job] = {}
        self._client: Client | None = None

    def run(self) -> None:
        """Run until all tasks are done, or until Ctrl-C has cancelled the running ones."""
        try:
            while not self._interrupt.received:
                self._fill()
                if not self._running:
                    if not self._waiting and not self._suspects:
                        return
                    continue
                self._step()
            self._cancel()
        finally:
            if self._client:
                self._client.close()

    def _fill(self) -> None:
        while not self._interrupt.received:
            if self._suspects:
                if not self._running:
                    self._send(self._suspects.popleft())
                return
            if not self._waiting or len(self._running) >= self._jobs:
                return
            self._begin(*self._waiting.popleft())
            self._on_tick()

    def _begin(self, index: int, task: Task) -> None:
        if task.not_media:
            self._progress.skip(index)
            self._add(Line(input=task.input, status="skipped", reason="not_media"))
            return
        job = _Job(index=index, task=task, params=self._params_of(task))
        if task.refusal:
            self._fail(job, task.refusal)
            return
        if task.path.is_file():  # hashing would drain a pipe; the worker reports what is wrong
            try:
                job.fingerprint = fingerprint(task, job.params)
            except OSError:
                pass
        if self._resume and job.fingerprint:
            marker = self._markers.find(task, job.fingerprint)
            if marker:
                self._skip(job, marker)
                return
        self._markers.remove(task)
        self._send(job)

    def _send(self, job: _Job) -> None:
        params = {
            "priority": "batch",
            "checkpoint": to_wire(self._markers.checkpoint(job.task)),
            **self._on_device(job),
            "audio": to_wire(job.task.path),
            "outputDir": to_wire(job.task.folder),
            "name": job.task.name,
            "progressToken": job.index,
        }
        try:
            if self._client is None:
                self._client = Client()
            self._running[self._client.send("transcribe", params)] = job
        except WorkerEndedError as error:
            self._worker_ended(error, job)

    def _on_device(self, job: _Job) -> dict[str, Any]:
        """The params, with the least busy device for all stages."""
        if not self._devices:
            return job.params
        busy = Counter(each.device for each in self._running.values())
        job.device = min(self._devices, key=lambda device: busy[device])
        there = {"deviceIndex": job.device}
        stages = {
            name: {**there, **(asked if isinstance(asked, dict) else {})}
            for name in ("align", "diarize")
            if (asked := job.params.get(name))
        }
        return {**there, **job.params, **stages}

    def _step(self) -> None:
        """Handle the worker's next message, if one arrives soon."""
        assert self._client
        try:
            message = self._client.next_message(TICK)
        except queue.Empty:
            pass
        except WorkerEndedError as error:
            self._worker_ended(error)
        else:
            self._handle(message)
        self._on_tick()

    def _handle(self, message: dict[str, Any]) -> None:
        if message.get("method") == "$/progress":
            progress = message["params"]
            if any(job.index == progress["token"] for job in self._running.values()):
                self._progress.report(progress["token"], progress["value"])
        elif "result" in message:
            self._finish(self._running.pop(message["id"]), message["result"])
        elif "error" in message:
            error = RpcError.from_object(msgspec.convert(message["error"], ErrorObject))
            if error.kind in _ENDING and not self._interrupt.received:
                return  # the worker is ending: the next one gets the job
            job = self._running.pop(message["id"])
            if error.kind in _ENDING:
                self._fail(job, _interrupted())
            elif error.kind == "engine_crashed" and not self._interrupt.received:
                self._crashed(job, error)
            else:
                self._fail(job, error)

    def _finish(self, job: _Job, result: dict[str, Any]) -> None:
        failed = [each["error"] for each in result["warnings"] if each["kind"] == "stage_failed"]
        # The worker treats a failed export as a warning; for a batch the file has failed.
        if job.params.get("formats") and "files" not in result:
            self._fail(job, RpcError.from_object(msgspec.convert(failed[-1], ErrorObject)))
            return
        line = done(job.task.input, result)
        try:
            if job.fingerprint and not failed:  # without a marker, --resume retries failed stages
                self._markers.write(job.task, job.fingerprint, line.outputs, result["duration"])
        except RpcError as error:
            self._fail(job, error)
            return
        shutil.rmtree(self._markers.checkpoint(job.task), ignore_errors=True)
        self._progress.finish(job.index, result["duration"])
        self._add(line)

    def _skip(self, job: _Job, marker: Marker) -> None:
        self._progress.skip(job.index)
        self._add(
            Line(
                input=job.task.input,
                status="skipped",
                reason="done",
                outputs=self._markers.paths(marker),
                duration=marker.duration,
            )
        )

    def _fail(self, job: _Job, error: RpcError) -> None:
        self._progress.finish(job.index, None)
        self._add(Line(input=job.task.input, status="failed", error=failure(error)))

    def _add(self, line: Line) -> None:
        self._report.add(line)
        self._on_line(line)

    def _worker_ended(self, error: WorkerEndedError, *sending: _Job) -> None:
        """Continue with a new worker, if any work is left."""
        jobs = [*self._running.values(), *sending]
        self._running.clear()
        if self._client:
            self._client.close()
            self._client = None
        message = f"While processing this file, {error}."
        for job in jobs:
            self._crashed(job, RpcError("engine_crashed", message))

    def _crashed(self, job: _Job, error: RpcError) -> None:
        """Try the job once more: another file in work may have caused the crash."""
        job.crashes += 1
        if job.crashes > 1:
            self._fail(job, error)
        else:
            self._suspects.append(job)

    def _cancel(self) -> None:
        """Cancel the running jobs and wait for their answers; some may still succeed."""
        until = time.monotonic() + CANCEL_SECONDS
        try:
            for id_ in self._running:
                assert self._client
                self._client.cancel(id_)
            while self._running and time.monotonic() < until:
                assert self._client
                try:
                    self._handle(self._client.next_message(TICK))
                except queue.Empty:
                    pass
        except WorkerEndedError:
            pass  # Ctrl-C also reaches the worker
        for job in (*self._running.values(), *self._suspects):
            self._fail(job, _interrupted())


def _interrupted() -> RpcError:
    return cancelled("signal", "The batch was interrupted.")
