"""The life of models in the managers: shared, kept, evicted, given back; with scripted engines."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from protocol.envelope import Call
from protocol.errors import RpcError
from tests.support import PATIENCE, wait_until, wait_until_gone
from worker.managers import manager, memory
from worker.managers.engine_process import EngineProcess
from worker.managers.lease import Lease
from worker.managers.model import AUDIO, HUB, Model
from worker.managers.pool import ModelPool, Policy
from worker.managers.resolve import alignment_model, diarization_model, recognition_model
from worker.managers.work_queue import WorkQueue
from worker.session.job import Job
from worker.session.writer import Writer
from worker.system.log import Log

# Loads a model as its name tells, and answers other requests with its process id and their params.
ENGINE = """
import json, os, sys, time
from protocol.errors import RpcError
from worker.session.frames import FRAMES
def answer(id, result):
    os.write(1, b"".join(FRAMES.result(b"%d" % id, json.dumps(result).encode())))
for line in sys.stdin:
    ask = json.loads(line)
    if "id" not in ask:
        continue
    params = ask["params"]
    name = params.get("model") if isinstance(params, dict) else None
    if params == "wait" or name == "stuck":
        continue
    if params == "die" or name == "fragile":
        os._exit(3)
    if name == "slow":
        time.sleep(0.3)
    if name == "broken":
        os.write(1, FRAMES.error(b"%d" % ask["id"], RpcError("model_invalid", "Broken")))
    elif ask["method"] == "load":
        answer(ask["id"], {"device": "cpu", "computeType": "int8", "warnings": []})
    else:
        answer(ask["id"], {"pid": os.getpid(), "params": params})
"""
LOG = Log("test", "error")


class Scripted(ModelPool):
    """ModelPool whose engines are scripts."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(LOG, policy)
        self.started: list[EngineProcess] = []
        self.started_at: list[float] = []

    def start(self, model: Model) -> EngineProcess:
        self._watch()
        command = [sys.executable, "-u", "-c", ENGINE]
        engine = EngineProcess(model.name, command, LOG, cancel_grace=0.2)
        self.started.append(engine)
        self.started_at.append(time.monotonic())
        return engine


class Rig:
    """ModelPool, and a pipe in the place of a client."""

    def __init__(self, **policy: Any) -> None:
        self.output, write_end = os.pipe()
        self.writer = Writer(write_end, lambda: None)
        self.pool = Scripted(Policy(**policy))

    @property
    def started(self) -> list[EngineProcess]:
        return self.pool.started

    def job(self, answer: Callable[[tuple[bytes, ...]], None] = lambda reply: None) -> Job:
        return Job(Call("work", b"1", b""), self.writer, answer)

    def lease(self, name: str, **wishes: Any) -> Lease:
        return self.pool.lease(model(name), **wishes)

    def use(
        self, name: str, params: str = "1", job: Job | None = None, **wishes: Any
    ) -> dict[str, Any]:
        """Work that loads a model and calls its engine."""
        caller = job or self.job()
        with self.lease(name, **wishes) as lease:

            def work() -> bytes:
                lease.load(caller)
                return b"".join(lease.call(caller, "work", json.dumps(params).encode()))

            result: dict[str, Any] = json.loads(lease.run(caller, work))
        return result

    def loaded(self) -> list[str]:
        return [model.name for model, _ in self.pool.loaded()]

    def unload(self, name: str | None = None, when_busy: str = "refuse") -> list[str]:
        unloaded = self.pool.unload(self.job(), lambda model: name in (None, model.name), when_busy)
        return [each.model for each in unloaded]

    def until_loaded(self, names: list[str]) -> None:
        """Wait until just these are loaded."""
        wait_until(lambda: self.loaded() == names)


def model(name: str) -> Model:
    return Model("faster-whisper", name, name.encode(), json.dumps({"model": name}).encode())


def aside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Do work on a thread; the function that is returned waits for what came of it."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def outcome() -> Any:
        thread.join(PATIENCE)
        assert not thread.is_alive()
        if errors:
            raise errors[0]
        return results[0]

    return outcome


