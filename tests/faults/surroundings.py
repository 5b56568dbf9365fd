"""Faults of the machine: clocks jump, it sleeps, descriptors or threads run out."""

from __future__ import annotations

import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.rig import Run, Worker, kind_of, kinds_of


def a_clock_that_jumps_changes_no_reply_and_unloads_nothing(run: Run) -> None:
    """Changes Python's time of day, but not the monotonic clock, which all waiting uses."""
    worker = run.worker("--keep-alive", "60")
    worker.ask("ping")
    ids = [worker.transcribe(), worker.transcribe(formats=["srt"])]
    engine = run.engine()
    run.moment(1.0)
    jump = run.rng.choice([-1, 1]) * run.rng.uniform(60, 10 * 365 * 86_400)
    run.command(worker.pid, f"clock {jump}")
    run.command(engine, f"clock {-jump}")
    assert kind_of(worker.ask("jobs/list")) == "result"
    assert set(kinds_of(worker.wait(*ids))) == {"result"}
    assert kind_of(worker.wait(worker.transcribe())[0]) == "result"
    listed = worker.ask("models/list", {"cachedOnly": True})["result"]["models"]
    (model,) = [each for row in listed for each in row["loaded"]]
    assert (model["processId"], model["loads"]) == (engine, 1)
    assert worker.finish() == 0


def a_machine_that_sleeps_in_between_loses_nothing(run: Run) -> None:
    worker = run.worker()
    ids = [worker.transcribe(), worker.transcribe(formats=["srt"])]
    run.moment(1.5)
    processes = run.processes()
    run.rng.shuffle(processes)
    for pid in processes:
        run.kill(pid, signal.SIGSTOP)
    run.moment(1.0)
    for pid in reversed(processes):
        run.kill(pid, signal.SIGCONT)
    replies = worker.wait(*ids)
    assert set(kinds_of(replies)) == {"result"}, replies
    assert worker.finish() == 0


def a_front_without_descriptors_refuses_and_recovers(run: Run) -> None:
    worker, ids = _front_at_work(run)
    # At any number from no free descriptor to one too few.
    _limit(worker.pid, run.rng.randrange(_open(worker.pid), _open(worker.pid) + 12))
    ids += _more_work(worker)
    replies = worker.wait(*ids)
    refusals = {"engine_start_failed", "storage_failed", "audio_not_readable", "engine_crashed"}
    refusals |= {"internal_error"}  # it cannot import modules any more
    assert set(kinds_of(replies)) <= {"result", *refusals}, replies
    _limit(worker.pid, 1024)
    _recovered(worker)


def a_front_that_gets_no_more_threads_refuses_and_recovers(run: Run) -> None:
    worker, ids = _front_at_work(run)
    run.command(worker.pid, f"threads {run.rng.randrange(20)}")
    ids += _more_work(worker)
    worker.cancel(run.rng.choice(ids))
    replies = worker.wait(*ids)
    refusals = {"out_of_memory", "engine_start_failed", "cancelled"}
    assert set(kinds_of(replies)) <= {"result", *refusals}, replies
    run.command(worker.pid, "threads -1")
    _recovered(worker)


def an_engine_without_descriptors_answers_and_recovers(run: Run) -> None:
    worker = run.worker()
    kind = run.rng.choice(["whisper", "audio"])
    formats: dict[str, Any] = {"formats": ["srt"]} if kind == "audio" else {}
    ids = [worker.transcribe(**formats) for _ in range(2)]
    engine = run.engine(kind)
    run.moment(1.2)
    with suppress(OSError):
        _limit(engine, _open(engine) + run.rng.randrange(4))
    ids.append(worker.transcribe(**formats))
    replies = worker.wait(*ids)
    # An import may fail while it starts.
    refusals = {"audio_not_readable", "audio_invalid", "storage_failed", "engine_crashed"}
    refusals |= {"engine_unavailable", "internal_error", "model_invalid"}
    assert set(kinds_of(replies)) <= {"result", *refusals}, replies
    with suppress(OSError):
        _limit(engine, 1024)
    assert kind_of(worker.wait(worker.transcribe(**formats))[0]) == "result"
    assert worker.finish() == 0


def _front_at_work(run: Run) -> tuple[Worker, list[int]]:
    """A worker at a random moment of its first or second work, and its request ids."""
    worker = run.worker()
    worker.ask("ping")
    if run.rng.random() < 0.5:
        worker.wait(worker.transcribe())
    ids = [worker.transcribe(formats=["srt"]), worker.transcribe()]
    run.moment(0.3)
    return worker, ids


def _more_work(worker: Worker) -> list[int]:
    """Send requests to a front that lacks something; it must still answer a ping."""
    ids = [worker.transcribe(formats=["srt"]), worker.transcribe(vadFilter=True)]
    assert kind_of(worker.ask("ping")) == "result"
    return ids


def _recovered(worker: Worker) -> None:
    """Check that a front that lacks nothing any more works."""
    for _ in range(2):
        assert kind_of(worker.wait(worker.transcribe(formats=["srt"]))[0]) == "result"
    assert worker.finish() == 0


def _open(pid: int) -> int:
    """One more than the highest open descriptor."""
    return max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1


def _limit(pid: int, number: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, hard))
    assert Path(f"/proc/{pid}").exists()
