"""What the stages of a job share, and how a stage uses its engine process."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import msgspec

from protocol.errors import RpcError
from protocol.progress import ProgressReport, Stage
from protocol.values import Notice, Timings
from worker.managers.callers import CallbackCaller
from worker.pipeline.draft import Draft
from worker.pipeline.progress import JobProgress
from worker.pipeline.tracks import Tracks
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.engines.contract import EngineParams
    from worker.managers.lease import Lease
    from worker.managers.model import Model
    from worker.managers.pool import ModelPool
    from worker.session.job import Job, Json


class _Timed(Protocol):
    timings: Timings


T = TypeVar("T", bound=_Timed)
Options = TypeVar("Options")


class Shared:
    """The state of a job that its stages share; for any thread."""

    def __init__(
        self,
        job: Job,
        params: TranscribeParams,
        pool: ModelPool,
        stages: Iterable[Stage],
    ) -> None:
        self.job = job
        self.params = params
        self.pool = pool
        self.clock = StageClock(time.monotonic() - job.accepted_at)
        self.progress = JobProgress(job.report, stages)
        self.draft = Draft(job.partial)
        self.tracks = Tracks(self.clock)
        self.notices: list[Notice] = []
        self._lock = threading.Lock()

    def note(self, notices: Collection[Notice]) -> None:
        """Add warnings to the result, without duplicates."""
        with self._lock:
            self.notices += [each for each in notices if each not in self.notices]


def is_refusal(error: RpcError, params: TranscribeParams) -> bool:
    """Whether a stage's error answers the job, rather than leave the rest with a warning."""
    return error.kind in ("cancelled", "invalid_params") or params.on_stage_error == "fail"


def stage_failed(option: str, error: RpcError, message: str | None = None) -> Notice:
    """The warning that what `option` asks for failed."""
    details = msgspec.to_builtins(error.to_object())
    return Notice(
        kind="stage_failed", option=option, message=message or error.message, error=details
    )


def options_of(given: bool | Options, type_: type[Options]) -> Options | None:
    """The options of a stage, from a param that may also be a boolean."""
    if isinstance(given, bool):
        return type_() if given else None
    return given


class EngineStage(ABC):
    """A stage that runs in an engine process. The orchestrator calls `run` on a thread of its own,
    and `caller.stop` to end the stage."""

    name: ClassVar[Stage]
    option: ClassVar[str | None] = None
    """The param that asks for the stage, if any: the job then survives the stage's failure."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.caller = CallbackCaller(self.on_report)
        """Stands for the job where the stage leases models and calls engines."""

    @abstractmethod
    def run(self) -> None:
        """Run the stage to its end. Raises what ended it early."""

    def on_report(self, report: ProgressReport) -> None:
        """Take the engine's progress."""
        self.shared.progress.take(report)

    def lease(self, model: Model) -> Lease:
        """Lease `model` with the job's priority and `keepAlive`."""
        params = self.shared.params
        return self.shared.pool.lease(model, priority=params.priority, keep_alive=params.keep_alive)

    def preload(self, lease: Lease) -> None:
        """Load the model while other stages work, unless that would evict another job's model."""
        if lease.loaded:
            return
        clock = self.shared.clock

        def preload() -> None:
            with clock.stage("load"):
                lease.preload(self.caller)

        with clock.waiting(self.name, "load"):
            lease.run(self.caller, preload)

    def call(self, lease: Lease, method: str, request: EngineParams, type_: type[T]) -> T:
        """Queue a call to the engine, wait for it, and return its result as `type_`."""
        clock = self.shared.clock
        queued_at = clock.now()

        def call() -> tuple[float, Json]:
            clock.waited(self.name, "queue", clock.now() - queued_at)
            if not lease.loaded:
                with clock.waiting(self.name, "load"), clock.stage("load"):
                    lease.load(self.caller)
            return clock.now(), lease.perform(self.caller, method, request)

        called_at, reply = lease.run(self.caller, call)
        result = msgspec.json.decode(b"".join(reply), type=type_)
        clock.adopt(result.timings, called_at, self.name, "speechDetection")
        return result
