"""The targets that are fuzzed in-process: each takes bytes, and raises if a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from protocol import methods
from protocol.control import NoParams
from protocol.envelope import Call, parse
from protocol.errors import RpcError
from protocol.framing import OVERSIZE, LineFramer, Oversize
from protocol.params import decode_params
from tests.fuzz import oracle
from tests.fuzz.model import (
    RESULT,
    Model,
    Outcome,
    explain_difference,
    read_answers,
    takes_nothing,
)
from tests.fuzz.transcripts import write_and_read_back
from worker.session.dispatcher import Dispatcher
from worker.session.job import Job
from worker.session.lane import Lane, make_dispatch, typed
from worker.session.writer import Writer
from worker.system.log import Log

PLAIN_DEPTH: Final = 100
"""Nesting depth up to which worker and model must agree. A deeper line may be refused."""

METHODS: Final = {**methods.REQUESTS, **methods.NOTIFICATIONS}


def framing(data: bytes) -> None:
    """However the stream is split, framing yields the same lines."""
    limit, cuts, stream = 3 + (data[0] if data else 0) % 64, data[1:5], data[5:]
    framer = LineFramer(limit)
    lines: list[bytes | Oversize] = []
    at = turn = 0
    while at < len(stream):
        size = 1 + (cuts[turn % len(cuts)] % 32 if cuts else 0)
        lines += framer.feed(stream[at : at + size])
        assert sum(map(len, framer._chunks)) <= limit
        at, turn = at + size, turn + 1
    lines += framer.close()
    expected = oracle.lines_of(stream, limit)
    assert lines == [OVERSIZE if line is None else line for line in expected]


def params(data: bytes) -> None:
    """Params of any method decode to its struct, or to an error that names the member."""
    method = METHODS[sorted(METHODS)[data[0] % len(METHODS)]] if data else METHODS["ping"]
    message = parse(b'{"jsonrpc":"2.0","id":1,"method":"m","params":%b}' % data[1:])
    if not isinstance(message, Call) or oracle.depth(data) > PLAIN_DEPTH:
        return
    type_ = method.params_type
    try:
        found = decode_params(message.params, type_)
    except RpcError as error:
        assert error.kind == "invalid_params"
        assert error.data["path"][0] == "$"
        assert error.message[-1] in ".?"
        msgspec.json.encode(error.to_object())
        return
    written = msgspec.json.encode(found)
    assert msgspec.json.encode(decode_params(written, type_)) == written


def dispatch(data: bytes) -> None:
    """Every request gets one reply, with its id as written and the model's outcome."""
    served, model = _Served(), _model()
    for line in data.split(b"\n"):
        if oracle.depth(line) > PLAIN_DEPTH:
            _dispatch_deep(line)
            continue
        served.receive(line)
        model.receive(line)
    served.end()
    for line in served.lines:
        for answer in read_answers(line):
            assert answer.id == b"null" or answer.id in data
    assert not (difference := explain_difference(served.lines, model.units)), difference


def _dispatch_deep(line: bytes) -> None:
    """The worker may serve or refuse it, but must answer it."""
    served, model = _Served(), _model()
    served.receive(line)
    served.end()
    try:
        model.receive(line)
        expected = len(model.units)
    except RecursionError:
        expected = 1
    assert len(served.lines) == expected


def transcripts(data: bytes) -> None:
    """Independent readers find the transcript's text in every format."""
    write_and_read_back(data)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "framing": framing,
    "params": params,
    "dispatch": dispatch,
    "transcripts": transcripts,
}


class _Output(Writer):
    """Collects the lines that would be written."""

    def __init__(self) -> None:  # without a descriptor and its thread
        self.lines: list[bytes] = []

    def write(self, *chunks: bytes) -> None:
        self.lines.append(b"".join(chunks))


class _WaitingLane(Lane):
    """Runs jobs on demand, on the caller's thread."""

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def run_all(self) -> None:
        """Run the waiting jobs."""
        while self._jobs:
            job = self._jobs.popleft()
            if not job.finished:
                _answer(job)


class _Served:
    """A dispatcher that collects its answers.

    `ping` is answered at once; `work` at `run` or at the end, unless it was cancelled before;
    after `stop` every request is refused.
    """

    def __init__(self) -> None:
        log = Log("fuzz", "error")
        self._output = _Output()
        self.lines = self._output.lines
        """All written lines."""
        self._lane = _WaitingLane({}, log)
        self._dispatcher = Dispatcher(
            self._output,
            log,
            requests={"ping": lambda raw: _nothing(raw, b"{}"), "stop": self._stop},
            notifications={"run": self._run},
            lanes={"work": self._lane},
            answer_cancelled=True,
        )

    def receive(self, line: bytes) -> None:
        """Process a line."""
        if reply := self._dispatcher.receive(line):
            self.lines.append(reply)

    def end(self) -> None:
        """Run the remaining work, so that every request is answered."""
        self._lane.run_all()
        assert self._dispatcher.wait_idle(0)

    def _stop(self, raw: bytes) -> bytes:
        self._dispatcher.refusal = RpcError("shutting_down")
        return _nothing(raw, b"null")

    def _run(self, raw: bytes) -> bytes:
        self._lane.run_all()
        return b"null"


def _nothing(raw: bytes, result: bytes) -> bytes:
    decode_params(raw, NoParams)
    return result


def _model() -> Model:
    """The same in the protocol's form."""

    def stop(params: Any) -> Outcome:
        outcome = takes_nothing(params)
        model.refusing = model.refusing or outcome == RESULT
        return outcome

    model = Model(
        {"ping": takes_nothing, "stop": stop},
        {"work": takes_nothing},
        notifications={"run": lambda: model.finish()},
        prompt=True,
    )
    return model


_answer = make_dispatch({"work": typed(lambda job, params: {}, lambda: NoParams)}, Log("fuzz"))
