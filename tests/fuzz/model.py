"""A model of a server's answers, and a comparison of the written lines with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tests.fuzz import oracle
from tests.fuzz.oracle import Member, Refusal, Reply, Request

RESULT: Final = "result"
Outcome = int | str
"""`RESULT`, or the code of an error."""

NULL: Final = (type(None).__name__, None)
Key = tuple[str, object]
"""An id as type and value: 1 and "1" differ."""

Predict = Callable[[Any], Outcome]
"""Takes params (`...` if absent) as `oracle.loads` returns them."""


class Answer(msgspec.Struct, frozen=True):
    """A written reply: the id as written, and the outcome."""

    id: bytes
    outcome: Outcome

    @property
    def key(self) -> Key:
        """The id in the model's form."""
        return key(oracle.loads(self.id))


@dataclass
class Expected:
    """An expected reply, with any of the outcomes."""

    key: Key
    outcomes: set[Outcome]


@dataclass
class Unit:
    """An expected line: one reply, or those of a batch in any order."""

    replies: list[Expected]
    batch: bool = False
    optional: bool = False
    """Whether it may be missing because the server has ended."""


class Model:
    """Receives the same lines as a server, and predicts what the server must write.

    `work` may be answered at any time until the end, so a cancel may come too late for it;
    `prompt` says that none is answered before `finish`, so no cancel does.
    """

    def __init__(
        self,
        control: Mapping[str, Predict],
        work: Mapping[str, Predict],
        *,
        notifications: Mapping[str, Callable[[], None]] | None = None,
        prompt: bool = False,
    ) -> None:
        self.units: list[Unit] = []
        self.refusing = self.ended = False
        self._control = control
        self._work = work
        self._notifications = notifications or {}
        self._prompt = prompt
        self._open: list[Expected] = []

    def receive(self, line: bytes | None) -> None:
        """Process a line; None stands for one that is too long."""
        judged = Refusal(oracle.PARSE_ERROR) if line is None else oracle.judge(line)
        members = judged if isinstance(judged, list) else [judged]
        replies = [each for each in map(self._serve, members) if each]
        if replies:
            self.units.append(Unit(replies, batch=isinstance(judged, list), optional=self.ended))

    def finish(self) -> None:
        """Record that all work has been answered."""
        self._open.clear()

    def end(self) -> None:
        """From now on, open work may be cancelled, and later lines may be refused or ignored."""
        self.ended = True
        for each in self._open:
            each.outcomes.add(oracle.CANCELLED)

    def _serve(self, member: Member | None) -> Expected | None:
        if member is None or isinstance(member, Reply):
            return None
        if isinstance(member, Refusal):
            return Expected(key(member.id), {member.code})
        if member.id is ...:
            self._notice(member)
            return None
        reply = Expected(key(member.id), {self._outcome(member)})
        if self.ended:
            reply.outcomes |= {oracle.INVALID_REQUEST, oracle.CANCELLED}
        elif member.method in self._work and not self.refusing:
            self._open.append(reply)
        return reply

    def _outcome(self, request: Request) -> Outcome:
        if self.refusing:
            return oracle.INVALID_REQUEST
        predict = self._control.get(request.method) or self._work.get(request.method)
        return predict(request.params) if predict else oracle.METHOD_NOT_FOUND

    def _notice(self, notification: Request) -> None:
        if notification.method == "$/cancelRequest":
            self._cancel(notification.params)
        elif notification.method in self._notifications:
            self._notifications[notification.method]()
        elif notification.method in self._control:
            self._control[notification.method](notification.params)

    def _cancel(self, params: Any) -> None:
        if not isinstance(params, dict) or list(params) != ["id"]:
            return
        meant = [each for each in self._open if each.key == key(params["id"])]
        for each in meant:
            if self._prompt:
                each.outcomes = {oracle.CANCELLED}
                self._open.remove(each)
            else:
                each.outcomes.add(oracle.CANCELLED)


def key(id_: object) -> Key:
    """An id in comparable form; an absent id is null in a reply."""
    return NULL if id_ is ... else (type(id_).__name__, id_)


def takes_nothing(params: Any) -> Outcome:
    """Predicts for methods without params."""
    return RESULT if params in (..., {}, []) else oracle.INVALID_PARAMS


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    """A reply on the wire, with a result or an error."""

    jsonrpc: str
    id: msgspec.Raw
    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


def read_answers(line: bytes) -> list[Answer]:
    """The replies in a line that a server wrote."""
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert isinstance(oracle.loads(line), dict | list)
    if line.startswith(b"["):
        found = msgspec.json.decode(line, type=list[_Wire])
        assert found
    else:
        found = [msgspec.json.decode(line, type=_Wire)]
    for each in found:
        assert each.jsonrpc == "2.0"
        assert bool(each.result) != bool(each.error)
    return [
        Answer(bytes(each.id), RESULT if each.error is None else each.error["code"])
        for each in found
    ]


def explain_difference(lines: Iterable[bytes], units: Sequence[Unit]) -> str | None:
    """The first written line that the model forbids, or required line that is missing; or None."""
    written: dict[object, list[list[Answer]]] = defaultdict(list)
    allowed: dict[object, list[Unit]] = defaultdict(list)
    for line in lines:
        answers = read_answers(line)
        keys = sorted((each.key for each in answers), key=repr)
        written[line.startswith(b"["), tuple(keys)].append(answers)
    for unit in units:
        keys = sorted((each.key for each in unit.replies), key=repr)
        allowed[unit.batch, tuple(keys)].append(unit)
    for group in {**written, **allowed}:
        if not _match(written[group], allowed[group]):
            return f"for {group}: got {written[group]}, expected {allowed[group]}"
    return None


def _match(written: Sequence[list[Answer]], units: Sequence[Unit]) -> bool:
    """Whether each line matches a unit, and each required unit has a line."""
    if not written:
        return all(unit.optional for unit in units)
    return any(
        _fits(written[0], unit) and _match(written[1:], [*units[:i], *units[i + 1 :]])
        for i, unit in enumerate(units)
    )


def _fits(answers: Sequence[Answer], unit: Unit) -> bool:
    if not answers:
        return not unit.replies
    first, rest = answers[0], answers[1:]
    return any(
        each.key == first.key
        and first.outcome in each.outcomes
        and _fits(rest, Unit([*unit.replies[:i], *unit.replies[i + 1 :]]))
        for i, each in enumerate(unit.replies)
    )
