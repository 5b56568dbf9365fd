"""Runs the vectors against a server, over its stdin and stdout.

Threads read and write, because Windows pipes cannot be polled. To show that the server does not
answer something, the runner sends a sentinel request after it and waits for the sentinel's answer:
no test sleeps, and only a vector's time limit involves a clock.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any

import msgspec

from protocol.conformance.replies import (
    Answer,
    BadReplyError,
    Number,
    Reply,
    Verdict,
    compare,
    expand,
    parse_answer,
)
from protocol.conformance.vectors import DEFAULT_MAX_LINE_BYTES, Context, Pattern, Vector, encode

DEFAULT_TIME_LIMIT = 20.0
_SHOWN = 600


@dataclass(frozen=True)
class Failure:
    """A failed vector, described for people."""

    name: str
    reason: str
    sent: str = ""
    expected: str = ""
    got: str = ""
    stderr: str = ""

    def __str__(self) -> str:
        lines = [f"FAIL {self.name}", f"  reason    {self.reason}"]
        for label in ("sent", "expected", "got", "stderr"):
            if text := getattr(self, label):
                lines.append(f"  {label:9} {text}")
        return "\n".join(lines)


class ServerGone(Exception):  # noqa: N818 - a state, not an error
    """The server closed its stdout."""


class TimeLimitError(Exception):
    """The server did not answer in time."""


class Server:
    """One process of the command under test."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writes: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stderr: deque[bytes] = deque(maxlen=20)
        self._threads = [
            threading.Thread(target=target, args=(stream,), daemon=True)
            for target, stream in (
                (self._read_answers, self._process.stdout),
                (self._read_stderr, self._process.stderr),
                (self._write, self._process.stdin),
            )
        ]
        for thread in self._threads:
            thread.start()
        self._gone = False

    def send(self, data: bytes) -> None:
        """Queue bytes for one write; never blocks."""
        self._writes.put(data)

    def close_input(self) -> None:
        """Close its stdin after everything queued is written."""
        self._writes.put(None)

    def receive(self, deadline: float) -> Answer | None:
        """Return the next reply; None for a notification or request of the server."""
        if self._gone:
            raise ServerGone
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeLimitError from None
        if line is None:
            self._gone = True
            raise ServerGone
        try:
            return parse_answer(line)
        except BadReplyError as error:
            raise BadReplyError(f"{error}: {_shorten(line)}") from error

    def wait(self, deadline: float) -> int:
        """Return the exit code."""
        try:
            return self._process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeLimitError from None

    def end(self) -> None:
        """End the process and the threads."""
        self.close_input()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=2)  # a grandchild may still hold a pipe

    def stderr_tail(self) -> str:
        """The end of its stderr."""
        return _shorten(b"".join(self._stderr), from_end=True)

    def _read_answers(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._stderr.append(line)

    def _write(self, stream: IO[bytes]) -> None:
        # OSError: the server is gone, which `receive` learns from its stdout.
        with contextlib.suppress(OSError):
            while (data := self._writes.get()) is not None:
                stream.write(data)
                stream.flush()
        with contextlib.suppress(OSError):
            stream.close()


@dataclass
class Session:
    """A command under test; one shared process serves every vector that does not need its own."""

    command: Sequence[str]
    ping_method: str = "ping"
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    time_limit: float = DEFAULT_TIME_LIMIT
    env: dict[str, str] | None = None
    has_examples: bool | None = None
    """Whether it has the methods of the specification's examples; None until checked."""
    _shared: Server | None = field(default=None, init=False)
    _numbers: itertools.count[int] = field(default_factory=itertools.count, init=False)
    _last: str = field(default="", init=False)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, vector: Vector) -> Failure | None:
        """Run one vector; None if it passes."""
        if vector.examples and self.has_examples is None:
            self.has_examples = self._ask_for_examples()
        if vector.needs_fresh:
            server = Server(self.command, self.env)
            try:
                return self._converse(server, vector)
            finally:
                server.end()
        previous, self._last = self._last, vector.full_name
        failure = self._converse(self._share(), vector)
        if failure:
            self._drop()  # late answers must not fail the next vector
            if previous:
                failure = replace(failure, reason=f"{failure.reason} (after {previous!r})")
        return failure

    def close(self) -> Failure | None:
        """End the shared process; a reply that arrives only now is a failure."""
        server, self._shared = self._shared, None
        if server is None:
            return None
        server.close_input()
        stray = []
        try:
            while True:
                if (answer := server.receive(time.monotonic() + self.time_limit)) is not None:
                    stray.append(answer)
        except (ServerGone, TimeLimitError, BadReplyError):
            pass  # other vectors test how a process ends
        finally:
            server.end()
        if not stray:
            return None
        reason = f"sent an unexpected answer after {self._last!r}"
        return Failure("(the end of the run)", reason, got=_show(stray))

    def _share(self) -> Server:
        if self._shared is None:
            self._shared = Server(self.command, self.env)
        return self._shared

    def _drop(self) -> None:
        if self._shared is not None:
            self._shared.end()
        self._shared, self._last = None, ""

    def _request(self, server: Server, method: str, params: Any) -> Reply | None:
        """Send a request of the runner's own and wait for its reply; None if that fails."""
        id_ = self._next_id()
        message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
        server.send(json.dumps(message).encode() + b"\n")
        deadline = time.monotonic() + self.time_limit
        with contextlib.suppress(ServerGone, TimeLimitError, BadReplyError):
            while True:
                answer = server.receive(deadline)
                if isinstance(answer, Reply) and answer.id == id_:
                    return answer
        return None

    def _ask_for_examples(self) -> bool:
        reply = self._request(self._share(), "subtract", [42, 23])
        if reply is None:
            self._drop()
            return True
        return bool(reply.members.get("error", {}).get("code") != Number("-32601"))

    def _initialize(self, server: Server, params: dict[str, Any]) -> int:
        """Initialize with the vector's params; return the resulting line limit."""
        reply = self._request(server, "initialize", params)
        if reply is not None and isinstance(result := reply.members.get("result"), dict):
            limits = result.get("limits")
            limit = limits.get("maxLineBytes") if isinstance(limits, dict) else None
            if isinstance(limit, Number) and limit.raw.isdigit():
                return int(limit.raw)
        return self.max_line_bytes

    def _next_id(self) -> str:
        return f"conformance-{next(self._numbers)}"

    def _converse(self, server: Server, vector: Vector) -> Failure | None:
        limit = self.max_line_bytes
        if vector.initialize is not None:
            limit = self._initialize(server, vector.initialize)
        context = Context(self.ping_method, limit, os.getpid())
        chunks = encode(vector.send, context)
        without = vector.examples and not self.has_examples
        alternatives = [expand(alternative, without) for alternative in vector.alternatives]
        sentinel = None if vector.close or vector.exit is not None else self._next_id()
        _deliver(server, vector, chunks, sentinel, context)
        conversation = _Conversation(server, alternatives, vector.ordered, sentinel)
        reason = conversation.listen(vector.exit, time.monotonic() + self.time_limit)
        if reason is None:
            return None
        return Failure(
            vector.full_name,
            reason,
            sent=_shorten(b"".join(chunks)),
            expected=" or ".join(map(_show_expected, alternatives)),
            got=_show(conversation.answers),
            stderr=server.stderr_tail(),
        )