class Hold:
    """A turn at a model that lasts until it is let go."""

    def __init__(self, rig: Rig, name: str, **wishes: Any) -> None:
        began, self._gate = threading.Event(), threading.Event()
        job = rig.job()

        def run() -> None:
            with rig.lease(name, **wishes) as lease:

                def work() -> None:
                    lease.load(job)
                    began.set()
                    self._gate.wait(PATIENCE)

                lease.run(job, work)

        self._outcome = aside(run)
        assert began.wait(PATIENCE)

    def let_go(self) -> None:
        self._gate.set()
        self._outcome()


@pytest.fixture
def make() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def rig(**policy: Any) -> Rig:
        made.append(Rig(**policy))
        return made[-1]

    yield rig
    for each in made:
        each.pool.close()
        os.close(each.output)


@pytest.fixture
def rig(make: Callable[..., Rig]) -> Rig:
    return make()


@pytest.fixture
def wait_until_queued(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Wait until so many pieces of work have been queued since the test began."""
    queued: list[object] = []
    put = WorkQueue.put

    def note(queue: WorkQueue[Any], item: object, priority: Any) -> None:
        put(queue, item, priority)
        queued.append(item)

    monkeypatch.setattr(WorkQueue, "put", note)

    def wait(count: int) -> None:
        wait_until(lambda: len(queued) >= count)

    return wait


# Loading


def test_a_model_that_is_loaded_is_not_loaded_again(rig: Rig) -> None:
    assert rig.use("a")["pid"] == rig.use("a")["pid"]
    assert len(rig.started) == 1


def test_twenty_requests_for_one_model_at_once_cause_one_load(rig: Rig) -> None:
    outcomes = [aside(lambda: rig.use("slow")) for _ in range(20)]
    assert len({outcome()["pid"] for outcome in outcomes}) == 1
    ((_, info),) = rig.pool.loaded()
    assert (info.loads, len(rig.started)) == (1, 1)


def test_models_have_processes_of_their_own_side_by_side(rig: Rig) -> None:
    assert rig.use("a")["pid"] != rig.use("b")["pid"]
    assert [engine.alive for engine in rig.started] == [True, True]


def test_a_failed_load_fails_all_its_waiters_and_ends_the_process(
    rig: Rig, wait_until_queued: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.use("a")
    start = rig.pool.start

    def start_late(model: Model) -> EngineProcess:
        wait_until_queued(6)
        return start(model)

    monkeypatch.setattr(rig.pool, "start", start_late)
    outcomes = [aside(lambda: rig.use("broken")) for _ in range(5)]
    for outcome in outcomes:
        with pytest.raises(RpcError) as caught:
            outcome()
        assert caught.value.kind == "model_invalid"
    assert len(rig.started) == 2
    assert rig.loaded() == ["a"]
    wait_until_gone([engine.pid for engine in rig.started[1:]])


def test_a_request_after_a_load_that_failed_tries_again(rig: Rig) -> None:
    for _ in range(2):
        with pytest.raises(RpcError, match="Broken"):
            rig.use("broken")
    assert len(rig.started) == 2


def test_cancelling_one_who_waits_for_a_load_leaves_it_to_the_others(
    rig: Rig, wait_until_queued: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = rig.job(), rig.job()
    start = rig.pool.start

    def start_late(model: Model) -> EngineProcess:
        wait_until_queued(2)
        first.stop("client")
        return start(model)

    monkeypatch.setattr(rig.pool, "start", start_late)
    outcomes = [aside(lambda job=job: rig.use("a", job=job)) for job in (first, second)]
    with pytest.raises(RpcError, match="cancelled"):
        outcomes[0]()
    assert outcomes[1]()["pid"] == rig.started[0].pid
    assert len(rig.started) == 1


def test_a_load_that_nobody_waits_for_any_more_is_stopped(rig: Rig) -> None:
    jobs = [rig.job(), rig.job()]
    outcomes = [aside(lambda job=job: rig.use("stuck", job=job)) for job in jobs]
    wait_until(lambda: rig.started)
    for job in jobs:
        job.stop("shutdown")
    for outcome in outcomes:
        with pytest.raises(RpcError) as caught:
            outcome()
        assert caught.value.data == {"kind": "cancelled", "by": "shutdown"}
    wait_until_gone([rig.started[0].pid])


# Crashes


def test_an_engine_that_died_is_started_again_with_its_model(rig: Rig) -> None:
    rig.use("a")
    with pytest.raises(RpcError, match="exited with code 3"):
        rig.use("a", "die")
    assert rig.loaded() == []
    assert rig.use("a")["params"] == "1"
    assert len(rig.started) == 2


def test_an_idle_engine_that_does_not_answer_is_started_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_ANSWER_SECONDS", 0.3)
    frozen = rig.use("a")["pid"]
    os.kill(frozen, signal.SIGSTOP)
    assert rig.use("a")["pid"] != frozen
    wait_until_gone([frozen])


def test_an_engine_that_cannot_be_measured_works(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = rig.use("a")["pid"]
    with monkeypatch.context() as patch:
        patch.setattr(memory, "resident", no_descriptor_is_left)
        assert rig.use("a")["pid"] == pid
        with pytest.raises(OSError, match="Too many"):
            rig.use("b")
    assert rig.use("b")["pid"] != pid
    assert rig.use("a", keep_alive=0)["pid"] == pid
    rig.until_loaded(["b"])


@pytest.mark.parametrize("number", range(5))
def test_without_a_thread_one_job_fails_and_no_process_stays(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    others = children()  # of tests that were before
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_some(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == number + 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_some)
        with pytest.raises((RuntimeError, RpcError), match="start"):
            rig.use("a")
    assert len(started) == number + 1
    assert rig.loaded() == []
    assert rig.use("a")["params"] == "1"
    assert len(children() - others) == 1


def children() -> set[int]:
    """Processes that this one has started, and not buried."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found.update(map(int, task.read_text().split()))
    return found


def no_descriptor_is_left(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_crashing_engine_restarts_at_growing_intervals(rig: Rig) -> None:
    for _ in range(4):
        with pytest.raises(RpcError, match="exited with code 3"):
            rig.use("fragile")
    _, second, third, fourth = rig.pool.started_at
    assert third - second >= 0.5
    assert fourth - third >= 1.0
    assert rig.use("a")["params"] == "1"  # another model does not wait


def test_a_wait_for_the_next_start_is_ended_by_cancel(rig: Rig) -> None:
    for _ in range(4):
        with pytest.raises(RpcError, match="exited"):
            rig.use("fragile")
    job = rig.job()
    outcome = aside(lambda: rig.use("fragile", job=job))
    job.stop("client")
    with pytest.raises(RpcError, match="cancelled"):
        outcome()
    assert len(rig.started) == 4


# Keeping


def test_a_model_is_unloaded_when_nobody_has_asked_for_it_for_long_enough(
    make: Callable[..., Rig],
) -> None:
    rig = make(keep_alive=0.2)
    rig.use("a", keep_alive=3600)
    ((_, info),) = rig.pool.loaded()
    assert info.state == "idle"
    assert info.expires_at and info.idle_since and info.expires_at > info.idle_since
    rig.use("a")
    rig.until_loaded([])
    wait_until_gone([rig.started[0].pid])


def test_who_used_a_model_last_says_how_long_it_is_kept(make: Callable[..., Rig]) -> None:
    rig = make(keep_alive=0.1)
    rig.use("a", keep_alive="forever")
    rig.use("b", keep_alive=0)
    rig.until_loaded(["a"])
    ((_, info),) = rig.pool.loaded()
    assert info.expires_at is None
    rig.use("a")
    rig.until_loaded([])


def test_a_model_in_use_never_expires(make: Callable[..., Rig]) -> None:
    rig = make(keep_alive=0.05)
    lease = rig.lease("a")
    rig.use("a")
    time.sleep(0.3)
    ((_, info),) = rig.pool.loaded()
    assert (info.state, info.jobs, info.expires_at) == ("busy", 1, None)
    lease.release()
    rig.until_loaded([])


# Room


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A machine whose models are expected to take 100 bytes each, and take them."""
    sizes = {"model": 100, "own": 10, "available": 10**12}
    monkeypatch.setattr(memory, "RESERVE", 0)
    monkeypatch.setattr(memory, "own", lambda: sizes["own"])
    monkeypatch.setattr(memory, "resident", lambda pid: sizes["model"])
    monkeypatch.setattr(memory, "estimate", lambda *_: memory.Estimate(100, 0))
    monkeypatch.setattr(memory, "system", lambda: memory.SystemMemory(10**12, sizes["available"]))
    return sizes


def test_the_model_unused_for_longest_goes_when_another_needs_room(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=210)
    for name in ("a", "b", "a", "c"):
        rig.use(name)
    assert sorted(rig.loaded()) == ["a", "c"]


def test_no_more_models_are_loaded_than_allowed(make: Callable[..., Rig]) -> None:
    rig = make(max_loaded=2)
    for name in ("a", "b", "c"):
        rig.use(name)
    assert sorted(rig.loaded()) == ["b", "c"]


def test_a_model_that_would_not_fit_alone_is_refused_with_the_figures(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=109)
    with pytest.raises(RpcError) as caught:
        rig.use("a")
    assert caught.value.kind == "model_does_not_fit"
    assert (caught.value.data["needed"], caught.value.data["available"]) == (100, 99)
    assert not rig.started
    machine["available"] = 50
    with pytest.raises(RpcError) as caught:
        make().use("a")
    assert caught.value.data["available"] == 50


def test_a_busy_model_is_not_taken_away_but_goes_before_its_next_turn(
    make: Callable[..., Rig],
    machine: dict[str, int],
    wait_until_queued: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = make(budget=110)
    hold = Hold(rig, "a")
    job, told = rig.job(), threading.Event()
    monkeypatch.setattr(job, "report", lambda report: told.set())
    other = aside(lambda: rig.use("b", job=job))
    assert told.wait(PATIENCE)  # that it waits for memory
    again = aside(lambda: rig.use("a"))
    wait_until_queued(3)
    assert rig.loaded() == ["a"]
    hold.let_go()
    other()
    again()
    order = [engine.name for engine in rig.started]
    assert order == ["a", "b", "a"]


def test_many_jobs_of_more_models_than_fit_all_end(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=210)
    outcomes = [aside(lambda name=name: rig.use(name)) for name in "abcd" * 5]
    for outcome in outcomes:
        outcome()
    assert len(rig.loaded()) <= 2


def test_a_load_ahead_of_time_takes_nothing_from_other_jobs(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=110)
    rig.use("a")
    with rig.lease("a"), rig.lease("b") as lease:
        job = rig.job()
        lease.run(job, lambda: lease.preload(job))
        assert rig.loaded() == ["a"]
        lease.run(job, lambda: lease.load(job))
        assert rig.loaded() == ["b"]


def test_a_model_fits_onto_a_device_or_waits_for_the_room_of_another(
    make: Callable[..., Rig], machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make()

    def devices(_: object) -> list[memory.DeviceMemory]:
        taken = 60 * len([each for each in rig.loaded() if each != "cpu"])
        return [memory.DeviceMemory(100, 100 - taken)]

    monkeypatch.setattr(memory, "estimate", lambda *asked: memory.Estimate(1, 60 * asked[3]))
    monkeypatch.setattr(memory.Devices, "memory", devices)

    def use(name: str, device: str) -> None:
        job = rig.job()
        chosen = model(name)._replace(device=device)
        with rig.pool.lease(chosen) as lease:
            lease.run(job, lambda: lease.load(job))

    use("cpu", "cpu")
    use("a", "cuda")
    assert sorted(rig.loaded()) == ["a", "cpu"]
    use("b", "cuda")
    assert sorted(rig.loaded()) == ["b", "cpu"]  # what is on no device gives no room there
    monkeypatch.setattr(memory, "estimate", lambda *asked: memory.Estimate(1, 101 * asked[3]))
    with pytest.raises(RpcError) as caught:
        use("c", "cuda")
    assert caught.value.kind == "model_does_not_fit"
    assert "CUDA device 0" in caught.value.message
    assert 'device "cpu"' in caught.value.data["remedy"]


def test_what_a_model_was_seen_to_take_replaces_what_was_expected(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=400)
    assert rig.pool.expected_memory(model("a")) == 100
    machine["model"] = 250
    rig.use("a")
    assert rig.pool.expected_memory(model("a")) == 250
    rig.use("b")
    rig.until_loaded(["b"])


def test_idle_models_go_when_the_budget_turns_out_to_be_exceeded(
    make: Callable[..., Rig], machine: dict[str, int]
) -> None:
    rig = make(budget=400)
    rig.use("a")
    rig.use("b")
    machine["model"] = 300
    rig.use("b")
    rig.until_loaded(["b"])


# Unloading


def test_unloading_ends_the_process_and_tells_what_it_was(rig: Rig) -> None:
    rig.use("a")
    rig.use("b")
    assert rig.unload("a") == ["a"]
    wait_until_gone([rig.started[0].pid])
    assert rig.loaded() == ["b"]
    assert rig.unload("a") == []


def test_a_model_in_use_is_not_unloaded_and_none_is_with_it(rig: Rig) -> None:
    rig.use("b")
    hold = Hold(rig, "a")
    with pytest.raises(RpcError) as caught:
        rig.unload()
    assert (caught.value.kind, caught.value.data["model"]) == ("model_busy", "a")
    assert sorted(rig.loaded()) == ["a", "b"]
    assert rig.unload(when_busy="skip") == ["b"]
    waiting = aside(lambda: rig.unload(when_busy="wait"))
    hold.let_go()
    assert waiting() == ["a"]
    assert rig.loaded() == []


# WorkQueue


def test_interactive_turns_come_first_and_a_batch_gets_every_fifth() -> None:
    turns: WorkQueue[str] = WorkQueue()
    for number in range(6):
        turns.put(f"i{number}", "interactive")
    for number in range(3):
        turns.put(f"b{number}", "batch")
    order = [turns.get() for _ in range(len(turns))]
    assert order == ["i0", "i1", "i2", "i3", "b0", "i4", "i5", "b1", "b2"]
    with pytest.raises(IndexError):
        turns.get()


def test_an_interactive_request_overtakes_a_batch_that_waits(
    rig: Rig, wait_until_queued: Callable[[int], None]
) -> None:
    hold = Hold(rig, "a")
    done: list[str] = []
    outcomes: list[Callable[[], Any]] = []
    for name, priority in (("b1", "batch"), ("b2", "batch"), ("i", "interactive")):

        def work(name: str = name, priority: str = priority) -> None:
            with rig.lease("a", priority=priority) as lease:
                lease.run(rig.job(), lambda: done.append(name))

        outcomes.append(aside(work))
        wait_until_queued(1 + len(outcomes))
    hold.let_go()
    for outcome in outcomes:
        outcome()
    assert done == ["i", "b1", "b2"]


def test_work_is_done_one_after_another(rig: Rig) -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        threading.Event().wait(0.01)
        with lock:
            running.pop()

    with rig.lease("a") as lease:
        for outcome in [aside(lambda: lease.run(rig.job(), work)) for _ in range(8)]:
            outcome()
    assert most == [1] * 8


def test_work_that_waits_is_taken_back_by_cancel_and_never_done(rig: Rig) -> None:
    hold = Hold(rig, "a")
    job = rig.job()
    threading.Timer(0.05, job.stop, ["signal"]).start()
    done: list[bool] = []
    with rig.lease("a") as lease, pytest.raises(RpcError) as caught:
        lease.run(job, lambda: done.append(True))
    assert caught.value.data == {"kind": "cancelled", "by": "signal"}
    hold.let_go()
    rig.use("a")
    assert done == []


def test_a_call_that_runs_is_ended_by_cancel(rig: Rig) -> None:
    job = rig.job()
    rig.use("a")
    threading.Timer(0.1, job.stop, ["signal"]).start()
    with pytest.raises(RpcError) as caught:
        rig.use("a", "wait", job)
    assert caught.value.data == {"kind": "cancelled", "by": "signal"}
    assert rig.use("a")["params"] == "1"


def calling(engine: EngineProcess) -> threading.Event:
    """Is set as soon as the engine is called to work."""
    event = threading.Event()
    call = engine.call

    def told(method: str, *args: Any) -> Any:
        if method == "work":
            event.set()
        return call(method, *args)

    engine.call = told  # type: ignore[method-assign]
    return event


def test_a_call_behind_a_cancelled_one_is_served(rig: Rig) -> None:
    job = rig.job()
    rig.use("a")
    called = calling(rig.started[0])
    outcome = aside(lambda: rig.use("a", "wait", job))
    assert called.wait(PATIENCE)
    following = aside(lambda: rig.use("a"))
    job.stop("client")  # its engine does not stop, and is ended
    with pytest.raises(RpcError, match="cancelled"):
        outcome()
    assert following()["pid"] == rig.started[1].pid


def test_a_model_at_work_is_not_unloaded(rig: Rig) -> None:
    hold = Hold(rig, "a")
    with pytest.raises(RpcError) as caught:
        rig.unload("a")
    assert caught.value.kind == "model_busy"
    hold.let_go()


def test_an_engine_that_is_ended_under_a_call_has_crashed(rig: Rig) -> None:
    rig.use("a")
    called = calling(rig.started[0])
    outcome = aside(lambda: rig.use("a", "wait"))
    assert called.wait(PATIENCE)
    rig.pool.close()
    with pytest.raises(RpcError) as caught:
        outcome()
    assert caught.value.kind == "engine_crashed"


def test_a_job_is_answered_with_what_its_work_raises(rig: Rig) -> None:
    replies: list[bytes] = []
    answered = threading.Event()

    def take(reply: tuple[bytes, ...]) -> None:
        replies.append(b"".join(reply))
        answered.set()

    rig.lease("a").answer(rig.job(take), lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    assert answered.wait(PATIENCE)
    error = json.loads(replies[0])["error"]["data"]
    assert (error["kind"], error["exception"]) == ("internal_error", "ZeroDivisionError")


# Names


def _params(type_name: str, **members: Any) -> Any:
    import msgspec

    from protocol import methods

    return msgspec.convert({"audio": "x", **members}, methods.REQUESTS[type_name].params_type)


@pytest.mark.parametrize(
    ("make_model", "same", "other"),
    [
        (
            lambda **m: recognition_model(_params("transcribe", **m), "faster-whisper", False),
            {"beamSize": 1, "download": True},
            {"computeType": "int8"},
        ),
        (
            lambda **m: alignment_model(_params("align", language="en", **m), "en", False),
            {"batchSize": 2, "characters": True, "aligner": "whisperx"},
            {"model": "an/other"},
        ),
        (
            lambda **m: diarization_model(_params("diarize", **m), True),
            {"numSpeakers": 2, "threads": 3},
            {"revision": "abc"},
        ),
    ],
    ids=["recognition", "alignment", "diarization"],
)
def test_what_a_request_does_with_a_model_does_not_make_it_another(
    make_model: Callable[..., Model], same: dict[str, Any], other: dict[str, Any]
) -> None:
    assert make_model(**same).key == make_model().key
    assert make_model(**other).key != make_model().key


def test_the_token_is_in_the_environment_of_the_hubs_engine_alone(rig: Rig) -> None:
    pool = ModelPool(LOG)
    secret = "hf_thisIsSecretToo"
    pool.use_token(secret)
    for model_, given in ((HUB, True), (AUDIO, False)):
        engine = pool.start(model_)
        try:
            assert secret.encode() not in Path(f"/proc/{engine.pid}/cmdline").read_bytes()
            environ = Path(f"/proc/{engine.pid}/environ").read_bytes()
            assert (f"HF_TOKEN={secret}".encode() in environ) == given
        finally:
            engine.stop()


def test_a_new_token_means_a_new_process_for_the_hub(rig: Rig) -> None:
    hub = HUB
    job = rig.job()
    for _ in range(2):
        with rig.pool.lease(hub) as lease:
            lease.run(job, lambda: lease.load(job))
    assert len(rig.started) == 1
    rig.pool.use_token("hf_another")
    with rig.pool.lease(hub) as lease:
        lease.run(job, lambda: lease.load(job))
    assert len(rig.started) == 2
