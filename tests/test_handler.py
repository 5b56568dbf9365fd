"""The handler lane: jsonrpcserver with its gaps closed."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from protocol.conformance import Session as ConformanceSession
from protocol.conformance import Vector, load_vectors
from protocol.errors import RpcError
from tests.support import PATIENCE, Session
from worker.session.dispatcher import Dispatcher
from worker.session.job import Job
from worker.session.lane import Lane
from worker.session.writer import Writer
from worker.system.limits import SessionLimits
from worker.system.log import Log

SPEC_SERVER = [sys.executable, "-m", "tests.spec_server"]
EXAMPLES = load_vectors("core", "specification/")


@pytest.fixture(scope="module")
def literal() -> Iterator[ConformanceSession]:
    session = ConformanceSession(SPEC_SERVER)
    yield session
    assert session.close() is None


@pytest.fixture(scope="module")
def spec() -> Iterator[Session]:
    with Session(SPEC_SERVER) as session:
        yield session


@pytest.mark.parametrize("vector", EXAMPLES, ids=lambda vector: vector.full_name)
def test_the_specifications_examples_hold_literally(
    literal: ConformanceSession, vector: Vector
) -> None:
    failure = literal.run(vector)
    assert failure is None, str(failure)
    assert literal.has_examples


def test_params_that_do_not_fit_the_signature(spec: Session) -> None:
    for params in ([1], [1, 2, 3], {"minuend": 1}, {"minuend": 1, "subtrahend": 2, "more": 3}):
        with pytest.raises(RpcError) as caught:
            spec.call("subtract", params)
        assert caught.value.kind == "invalid_params"


@pytest.mark.parametrize("method", ["unserialisable", "leave", "fail"])
def test_whatever_a_method_does_gives_one_error_and_the_lane_goes_on(
    spec: Session, method: str
) -> None:
    with pytest.raises(RpcError) as caught:
        spec.call(method)
    assert caught.value.kind == "internal_error"
    assert "secret" not in str(caught.value.data) + caught.value.message
    assert spec.call("subtract", [42, 23]) == 19


def test_without_a_thread_one_job_fails_and_the_next_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read_end, write_end = os.pipe()
    writer = Writer(write_end, lambda: None)
    log = Log("test", "error")
    dispatcher = Dispatcher(
        writer,
        log,
        requests={},
        notifications={},
        lanes={"work": Lane({"work": lambda job: "done"}, log)},
        answer_cancelled=True,
    )
    request = b'{"jsonrpc":"2.0","id":1,"method":"work"}'
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread_is_left)
        refused = json.loads(dispatcher.receive(request))["error"]["data"]
    assert refused["kind"] == "out_of_memory"
    assert "limits" in refused["remedy"]
    assert dispatcher.wait_idle(0)
    assert dispatcher.receive(request) == b""
    assert dispatcher.wait_idle(PATIENCE)
    writer.flush()
    assert json.loads(os.read(read_end, 1000))["result"] == "done"


def no_thread_is_left(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_jobs_beyond_the_limit_are_busy_and_cancelled_ones_do_not_count() -> None:
    read_end, write_end = os.pipe()
    writer = Writer(write_end, lambda: None)
    log = Log("test", "error")
    gate = threading.Event()

    def wait(job: Job) -> str:
        gate.wait()
        return "done"

    dispatcher = Dispatcher(
        writer,
        log,
        requests={},
        notifications={},
        lanes={"wait": Lane({"wait": wait}, log)},
        answer_cancelled=True,
        limits=SessionLimits(max_open_jobs=3),
    )

    def send(id_: int) -> bytes:
        return dispatcher.receive(b'{"jsonrpc":"2.0","id":%d,"method":"wait"}' % id_)

    assert [send(id_) for id_ in (1, 2, 3)] == [b"", b"", b""]
    refused = json.loads(send(4))["error"]["data"]
    assert (refused["kind"], refused["limit"]) == ("busy", 3)
    dispatcher.receive(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":2}}')
    assert send(5) == b""
    gate.set()
    assert dispatcher.wait_idle(PATIENCE)
    writer.flush()
    replies = {each["id"]: each for each in map(json.loads, os.read(read_end, 65536).splitlines())}
    assert {id_: reply.get("result") for id_, reply in replies.items()} == {
        1: "done",
        2: None,
        3: "done",
        5: "done",
    }
    assert replies[2]["error"]["data"]["kind"] == "cancelled"
    os.close(read_end)
    os.close(write_end)