def run_vector(session: Session, vector: Vector) -> Failure | None:
    """Run one vector; None if it passes."""
    return session.run(vector)


def _deliver(
    server: Server, vector: Vector, chunks: list[bytes], sentinel: str | None, context: Context
) -> None:
    if vector.delivery == "bytes":
        chunks = [bytes([byte]) for byte in b"".join(chunks)]
    if sentinel is not None:
        ping = context.fill(f'{{"jsonrpc":"2.0","id":"{sentinel}","method":"$PING"}}\n')
        chunks = [*chunks, ping]
    if vector.delivery == "whole":
        chunks = [b"".join(chunks)]
    for chunk in chunks:
        server.send(chunk)
    if vector.close:
        server.close_input()


@dataclass
class _Conversation:
    """Listens to the answers to one vector until they can be judged."""

    server: Server
    alternatives: list[list[Pattern | list[Pattern]]]
    ordered: bool
    sentinel: str | None
    answers: list[Answer] = field(default_factory=list)

    def listen(self, exit_code: int | str | None, deadline: float) -> str | None:
        """Return what is wrong, or None."""
        try:
            if self.sentinel is not None:
                return self._until_sentinel(deadline)
            return self._until_end(exit_code, deadline)
        except BadReplyError as error:
            return f"it wrote a line that is not a reply: {error}"

    def _until_sentinel(self, deadline: float) -> str | None:
        is_seen = False
        try:
            while True:
                answer = self.server.receive(deadline)
                if isinstance(answer, Reply) and answer.id == self.sentinel:
                    if is_seen:
                        return "the sentinel ping was answered twice"
                    is_seen = True
                elif answer is not None:
                    self.answers.append(answer)
                if not is_seen:
                    continue
                # A slower lane may answer after the sentinel: wait for the missing answers.
                verdicts = self._verdicts()
                if any(verdict.is_complete for verdict in verdicts):
                    return None
                if all(verdict.unexpected for verdict in verdicts):
                    return self._explain(verdicts)
        except ServerGone:
            return "the server ended or closed its stdout"
        except TimeLimitError:
            if not is_seen:
                return "the server stopped answering: the sentinel ping timed out"
            return self._explain(self._verdicts())

    def _until_end(self, exit_code: int | str | None, deadline: float) -> str | None:
        with contextlib.suppress(ServerGone):
            try:
                while True:
                    if (answer := self.server.receive(deadline)) is not None:
                        self.answers.append(answer)
            except TimeLimitError:
                return "the server did not end"
        verdicts = self._verdicts()
        if not any(verdict.is_complete for verdict in verdicts):
            return self._explain(verdicts)
        try:
            code = self.server.wait(deadline)
        except TimeLimitError:
            return "the server closed its stdout but did not end"
        if isinstance(exit_code, int) and code != exit_code:
            return f"the exit code is {code}, not {exit_code}"
        return None

    def _verdicts(self) -> list[Verdict]:
        return [compare(one, self.answers, ordered=self.ordered) for one in self.alternatives]

    def _explain(self, verdicts: list[Verdict]) -> str:
        nearest = min(verdicts, key=lambda v: len(v.missing) + len(v.unexpected))
        parts = []
        if nearest.missing:
            parts.append(f"not answered: {_show_expected(nearest.missing)}")
        if nearest.unexpected:
            parts.append(f"unexpected answer: {_show(nearest.unexpected)}")
        return "; ".join(parts)


def _shorten(data: bytes | str, *, from_end: bool = False) -> str:
    if from_end:
        data = data[-_SHOWN:]
    text = data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
    if from_end:
        return text.strip()
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


def _plain(value: Any) -> Any:
    """A value that json.dumps can write; numbers become text in angle brackets."""
    if isinstance(value, Number):
        return f"<{value.raw}>"
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _show(answers: Sequence[Answer]) -> str:
    values = [
        [_plain(reply.members) for reply in answer]
        if isinstance(answer, list)
        else _plain(answer.members)
        for answer in answers[:20]
    ]
    text = " ".join(json.dumps(value, separators=(",", ":")) for value in values)
    # The brackets carry numbers unchanged through json.dumps.
    return _shorten(re.sub(r'"<(-?[0-9][0-9.eE+-]*)>"', r"\1", text)) or "nothing"


def _show_expected(expected: Sequence[Pattern | list[Pattern]]) -> str:
    return _shorten(" ".join(map(_show_pattern, expected[:20]))) or "nothing"


def _show_pattern(pattern: Pattern | list[Pattern]) -> str:
    if isinstance(pattern, list):
        return "[" + ", ".join(map(_show_pattern, pattern[:20])) + "]"
    return msgspec.json.encode(pattern).decode()
