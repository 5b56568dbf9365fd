"""The pool of model managers: which models are loaded, which leave memory, and when.

One lock, a condition that all managers share, guards their state, so that the pool decides about
all of them at once. The decisions themselves are in `admission`: the pool takes a snapshot, asks,
and does what the answer says.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.managers import admission, memory
from worker.managers.downloads import Downloads
from worker.managers.measures import Measures
from worker.managers.model import HUB, Model
from worker.models.families import FAMILIES
from worker.system import heap, priority
from worker.system.child_environment import OFFLINE
from worker.system.log import Log, timestamp

if TYPE_CHECKING:
    from protocol.models import LoadedModel, MemoryInfo
    from protocol.values import KeepAlive, Priority
    from worker.managers.engine_process import EngineProcess
    from worker.managers.lease import Lease
    from worker.managers.manager import ModelManager
    from worker.session.job import Caller

DEFAULT_KEEP_ALIVE: Final = 300.0
DEFAULT_MAX_LOADED: Final = 8
_REMEMBERED: Final = 64
"""How many models that are not loaded keep their measurements."""
_SAMPLE_SECONDS: Final = 0.25
_ADMISSION_POLL_SECONDS: Final = 0.2


class Policy(NamedTuple):
    """What the models may take, and for how long."""

    keep_alive: float = DEFAULT_KEEP_ALIVE
    """Seconds that an unused model stays loaded; may be infinite."""
    budget: int | None = None
    """Bytes of resident memory for the worker and its engines together."""
    max_loaded: int = DEFAULT_MAX_LOADED
    cancel_grace: float | None = None


class ModelPool:
    """One manager per model, made when a job first asks for the model."""

    def __init__(self, log: Log, policy: Policy | None = None) -> None:
        self.downloads = Downloads(lambda: self.start(HUB))
        self._log = log
        self.policy: Final = policy or Policy()
        self._token: str | None = None
        self._swept = False
        self._changed = threading.Condition()
        self._managers: dict[bytes, ModelManager] = {}
        """By the key of their model."""
        self._measures = Measures()
        self._janitor: threading.Thread | None = None
        self._streams = 0
        """How many live streams are open."""

    def lease(
        self,
        model: Model,
        *,
        priority: Priority = "interactive",
        keep_alive: KeepAlive | None = None,
    ) -> Lease:
        """Lease a model to a job. That does not load it: the job's work does."""
        # With the first job, because a worker that only answers `ping` stays smaller.
        from worker.managers.lease import Lease
        from worker.managers.manager import Hooks, ModelManager

        seconds = math.inf if keep_alive == "forever" else keep_alive
        with self._changed:
            manager = self._managers.get(model.key)
            if manager is None:
                hooks = Hooks(self.start, self._admit, self.downloads.fetch, self._on_work_finished)
                manager = ModelManager(model, hooks, self._changed, self._log)
                self._managers[model.key] = manager
                self._forget_some()
            manager.leases += 1
        describe = partial(self._describe, manager, after_work=True)
        return Lease(manager, priority, seconds, describe, download=model.download)

    def use_token(self, token: str) -> None:
        """Set the hub's token. It goes into the environment of the hub's engine, which others
        cannot read; no other engine asks the hub for anything."""
        with self._changed:
            self._token = token
            for manager in self._managers.values():
                manager.stale = manager.stale or manager.model.kind == HUB.kind

    def token_variables(self) -> dict[str, str]:
        """Environment variables that hold the client's token; empty if it gave none."""
        with self._changed:
            token = self._token
        if token is None:
            return {}
        return {"HF_TOKEN": token, "TRANSCRIPTION_WORKER_TOKEN_SOURCE": "client"}

    def close(self) -> None:
        """End all engines; from any thread."""
        with self._changed:
            managers = list(self._managers.values())
        closing = [threading.Thread(target=manager.close) for manager in managers]
        closing.append(threading.Thread(target=self.downloads.close))
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def loaded(self) -> list[tuple[Model, LoadedModel]]:
        """The models in memory, and the helpers."""
        with self._changed:
            present = [each for each in self._managers.values() if each.present]
        return [(each.model, self._describe(each)) for each in present]

    def expected_memory(self, model: Model) -> int:
        """Bytes of system memory that a model takes: measured, or else estimated."""
        with self._changed:
            return self._measures.expected(model).system

    def cuda_device(self, device: str, index: int) -> int | None:
        """The index of the CUDA device that a request's `device` stands for; None for the CPU."""
        return self._measures.cuda_device(device, index)

    def memory_info(self) -> MemoryInfo:
        """Memory of the machine and of the worker."""
        from protocol.models import MemoryInfo

        machine = memory.system()
        with self._changed:
            used = self._used(self._managers.values())
        return MemoryInfo(
            total=machine.total,
            available=machine.available,
            used=used,
            budget=self.policy.budget,
        )

    def unload(
        self, caller: Caller, wanted: Callable[[Model], bool], when_busy: str
    ) -> list[LoadedModel]:
        """End the engines of the models that are `wanted`; return what they were.

        `when_busy` is refuse, wait or skip. Raises `RpcError` of kind model_busy; then none was
        unloaded.
        """
        unloaded: list[LoadedModel] = []
        while True:
            caller.raise_if_cancelled()
            with self._changed:
                found = [
                    each for each in self._managers.values() if each.present and wanted(each.model)
                ]
                busy = [each for each in found if each.busy and not each.model.helper]
                if busy and when_busy == "refuse":
                    raise RpcError(
                        "model_busy",
                        f"The model {busy[0].model.name} is in use.",
                        model=busy[0].model.name,
                        jobs=busy[0].leases,
                    )
                idle = [each for each in found if not each.busy]
                unloaded += [self._describe(each) for each in idle]
                for each in idle:
                    each.leave()
                if not idle and busy and when_busy == "wait":
                    self._changed.wait(_ADMISSION_POLL_SECONDS)
                    continue
            for each in idle:
                self._end(each, "a client asked for it")
            if not busy or when_busy == "skip":
                return unloaded

    def start(self, model: Model) -> EngineProcess:
        """Start an engine process for a model."""
        from worker.managers.engine_process import (
            DEFAULT_CANCEL_GRACE,
            EngineProcess,
            engine_command,
        )
        from worker.system.scratch import sweep

        with self._changed:
            swept, self._swept = self._swept, True
        if not swept:
            sweep()
            heap.use_few_arenas()
        self._watch()
        # All engines but the hub's take models from the cache alone.
        access = self.token_variables() if model.kind == HUB.kind else OFFLINE
        environment = {**access, **FAMILIES[model.kind].environment}
        grace = self.policy.cancel_grace
        engine = EngineProcess(
            model.kind,
            engine_command(model.kind),
            self._log,
            cancel_grace=DEFAULT_CANCEL_GRACE if grace is None else grace,
            environment=environment,
        )
        if self._streams and _steps_back(model):
            priority.lower(engine.pid)
        return engine

    @contextmanager
    def stepping_back(self) -> Iterator[None]:
        """While a stream is open, engines of other work leave the CPU to it where both want it.

        Most systems let a process only lower its priority: engines that stepped back stay so.
        """
        with self._changed:
            self._streams += 1
            others = [each for each in self._managers.values() if _steps_back(each.model)]
            pids = [each.engine.pid for each in others if each.engine]
        for pid in pids:
            priority.lower(pid)
        try:
            yield
        finally:
            with self._changed:
                self._streams -= 1

    def _admit(self, manager: ModelManager, caller: Caller, may_evict_leased: bool) -> bool:
        """Make room for a model that is to be loaded, as `admission.decide` says.

        Returns whether it may be loaded now, which is False only without `may_evict_leased`.
        Raises `RpcError` of kind model_does_not_fit.
        """
        claimed: dict[bytes, ModelManager] = {}
        told = False
        try:
            while True:
                caller.raise_if_cancelled()
                with self._changed:
                    candidate = self._candidate(manager.model)
                    decision = admission.decide(
                        candidate,
                        self._others(manager),
                        self._room(candidate),
                        claimed,
                        may_evict_leased=may_evict_leased,
                    )
                    if decision.action == "admit":
                        manager.reserved = max(1, candidate.needed.system)
                        return True
                    if decision.action == "give_up":
                        return False
                    if decision.lack:
                        raise admission.refusal(candidate, decision.lack)
                    other = self._managers.get(decision.key)
                    if other and decision.action == "evict":
                        other.leave()
                    elif other:
                        other.claims += 1
                        claimed[decision.key] = other
                if other and decision.action == "evict":
                    self._end(other, f"{manager.model.name} needs room")
                    continue
                if not told:
                    told = True
                    caller.report(ProgressReport(stage="queue", message="waiting for memory"))
                with self._changed:
                    self._changed.wait(_ADMISSION_POLL_SECONDS)
        finally:
            with self._changed:
                for each in claimed.values():
                    each.claims -= 1
                self._changed.notify_all()

    def _on_work_finished(self, manager: ModelManager) -> None:
        """Measure what the engine takes now, and end the engines that have to leave."""
        try:
            with self._changed:
                on_device = manager.loaded and self._measures.lacks_device(manager.model)
            held = self._measures.devices.held() if on_device else {}
            with self._changed:
                self._measure(manager, held)
                self._changed.notify_all()
            self._tidy()
        except Exception as error:  # such as no file can be opened: jobs that wait need not fail
            self._log.unforeseen("keeping account of memory failed", error)

    def _describe(self, manager: ModelManager, *, after_work: bool = False) -> LoadedModel:
        """A model in memory; with `after_work`, as it will be when its present work has ended."""
        from protocol.models import LoadedModel

        device_memory = self._measures.devices.held()
        with self._changed:
            engine = manager.engine
            placement = manager.placement if manager.loaded else None
            idle = not (manager.wanted if after_work else manager.busy)
            expiry = self._expiry(manager) if idle else math.inf
            return LoadedModel(
                task=manager.model.task,
                model=manager.model.name,
                engine=manager.model.kind,
                device=placement.device if placement else None,
                compute_type=placement.compute_type if placement else None,
                state="loading" if not manager.loaded else "idle" if idle else "busy",
                process_id=engine.pid if engine else None,
                jobs=manager.leases,
                idle_since=_wall_time(manager.idle_since) if idle else None,
                expires_at=None if expiry == math.inf else _wall_time(expiry),
                memory=_resident(manager) if engine else None,
                device_memory=device_memory.get(engine.pid) if engine else None,
                loads=manager.loads,
            )

    # Snapshots for `admission`. Under the lock.

    def _candidate(self, model: Model) -> admission.Candidate:
        needed, device = self._measures.expected(model), self._measures.device_of(model)
        return admission.Candidate(model.name, model.helper, needed, device)

    def _others(self, manager: ModelManager) -> list[admission.Holder]:
        return [
            admission.Holder(
                key=key,
                helper=each.model.helper,
                resident=_resident(each),
                reserved=each.reserved,
                expected=self._measures.expected(each.model),
                device=self._measures.device_of(each.model),
                running=each.running,
                leases=each.leases,
                claims=each.claims,
                idle_since=each.idle_since,
            )
            for key, each in self._managers.items()
            if each is not manager and each.present
        ]

    def _room(self, candidate: admission.Candidate) -> admission.Room:
        device = candidate.device
        return admission.Room(
            max_loaded=self.policy.max_loaded,
            budget=self.policy.budget,
            used=self._used(()),
            available=memory.system().available - memory.RESERVE,
            device_free=0 if device is None else self._measures.devices.memory()[device].free,
        )

    def _expiry(self, manager: ModelManager) -> float:
        """When an idle engine expires, on the monotonic clock."""
        helper, wished = manager.model.helper, manager.keep_alive
        stays = admission.keep_alive(wished, self.policy.keep_alive, helper=helper)
        return manager.idle_since + stays

    def _idle(self) -> list[admission.Idle]:
        return [
            admission.Idle(key, each.idle_since, self._expiry(each))
            for key, each in self._managers.items()
            if each.idle
        ]

    def _measure(self, manager: ModelManager, held: Mapping[int, int]) -> None:
        """Note what an engine takes; `held` is memory of CUDA devices, by process id."""
        engine = manager.engine
        if engine and manager.loaded:
            resident = memory.resident(engine.pid)
            self._measures.note(manager.model, resident, held.get(engine.pid, 0))

    def _forget_some(self) -> None:
        """Limit how many managers without an engine or work are kept."""
        absent = [
            key
            for key, each in self._managers.items()
            if not (each.present or each.busy or each.claims)
        ]
        for key in absent[: max(0, len(absent) - _REMEMBERED)]:
            del self._managers[key]
            self._measures.forget(key)

    # The janitor, a thread that starts with the first engine.

    def _watch(self) -> None:
        with self._changed:
            if self._janitor is None:
                janitor = threading.Thread(target=self._keep_order, daemon=True)
                janitor.start()
                self._janitor = janitor

    def _keep_order(self) -> None:
        """End engines that have expired, and measure those at work."""
        while True:
            try:
                self._wait_and_measure()
                self._tidy()
            except Exception as error:  # as in `_on_work_finished`
                self._log.unforeseen("keeping account of memory failed", error)
                time.sleep(_SAMPLE_SECONDS)

    def _wait_and_measure(self) -> None:
        with self._changed:
            working = [each for each in self._managers.values() if each.running]
            for each in working:
                self._measure(each, {})
            soonest = min((each.expires_at for each in self._idle()), default=math.inf)
            pause = max(0.0, soonest - time.monotonic())
            if working:
                pause = min(pause, _SAMPLE_SECONDS)
            self._changed.wait(None if pause == math.inf else min(pause, 3600.0))

    def _tidy(self) -> None:
        """End engines that have expired, and idle ones while the budget is exceeded."""
        while True:
            with self._changed:
                leaving = admission.next_to_leave(
                    self._idle(), time.monotonic(), over_budget=self._over_budget()
                )
                if leaving is None:
                    return
                manager, reason = self._managers[leaving[0].key], leaving[1]
                manager.leave()
            self._end(manager, reason)

    def _over_budget(self) -> bool:
        if self.policy.budget is None:
            return False
        staying = [each for each in self._managers.values() if not each.leaving]
        return self._used(staying) > self.policy.budget

    def _used(self, managers: Iterable[ModelManager]) -> int:
        """Resident memory of this process, downloads, and the engines of these managers."""
        return memory.own() + self.downloads.resident() + sum(map(_resident, managers))

    def _end(self, manager: ModelManager, reason: str) -> None:
        """End an engine that was told to leave."""
        self._log.info(f"unloading {manager.model.name}: {reason}")
        manager.end()


def _steps_back(model: Model) -> bool:
    """Whether an engine leaves the CPU to streams; alignment may be part of one."""
    return model.task != "alignment" and not FAMILIES[model.kind].live


def _resident(manager: ModelManager) -> int:
    engine = manager.engine
    return memory.resident(engine.pid) if engine and engine.alive else 0


def _wall_time(monotonic: float) -> str:
    """A time of the monotonic clock as UTC in ISO 8601."""
    return timestamp(time.time() + monotonic - time.monotonic())
