"""A model manager: one engine, one model, work in turn."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.envelope import Call
from protocol.errors import RpcError
from worker.channel import Writer
from worker.engines.process import EngineProcess
from worker.jobs import Job
from worker.log import Log
from worker.managers.manager import Model, ModelManager
from worker.managers.managers import Managers
from worker.managers.models import alignment_model, diarization_model, recognition_model

# Answers each request with its process id, and what it was asked for.
ENGINE = """
import json, os, sys
for line in sys.stdin:
    ask = json.loads(line)
    if "id" not in ask:
        continue
    if ask["params"] == "wait":
        continue
    if ask["params"] == "die":
        os._exit(3)
    result = {"pid": os.getpid(), "method": ask["method"], "params": ask["params"]}
    text = json.dumps(result, separators=(",", ":"))
    sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":%s}\\n' % (ask["id"], text))
    sys.stdout.flush()
"""
LOG = Log("test", "error")


class Rig:
    """A manager of a scripted engine, and a pipe in the place of a client."""

    def __init__(self) -> None:
        self.output, write_end = os.pipe()
        self.writer = Writer(write_end, lambda: None)
        self.started: list[EngineProcess] = []
        self.manager = ModelManager(self._start, LOG)

    def _start(self) -> EngineProcess:
        command = [sys.executable, "-u", "-c", ENGINE]
        engine = EngineProcess("script", command, self.writer, LOG, cancel_grace=0.2)
        self.started.append(engine)
        return engine

    def job(self) -> Job:
        return Job(Call("work", b"1", b""), self.writer, lambda reply: None)

    def use(self, name: str, params: str = "1", job: Job | None = None) -> dict[str, Any]:
        """Work that loads a model and calls its engine."""
        caller = job or self.job()

        def work() -> bytes:
            self.manager.load(caller, model(name))
            return b"".join(self.manager.call(caller, "work", json.dumps(params).encode()))

        result: dict[str, Any] = json.loads(self.manager.run(caller, work))
        return result


def model(name: str) -> Model:
    return Model("script", name, name.encode(), json.dumps({"model": name}).encode())


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    for engine in made.started:
        engine.stop()
    os.close(made.output)


def test_a_model_that_is_loaded_is_not_loaded_again(rig: Rig) -> None:
    assert rig.use("a")["pid"] == rig.use("a")["pid"]
    assert len(rig.started) == 1


def test_another_model_gets_another_process_and_the_first_is_ended(rig: Rig) -> None:
    first = rig.use("a")
    assert rig.use("b")["pid"] != first["pid"]
    assert [engine.alive for engine in rig.started] == [False, True]


def test_an_engine_that_died_is_started_again_with_its_model(rig: Rig) -> None:
    rig.use("a")
    with pytest.raises(RpcError, match="exited with code 3"):
        rig.use("a", "die")
    assert rig.use("a")["params"] == "1"
    assert len(rig.started) == 2


def test_a_new_token_means_a_new_process_at_the_next_load(rig: Rig) -> None:
    rig.use("a")
    rig.manager.restart()
    rig.use("a")
    rig.use("a")
    assert len(rig.started) == 2


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

    threads = [threading.Thread(target=rig.manager.run, args=(rig.job(), work)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_work_that_waits_is_taken_back_by_cancel_and_never_done(rig: Rig) -> None:
    gate, began = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        gate.wait()

    holder = threading.Thread(target=rig.manager.run, args=(rig.job(), block))
    holder.start()
    began.wait()
    job = rig.job()
    threading.Timer(0.05, job.stop).start()
    done: list[bool] = []
    with pytest.raises(RpcError) as caught:
        rig.manager.run(job, lambda: done.append(True))
    assert caught.value.kind == "cancelled"
    gate.set()
    holder.join()
    rig.use("a")
    assert done == []


def test_a_call_that_runs_is_ended_by_cancel(rig: Rig) -> None:
    job = rig.job()
    rig.use("a")
    threading.Timer(0.1, job.stop).start()
    with pytest.raises(RpcError) as caught:
        rig.use("a", "wait", job)
    assert caught.value.kind == "cancelled"
    assert rig.use("a")["params"] == "1"


def test_a_job_is_answered_with_what_its_work_raises(rig: Rig) -> None:
    replies: list[bytes] = []
    answered = threading.Event()

    def take(reply: tuple[bytes, ...]) -> None:
        replies.append(b"".join(reply))
        answered.set()

    job = Job(Call("work", b"1", b""), rig.writer, take)
    rig.manager.answer(job, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    answered.wait(5)
    error = json.loads(replies[0])["error"]["data"]
    assert (error["kind"], error["exception"]) == ("internal_error", "ZeroDivisionError")


def _params(type_name: str, **members: Any) -> Any:
    import msgspec

    from protocol import methods

    return msgspec.convert({"audio": "x", **members}, methods.REQUESTS[type_name].params_type)


@pytest.mark.parametrize(
    ("make", "same", "other"),
    [
        (
            lambda **m: recognition_model(_params("transcribe", **m)),
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
    make: Callable[..., Model], same: dict[str, Any], other: dict[str, Any]
) -> None:
    assert make(**same).key == make().key
    assert make(**other).key != make().key


def test_a_token_is_in_the_engines_environment_and_not_on_its_command_line(rig: Rig) -> None:
    managers = Managers(rig.writer, LOG)
    managers.use_token("hf_secretsecret")
    engine = managers._start("audio")
    try:
        assert b"secret" not in Path(f"/proc/{engine.pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{engine.pid}/environ").read_bytes()
        assert b"HF_TOKEN=hf_secretsecret" in environ
    finally:
        engine.stop()
