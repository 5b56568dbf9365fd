"""Runs whole sessions with a worker process, in random order, against the model of the protocol.

The lines are queued until a rule needs an answer, then written whole, byte by byte or in pieces.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.fuzz import oracle
from tests.fuzz.model import RESULT, Model, Outcome, explain_difference, takes_nothing
from tests.support import MODEL, RECORDINGS, WORKER

SECONDS: Final = 120
"""Seconds in which the worker must answer and end; a hang fails here."""

LIMIT: Final = 4096
"""Line limit in bytes, if `initialize` requested it."""

_SPEECH: Final = str(RECORDINGS / "en-01.flac")
_TRANSCRIPT: Final = {"segments": [{"start": 0, "end": 1, "text": "one <two>"}]}
_JOBS: Final[list[tuple[str, Any, Outcome]]] = [
    ("export", {"transcript": _TRANSCRIPT, "formats": ["srt", "json"]}, RESULT),
    ("export", {"transcript": _TRANSCRIPT, "formats": ["srt"], "progressToken": 7}, RESULT),
    ("export", {"transcript": _TRANSCRIPT, "formats": ["doc"]}, oracle.INVALID_PARAMS),
    ("export", {"transcript": _TRANSCRIPT}, oracle.INVALID_PARAMS),
    ("export", [1], oracle.INVALID_PARAMS),
    ("transcribe", {"audio": "no such file.wav", "model": str(MODEL)}, -32010),
    ("transcribe", {"audio": _SPEECH, "model": "no-such-model"}, -32020),
    ("transcribe", {"audio": _SPEECH, "beamSzie": 1}, oracle.INVALID_PARAMS),
    ("transcribe", {}, oracle.INVALID_PARAMS),
    ("diarize", {"audio": "no such file.wav"}, -32010),
]
_SPEAKING: Final = (
    "transcribe",
    {"audio": _SPEECH, "model": str(MODEL), "end": 1.0, "partialResultToken": "p"},
    RESULT,
)
_LIMITS: Final[list[tuple[Any, Outcome]]] = [
    ({}, RESULT),
    ({"maxLineBytes": LIMIT}, RESULT),
    ({"maxLineBytes": 1}, oracle.INVALID_PARAMS),
    ({"maxLine": 1}, oracle.INVALID_PARAMS),
    ([], RESULT),
]

_raw_ids = st.one_of(
    st.integers().map(str),
    st.integers(1, 3).map(str),
    st.sampled_from(
        ["0", "-0", "1.0", "1e2", "-1.5E-3", "18446744073709551616", "9" * 40, "null", '""']
    ),
    st.text(max_size=6).filter(lambda text: text.isprintable() or not text).map(json.dumps),
    st.sampled_from(['"\\u0041\\/\\n"', '"A/\\n"', '"\\ud83d\\ude00"', '"1"', '"é\u2028"']),
).filter(lambda raw: "\\ud8" not in raw.replace('"\\ud83d\\ude00"', ""))
_nothing = st.sampled_from([None, "{}", "[]", "[ ]", "{ }", "[1]", '{"x":1}'])
_controls = st.sampled_from(["ping", "ping", "jobs/list", "nobody/knows", "$/unknown", ""])
_rubbish = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(b"", b" \t\r", b"{", b"}", b"[]", b"[1,{}]", b"null", b'"', b"\xff", b"NaN", b"[,]"),
            *(b'{"jsonrpc":"2.0","id":1,"result":1}', b'{"jsonrpc":"2.0","id":{},"method":"ping"}'),
            *(b'{"jsonrpc":"2.0","id":5}', b'{"jsonrpc":"1.0","id":5,"method":"ping"}'),
            *(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', b'{"id":5,"method":"ping"}'),
            b'{"jsonrpc":"2.0","id":5,"method":"ping","params":3}',
            b'{"jsonrpc":"2.0","id":5,"method":"ping"}{}',
        ]
    ),
).map(lambda line: line.replace(b"\n", b""))


def _line(method: str, params: str | None = None, id_: str | None = None) -> str:
    parts = ['"jsonrpc":"2.0"', f'"method":{json.dumps(method)}']
    parts += [f'"id":{id_}'] if id_ is not None else []
    parts += [f'"params":{params}'] if params is not None else []
    return "{" + ",".join(parts) + "}"


@st.composite
def _requests(draw: st.DrawFn, *, notifications: bool = True) -> str:
    """A request or notification that neither ends the session nor changes its rules."""
    if draw(st.booleans()):
        method, params = draw(_controls), draw(_nothing)
    else:
        method, given, _ = draw(st.sampled_from(_JOBS))
        params = json.dumps(given)
    without_id = notifications and draw(st.integers(0, 4)) == 0
    return _line(method, params, None if without_id else draw(_raw_ids))


class Session(RuleBasedStateMachine):
    """The client, with its own worker process for each example."""

    def __init__(self) -> None:
        super().__init__()
        self._process = subprocess.Popen(
            WORKER,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: list[bytes] = []
        self._arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = b""
        self._threads = [
            threading.Thread(target=read, daemon=True)
            for read in (self._read_output, self._read_errors)
        ]
        for thread in self._threads:
            thread.start()
        self._model = Model(
            {
                "ping": takes_nothing,
                "jobs/list": takes_nothing,
                "shutdown": self._shut_down,
                "initialize": self._initialize,
            },
            {method: self._work(method) for method in ("export", "transcribe", "diarize")},
            notifications={"exit": self._exit, "initialized": lambda: None},
        )
        self._initialized = self._speaks = False
        self._code = 0
        self._limit = 0
        self._pending = b""
        self._marks = 0

    @initialize(draw=st.integers(0, 7))
    def choose(self, draw: int) -> None:
        """Load a model in a few sessions: it takes a second."""
        self._speaks = draw == 7

    @property
    def _running(self) -> bool:
        return not self._model.ended

    @precondition(lambda self: self._running)
    @rule(line=_requests())
    def request(self, line: str) -> None:
        """Send a request or a notification."""
        self._send(line.encode())

    @precondition(lambda self: self._running)
    @rule(line=_requests(notifications=False), copies=st.integers(2, 3))
    def duplicates(self, line: str, copies: int) -> None:
        """Send several requests with one id: each is answered."""
        for _ in range(copies):
            self._send(line.encode())

    @precondition(lambda self: self._running)
    @rule(
        members=st.lists(
            _requests() | st.sampled_from(["1", "[]", "{}", '{"jsonrpc":"2.0","id":3,"result":1}']),
            max_size=5,
        )
    )
    def batch(self, members: list[str]) -> None:
        """Send requests, notifications and invalid members in one line."""
        self._send(f"[{','.join(members)}]".encode())

    @precondition(lambda self: self._running)
    @rule(id_=_raw_ids, more=st.sampled_from(["", ',"x":1']))
    def cancel(self, id_: str, more: str) -> None:
        """Cancel a request that is open, was answered or never existed."""
        self._send(_line("$/cancelRequest", f'{{"id":{id_}{more}}}').encode())

    @precondition(lambda self: self._running)
    @rule(id_=_raw_ids, request=_requests(notifications=False))
    def work_and_cancel(self, id_: str, request: str) -> None:
        """Send a cancel right after its request, perhaps with the id written differently."""
        method, params, _ = _SPEAKING if self._speaks else _JOBS[0]
        self._send(_line(method, json.dumps(params), id_).encode())
        self._send(request.encode())
        again = json.dumps(json.loads(id_)) if id_.startswith('"') else id_
        self._send(_line("$/cancelRequest", f'{{"id":{again}}}').encode())

    @precondition(lambda self: self._running and self._speaks)
    @rule(id_=_raw_ids)
    def speak(self, id_: str) -> None:
        """Send a transcription."""
        method, params, _ = _SPEAKING
        self._send(_line(method, json.dumps(params), id_).encode())

    @precondition(lambda self: self._running)
    @rule(line=_rubbish)
    def rubbish(self, line: bytes) -> None:
        """Send a line that is not a request."""
        self._send(line)

    @precondition(lambda self: self._running)
    @rule(given=st.sampled_from(_LIMITS), id_=st.none() | _raw_ids)
    def initialise(self, given: tuple[Any, Outcome], id_: str | None) -> None:
        """Initialize, perhaps again; the limit applies to lines sent after the answer."""
        self._send(_line("initialize", json.dumps(given[0]), id_).encode())
        self._catch_up()

    @precondition(lambda self: self._running and self._limit)
    @rule(size=st.sampled_from([LIMIT, LIMIT + 1, 3 * LIMIT]), id_=_raw_ids)
    def long_line(self, size: int, id_: str) -> None:
        """Send a line of the maximum length, or longer."""
        line = _line("ping", None, id_).encode()
        self._send(line + b" " * (size - len(line)))

    @precondition(lambda self: self._running)
    @rule()
    def catch_up(self) -> None:
        """Wait until the worker has read everything."""
        self._catch_up()

    @precondition(lambda self: self._running)
    @rule(id_=st.none() | _raw_ids, params=_nothing)
    def shut_down(self, id_: str | None, params: str | None) -> None:
        """Shut down: from then on, new requests are refused."""
        self._send(_line("shutdown", params, id_).encode())

    @precondition(lambda self: self._running)
    @rule(after=st.lists(_requests(), max_size=2))
    def exit(self, after: list[str]) -> None:
        """Send exit; lines sent after it may or may not be answered."""
        self._send(_line("exit").encode())
        for each in after:
            self._send(each.encode())

    @rule(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=3))
    def write_in_pieces(self, sizes: list[int]) -> None:
        """Write the queued lines, split anywhere."""
        at = turn = 0
        while at < len(self._pending):
            size = sizes[turn % len(sizes)]
            self._write(self._pending[at : at + size])
            at, turn = at + size, turn + 1
        self._pending = b""

    @rule()
    def write_at_once(self) -> None:
        """Write the queued lines, many at once."""
        self._write(self._pending)
        self._pending = b""

    def teardown(self) -> None:
        """End the input: the worker must answer everything and end with the right exit code."""
        try:
            self.write_at_once()
            assert self._process.stdin is not None
            self._process.stdin.close()
            while (line := self._arrived.get(timeout=SECONDS)) is not None:
                self._take(line)
            assert self._process.wait(SECONDS) == self._code, self._errors.decode()
            self._threads[1].join(SECONDS)
            difference = explain_difference(self._lines, self._model.units)
            assert not difference, difference
            assert b"Traceback" not in self._errors, self._errors.decode()
        finally:
            self._process.kill()
            self._process.wait()
            for thread in self._threads:
                thread.join(SECONDS)

    # Calls to the model

    def _shut_down(self, params: Any) -> Outcome:
        outcome = takes_nothing(params)
        self._model.refusing = self._model.refusing or outcome == RESULT
        return outcome

    def _initialize(self, params: Any) -> Outcome:
        outcome = next(each for given, each in _LIMITS if _plain(given) == params)
        if outcome == RESULT and self._initialized:
            return oracle.INVALID_REQUEST
        if outcome == RESULT:
            self._initialized = True
            self._limit = LIMIT if params and "maxLineBytes" in params else 0
        return outcome

    def _exit(self) -> None:
        if self._running:
            self._code = 0 if self._model.refusing else 1
            self._model.end()

    @staticmethod
    def _work(method: str) -> Any:
        outcomes = [(_plain(p), o) for m, p, o in [*_JOBS, _SPEAKING] if m == method]
        return lambda params: next(each for given, each in outcomes if given == params)

    # The pipes

    def _send(self, line: bytes) -> None:
        self._pending += line + b"\n"
        self._model.receive(None if self._limit and len(line) > self._limit else line)

    def _catch_up(self) -> None:
        """Wait for the answers to everything that is answered immediately."""
        self._marks += 1
        mark = f'"mark {self._marks}"'
        self._send(_line("ping", None, mark).encode())
        self.write_at_once()
        while f'"id":{mark}'.encode() not in (line := self._next()):
            pass
        assert line

    def _next(self) -> bytes:
        line = self._arrived.get(timeout=SECONDS)
        assert line is not None, "the worker ended"
        self._take(line)
        return line

    def _take(self, line: bytes) -> None:
        if not line.startswith(b'{"jsonrpc":"2.0","method":"$/'):  # progress is not a reply
            self._lines.append(line)

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            while data:
                data = data[os.write(self._process.stdin.fileno(), data) :]
        except BrokenPipeError:  # it may end before it has read what follows exit
            assert self._model.ended

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with (
            self._process.stdout,
            open(self._process.stdout.fileno(), "rb", closefd=False) as lines,
        ):
            for line in lines:
                self._arrived.put(line)
        self._arrived.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr:
            while data := os.read(self._process.stderr.fileno(), 65536):
                self._errors += data


def _plain(value: object) -> object:
    """The id in the model's form."""
    return oracle.loads(json.dumps(value).encode())


def run(count: int, seed: int | None = None) -> None:
    """Run `count` sessions; if one breaks a promise, raise with the shortest that does.

    Without a seed, each run draws other sessions; a failure prints the line that reproduces it.
    """
    run_state_machine_as_test(
        Session if seed is None else seeded(seed)(Session),
        settings=settings(
            max_examples=count,
            stateful_step_count=25,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
