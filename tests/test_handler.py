"""The handler lane: jsonrpcserver with its gaps closed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from protocol.conformance import Session as ConformanceSession
from protocol.conformance import Vector, load_vectors
from protocol.envelope import Call
from protocol.errors import RpcError
from tests.support import Session
from worker.channel import Writer
from worker.handler import HandlerLane
from worker.jobs import Job
from worker.log import Log

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


def test_more_jobs_than_the_limit_are_refused_as_busy_and_cancelled_ones_take_no_place() -> None:
    read_end, write_end = os.pipe()
    writer = Writer(write_end, lambda: None)
    log = Log("test", "error")
    gate = threading.Event()
    started = threading.Event()

    def wait(job: Job) -> str:
        started.set()
        gate.wait()
        return "done"

    lane = HandlerLane({"wait": wait}, log, max_queued=2)

    def submit() -> Job:
        job = Job(Call("wait", b"1", b""), writer, lambda reply: writer.write(*reply))
        lane.submit(job)
        return job

    submit()
    started.wait()
    waiting = [submit(), submit()]
    with pytest.raises(RpcError) as caught:
        submit()
    assert (caught.value.kind, caught.value.data["limit"]) == ("busy", 2)
    waiting[0].cancel(answer=True)
    submit()
    gate.set()
    expected = [b"cancelled", b"done", b"done", b"done"]
    replies = b""
    while replies.count(b"\n") < len(expected):
        replies += os.read(read_end, 4096)
    for line, word in zip(replies.splitlines(), expected, strict=True):
        assert word in line
    os.close(read_end)
    os.close(write_end)
