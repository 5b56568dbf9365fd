"""Faults of engines that die, hang, babble or fork: at most one error, then the next job works."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from tests.faults.rig import Reply, Run, Worker, kind_of, kinds_of
from tests.support import alive, wait_until
from worker.system.log import LEVEL_VARIABLE


def an_engine_that_segfaults_is_one_typed_error(run: Run) -> None:
    _strike(run, _deadly(lambda engine: run.command(engine, "segfault")), "engine_crashed")


def an_engine_that_aborts_is_one_typed_error(run: Run) -> None:
    _strike(run, _deadly(lambda engine: run.command(engine, "abort")), "engine_crashed")


def an_engine_killed_for_its_memory_is_one_typed_error(run: Run) -> None:
    _strike(run, _deadly(run.kill), "engine_crashed")


def an_engine_whose_memory_is_limited_is_one_typed_error(run: Run) -> None:
    limited = []

    def limit(engine: int) -> None:
        size = run.rng.randrange(1 << 20, 1 << 30)
        resource.prlimit(engine, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        limited.append(engine)

    def relieve() -> None:
        for engine in filter(alive, limited):
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(engine, resource.RLIMIT_AS, unlimited)

    # How a library reports it varies.
    _strike(
        run,
        limit,
        *("engine_crashed", "out_of_memory", "engine_unavailable", "internal_error"),
        *("audio_invalid", "model_invalid"),
        relieve=relieve,
    )


def an_engine_that_hangs_in_native_code_is_ended_by_cancel(run: Run) -> None:
    _hang(run, lambda engine: run.command(engine, "hang"))


def an_engine_that_is_stopped_is_ended_by_cancel(run: Run) -> None:
    _hang(run, lambda engine: run.kill(engine, signal.SIGSTOP))


def rubbish_from_an_engine_reaches_nobody_and_costs_no_reply(run: Run) -> None:
    content = run.rng.choice(
        [
            run.rng.randbytes(run.rng.randrange(1, 300)),
            b'{"jsonrpc":"2.0","id":0,"result":',
            b"downloading: 100%",
            b'{"jsonrpc":"2.0","method":"$/pro',
            b"{}",
        ]
    )
    end = run.rng.choice([b"", b"\n", b"\r\n", b"\n\n"])
    worker = _strike(
        run, lambda engine: run.command(engine, f"write {(content + end).hex()}"), "engine_crashed"
    )
    assert worker.messages == []


def what_an_engine_prints_from_c_is_not_in_the_stream(run: Run) -> None:
    worker = _strike(
        run, lambda engine: run.command(engine, "say overheard"), **{LEVEL_VARIABLE: "debug"}
    )
    assert worker.messages == []
    assert "overheard" in worker.stderr.read_text()


def an_engine_that_forks_leaves_no_child_behind(run: Run) -> None:
    _strike(run, lambda engine: run.command(engine, "fork"))


def an_engine_that_forks_and_dies_is_noticed_though_its_child_holds_the_pipes(run: Run) -> None:
    def fork_and_die(engine: int) -> None:
        run.command(engine, "fork")
        wait_until(lambda: not alive(engine) or len(_kin(run, engine)) > 0)
        run.kill(engine, run.rng.choice([signal.SIGKILL, signal.SIGSEGV]))

    worker = _strike(run, _deadly(fork_and_die), "engine_crashed", finish=False)
    wait_until(lambda: len(run.processes()) <= 3)  # front, engine, and perhaps the audio helper
    assert worker.finish() == 0


def the_front_goes_on_when_every_engine_dies_again_and_again(run: Run) -> None:
    worker = run.worker()
    ids = []
    for _ in range(3):
        ids.append(worker.transcribe(formats=["srt"]))
        kind = run.rng.choice(["whisper", "audio"])
        run.kill(run.engine(kind))
        run.moment(0.2)
    replies = worker.wait(*ids)
    assert set(kinds_of(replies)) <= {"result", "engine_crashed"}
    assert kind_of(worker.wait(worker.transcribe())[0]) == "result"
    assert worker.finish() == 0


def _deadly(strike: Callable[[int], None]) -> Callable[[int], None]:
    """A strike that waits for the engine's death: until then it might accept the next request."""

    def until_dead(engine: int) -> None:
        strike(engine)
        wait_until(lambda: not alive(engine))

    return until_dead


def _kin(run: Run, engine: int) -> list[int]:
    """The other processes in the engine's process group."""
    return [pid for pid in run.processes() if pid != engine and os.getpgid(pid) == engine]


def _strike(
    run: Run,
    strike: Callable[[int], None],
    *allowed: str,
    relieve: Callable[[], None] = lambda: None,
    finish: bool = True,
    **environment: str,
) -> Worker:
    """Cause a fault in an engine at a random moment, with work that it may hit."""
    worker = run.worker(**environment)
    kind = run.rng.choice(["whisper", "whisper", "whisper", "audio"])
    formats: dict[str, Any] = {"formats": ["srt"]} if kind == "audio" else {}
    ids = [worker.transcribe(**formats) for _ in range(2)]
    engine = run.engine(kind)
    run.moment(1.2)
    strike(engine)
    replies = worker.wait(*ids)
    assert set(kinds_of(replies)) <= {"result", *allowed}, _short(replies)
    relieve()
    after = worker.wait(worker.transcribe(**formats))
    assert kind_of(after[0]) == "result", _short(after)
    if finish:
        assert worker.finish() == 0
    return worker


def _hang(run: Run, strike: Callable[[int], None]) -> None:
    worker = run.worker("--cancel-grace", "0.2")
    ids = [worker.transcribe() for _ in range(2)]
    engine = run.engine()
    run.moment(1.2)
    strike(engine)
    run.moment(0.3)
    assert kind_of(worker.ask("ping")) == "result"
    for id_ in ids:
        worker.cancel(id_)
    assert set(kinds_of(worker.wait(*ids))) <= {"cancelled", "result"}
    assert kind_of(worker.wait(worker.transcribe())[0]) == "result"
    assert worker.finish() == 0


def _short(replies: list[Reply]) -> str:
    return str([each.get("error", "result") for each in replies])[:2000]
