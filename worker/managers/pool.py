"""All model managers: who is loaded, who has to go, and for how long the idle stay."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.managers import memory
from worker.managers.downloads import Downloads
from worker.managers.manager import Lease, ModelManager
from worker.managers.model import HUB, Model
from worker.system import heap
from worker.system.child_environment import OFFLINE
from worker.system.log import Log, timestamp

if TYPE_CHECKING:
    from protocol.models import LoadedModel, MemoryInfo
    from protocol.values import KeepAlive, Priority
    from worker.engines.contract import FetchParams
    from worker.managers.engine_process import EngineProcess
    from worker.session.job import Caller
    from worker.session.writer import Writer

DEFAULT_KEEP_ALIVE: Final = 300.0
DEFAULT_MAX_LOADED: Final = 8
_HELPER_KEEP_ALIVE: Final = 30.0
_REMEMBERED: Final = 64
"""Models that are not loaded, and whose measures are kept."""
_SAMPLE_SECONDS: Final = 0.25
_ADMISSION_POLL_SECONDS: Final = 0.2
_NOTHING: Final[Mapping[int, int]] = MappingProxyType({})


class Policy(NamedTuple):
    """What the models may take, and for how long."""

    keep_alive: float = DEFAULT_KEEP_ALIVE
    """Seconds that an unused model stays loaded; may be infinite."""
    budget: int | None = None
    """Bytes of resident memory for the worker and its engines together."""
    max_loaded: int = DEFAULT_MAX_LOADED
    cancel_grace: float | None = None


class _Measure:
    """What a model was seen to take. Bytes."""

    def __init__(self, size: int | None) -> None:
        self.weights = size
        self.peak = 0
        self.device = 0


class _Lack(NamedTuple):
    """Why a model cannot be loaded now, and whose going would help."""

    message: str
    needed: int
    available: int
    is_eased_by: Callable[[ModelManager], bool]
    remedy: str | None = None
    """Where the usual one does not help."""


class ModelPool:
    """A manager for each model, made when it is first asked for.

    One lock guards them all, so that who is to go and who may come is decided in one place.
    """

    def __init__(self, writer: Writer, log: Log, policy: Policy | None = None) -> None:
        self.downloads = Downloads(lambda: self.start(HUB))
        self._writer = writer
        self._log = log
        self.policy: Final = policy or Policy()
        self._token: str | None = None
        self._swept = False
        self._changed = threading.Condition()
        self._managers: dict[bytes, ModelManager] = {}
        self._measures: dict[bytes, _Measure] = {}
        self._bases: dict[str, int] = {}
        """What engines of a kind take beside the weights, as measured."""
        self._devices = memory.Devices()
        self._janitor: threading.Thread | None = None

    def lease(
        self,
        model: Model,
        *,
        priority: Priority = "interactive",
        keep_alive: KeepAlive | None = None,
    ) -> Lease:
        """A claim to a model. It is not loaded by that, but by work."""
        seconds = math.inf if keep_alive == "forever" else keep_alive
        key = model.key or model.kind.encode()
        with self._changed:
            manager = self._managers.get(key)
            if manager is None:
                manager = ModelManager(model, self, self._changed, self._log)
                self._managers[key] = manager
                self._forget_some()
            manager.leases += 1
        return Lease(manager, priority, seconds, download=model.download)

    def use_token(self, token: str) -> None:
        """Give the hub's token to the hub's engine; in its environment, which others cannot read.

        No other engine asks the hub for anything.
        """
        with self._changed:
            self._token = token
            for manager in self._managers.values():
                manager.stale = manager.stale or manager.model.kind == HUB.kind

    def token_variables(self) -> dict[str, str]:
        """What tells a process that asks the hub the client's token, if it gave one."""
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
        return [(each.model, self.describe(each)) for each in present]

    def expected_memory(self, model: Model) -> int:
        """What a model takes, as it was measured or else on a CPU as it is expected. In bytes."""
        with self._changed:
            return self._expected(model).system

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
        """End the engines of models; return what they were.

        `when_busy` is refuse, wait or skip. Raises `RpcError`: model_busy, then none is unloaded.
        """
        unloaded: list[LoadedModel] = []
        while True:
            caller.raise_if_cancelled()
            with self._changed:
                found = [
                    each for each in self._managers.values() if each.present and wanted(each.model)
                ]
                busy = [each for each in found if each.busy and not each.helper]
                if busy and when_busy == "refuse":
                    raise RpcError(
                        "model_busy",
                        f"The model {busy[0].model.name} is in use.",
                        model=busy[0].model.name,
                        jobs=busy[0].leases,
                    )
                idle = [each for each in found if not each.busy]
                unloaded += [self.describe(each) for each in idle]
                for each in idle:
                    each.leave()
                if not idle and busy and when_busy == "wait":
                    self._changed.wait(_ADMISSION_POLL_SECONDS)
                    continue
            for each in idle:
                self._log.info(f"unloading {each.model.name}: asked to")
                each.end()
            if not busy or when_busy == "skip":
                return unloaded

    # What managers ask.

    def start(self, model: Model) -> EngineProcess:
        """Start an engine process."""
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
        # The others find models in the cache.
        environment = self.token_variables() if model.kind == HUB.kind else OFFLINE
        grace = self.policy.cancel_grace
        return EngineProcess(
            model.kind,
            engine_command(model.kind),
            self._writer,
            self._log,
            cancel_grace=DEFAULT_CANCEL_GRACE if grace is None else grace,
            environment=environment,
        )

    def admit(self, manager: ModelManager, caller: Caller, *, polite: bool) -> bool:
        """Make room for a model that is to be loaded: idle ones go, the longest unused first.

        Where all are at work, the next that comes to the end of its turn goes. Raises
        model_does_not_fit when even alone it would not fit. A polite one goes without when leased
        models would have to go.
        """
        claimed: list[ModelManager] = []
        told = False
        try:
            while True:
                caller.raise_if_cancelled()
                with self._changed:
                    lack = self._lack(manager)
                    if lack is None:
                        manager.reserved = max(1, self._expected(manager.model).system)
                        return True
                    others = [each for each in self._others(manager) if lack.is_eased_by(each)]
                    idle = [each for each in others if not each.running and not each.reserved]
                    victim = min(
                        idle,
                        key=lambda each: (each not in claimed, each.leases > 0, each.idle_since),
                        default=None,
                    )
                    if polite and (victim is None or victim.leases > 0):
                        return False
                    if victim is not None:
                        victim.leave()
                    elif not others:
                        raise _does_not_fit(manager.model, lack)
                    elif not any(each in claimed for each in others):
                        next_ = min(others, key=lambda each: (each.claims, each.idle_since))
                        next_.claims += 1
                        claimed.append(next_)
                if victim is not None:
                    reason = f"{manager.model.name} needs room"
                    self._log.info(f"unloading {victim.model.name}: {reason}")
                    victim.end()
                    continue
                if not told:
                    told = True
                    caller.report(ProgressReport(stage="queue", message="waiting for memory"))
                with self._changed:
                    self._changed.wait(_ADMISSION_POLL_SECONDS)
        finally:
            with self._changed:
                for each in claimed:
                    each.claims -= 1
                self._changed.notify_all()

    def fetch(self, caller: Caller, source: FetchParams) -> None:
        """Have a model in the hub's cache, whole."""
        self.downloads.fetch(caller, source)

    def rested(self, manager: ModelManager) -> None:
        """A turn has ended: measure, and see who has to go."""
        try:
            held = self._devices.held() if self._unmeasured(manager) else {}
            with self._changed:
                self._measure(manager, held)
                self._changed.notify_all()
            self._tidy()
        except Exception as error:  # no file can be opened, say: those who wait lose nothing by it
            self._log.unforeseen("keeping account of memory failed", error)

    def describe(self, manager: ModelManager, *, after_turn: bool = False) -> LoadedModel:
        """What is known of a model in memory; `after_turn`, as it will be when its turn is over."""
        from protocol.models import LoadedModel

        device_memory = self._devices.held()
        with self._changed:
            engine = manager.engine
            placement = manager.placement if manager.loaded else None
            idle = not (manager.wanted if after_turn else manager.busy)
            expiry = self._expiry(manager) if idle else math.inf
            return LoadedModel(
                task=manager.model.task,
                model=manager.model.name,
                engine=manager.model.engine,
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

    # How it is decided. With the lock held.

    def _lack(self, manager: ModelManager) -> _Lack | None:
        """What is missing for a model to be loaded; None when it fits."""
        model = manager.model
        others = self._others(manager)
        models = sum(not each.helper for each in others)
        if not manager.helper and models >= self.policy.max_loaded:
            message = f"{models} models are loaded, and no more may be."
            return _Lack(message, models + 1, self.policy.max_loaded, lambda each: not each.helper)
        need = self._expected(model)
        # Those at work may grow to what they are known, or expected, to take.
        growth = sum(
            max(0, max(each.reserved, self._expected(each.model).system) - _resident(each))
            for each in others
            if each.running or each.reserved
        )
        used = self._used(others) + growth
        budget = self.policy.budget
        if budget is not None and used + need.system > budget:
            left = budget - used
            return _lack(model, need.system, left, "the memory budget")
        available = memory.system().available - memory.RESERVE - growth
        # What is expected of a helper may be refused by a machine on which it would just run.
        if not manager.helper and need.system > available:
            return _lack(model, need.system, available, "memory")
        if need.device:
            free = self._devices.memory()[model.device_index].free
            free -= sum(each.reserved and self._expected(each.model).device for each in others)
            if need.device > free:
                lack = _lack(model, need.device, free, f"CUDA device {model.device_index}")
                return lack._replace(
                    is_eased_by=lambda each: self._expected(each.model).device > 0,
                    remedy='Use device "cpu", a smaller model or computeType int8, or end other '
                    "programs on the device.",
                )
        return None

    def _others(self, manager: ModelManager) -> list[ModelManager]:
        """Those beside `manager` that take memory."""
        return [each for each in self._managers.values() if each is not manager and each.present]

    def cuda_device(self, device: str, index: int) -> int | None:
        """The index of the CUDA device that a model would run on; None where that is the CPU."""
        present = device in ("auto", "cuda") and index < len(self._devices.memory())
        return index if present else None

    def _expected(self, model: Model) -> memory.Estimate:
        measure = self._measure_of(model)
        device = self.cuda_device(model.device, model.device_index) if model.params else None
        guess = memory.estimate(
            model.kind,
            measure.weights,
            model.compute_type,
            device is not None,
            self._bases.get(model.kind),
        )
        return memory.Estimate(measure.peak or guess.system, measure.device or guess.device)

    def _measure_of(self, model: Model) -> _Measure:
        from worker.managers.resolve import weights

        key = model.key or model.kind.encode()
        if key not in self._measures:
            self._measures[key] = _Measure(weights(model))
        return self._measures[key]

    def _unmeasured(self, manager: ModelManager) -> bool:
        """Whether its model is on a device, and what it takes there is a guess so far."""
        with self._changed:
            expected = self._expected(manager.model).device
            return bool(expected and manager.loaded and not self._measure_of(manager.model).device)

    def _measure(self, manager: ModelManager, held: Mapping[int, int] = _NOTHING) -> None:
        """Note what an engine takes; `held` is of devices, by process id."""
        engine = manager.engine
        if not engine or not manager.loaded:
            return
        measure = self._measure_of(manager.model)
        measure.peak = max(measure.peak, memory.resident(engine.pid))
        measure.device = max(measure.device, held.get(engine.pid, 0))
        model = manager.model
        self._bases[model.kind] = memory.base_of(
            model.kind, measure.weights, model.compute_type, measure.peak
        )

    def _forget_some(self) -> None:
        """Keep no more than some of the managers that have nothing to do."""
        absent = [key for key, each in self._managers.items() if not each.present and not each.busy]
        for key in absent[: max(0, len(absent) - _REMEMBERED)]:
            del self._managers[key]
            self._measures.pop(key, None)

    def _expiry(self, manager: ModelManager) -> float:
        """When an idle one is to be unloaded, on the monotonic clock."""
        wished = manager.keep_alive
        seconds = self.policy.keep_alive if wished is None else wished
        if manager.helper:
            seconds = min(seconds, _HELPER_KEEP_ALIVE)
        return manager.idle_since + seconds

    # What happens by itself.

    def _watch(self) -> None:
        with self._changed:
            if self._janitor is None:
                janitor = threading.Thread(target=self._keep_order, daemon=True)
                janitor.start()
                self._janitor = janitor

    def _keep_order(self) -> None:
        """Unload what has expired, and note what those at work take."""
        while True:
            try:
                self._wait_and_measure()
                self._tidy()
            except Exception as error:  # as in `rested`
                self._log.unforeseen("keeping account of memory failed", error)
                time.sleep(_SAMPLE_SECONDS)

    def _wait_and_measure(self) -> None:
        with self._changed:
            working = [each for each in self._managers.values() if each.running]
            for each in working:
                self._measure(each)
            idle = [each for each in self._managers.values() if each.idle]
            soonest = min(map(self._expiry, idle), default=math.inf)
            pause = max(0.0, soonest - time.monotonic())
            if working:
                pause = min(pause, _SAMPLE_SECONDS)
            self._changed.wait(None if pause == math.inf else min(pause, 3600.0))

    def _tidy(self) -> None:
        """Unload what has expired, and while the budget is exceeded what is idle."""
        while True:
            with self._changed:
                idle = [each for each in self._managers.values() if each.idle]
                now = time.monotonic()
                victim = next((each for each in idle if self._expiry(each) <= now), None)
                reason = "nobody asked for it for long enough"
                if victim is None and self._over_budget():
                    victim = min(idle, key=lambda each: each.idle_since, default=None)
                    reason = "the memory budget is exceeded"
                if victim is None:
                    return
                victim.leave()
            self._log.info(f"unloading {victim.model.name}: {reason}")
            victim.end()

    def _over_budget(self) -> bool:
        if self.policy.budget is None:
            return False
        staying = [each for each in self._managers.values() if not each.leaving]
        return self._used(staying) > self.policy.budget

    def _used(self, managers: Iterable[ModelManager]) -> int:
        """Resident memory of this process, downloads, and the engines of these managers."""
        return memory.own() + self.downloads.resident() + sum(map(_resident, managers))


def _resident(manager: ModelManager) -> int:
    engine = manager.engine
    return memory.resident(engine.pid) if engine and engine.alive else 0


def _does_not_fit(model: Model, lack: _Lack) -> RpcError:
    return RpcError(
        "model_does_not_fit",
        lack.message,
        remedy=lack.remedy,
        model=model.name,
        needed=lack.needed,
        available=lack.available,
    )


def _lack(model: Model, needed: int, available: int, of: str) -> _Lack:
    available = max(0, available)
    message = (
        f"The model {model.name} is expected to need {needed / 1e6:,.0f} MB of {of}; "
        f"{available / 1e6:,.0f} MB are left for it."
    )
    return _Lack(message, needed, available, lambda each: True)


def _wall_time(monotonic: float) -> str:
    """A time of the monotonic clock as UTC in ISO 8601."""
    return timestamp(time.time() + monotonic - time.monotonic())
