"""Loads the vectors, and turns each into the exact bytes to send. README.md defines the format."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any, Literal

import msgspec

DEFAULT_MAX_LINE_BYTES = 64 * 1024 * 1024
Profile = Literal["core", "worker"]


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes to send: exactly one of text, hex, base64, repeat and parts."""

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    repeat: str | None = None
    parts: list[str | Step] | None = None
    count: int = 1
    total: str | None = None
    join: str = ""
    numbered: bool = False
    prefix: str = ""
    suffix: str = ""
    end: str = "\n"


class ErrorPattern(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An expected error: one of the codes, and members that `data` must contain."""

    code: int | list[int]
    data: dict[str, Any] | None = None


class Pattern(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """One expected reply. `id` is the JSON token as text; `count` means the ids 0 to count-1."""

    id: str
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result_has: dict[str, Any] | None = None
    error: int | ErrorPattern | None = None
    any: bool = False
    count: int | None = None


Expected = list[Pattern | list[Pattern]]


class Vector(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """One guarantee: what to send, and which replies must come back."""

    name: str
    section: str
    profile: Profile
    send: list[str | Step]
    expect: Expected | None = None
    expect_any: list[Expected] | None = None
    ordered: bool = False
    examples: bool = False
    fresh: bool = False
    initialize: dict[str, Any] | None = None
    delivery: Literal["steps", "whole", "bytes"] = "steps"
    close: bool = False
    exit: int | Literal["any"] | None = None
    file: str = ""

    @property
    def full_name(self) -> str:
        """`file/name`, which is unique."""
        return f"{self.file}/{self.name}"

    @property
    def needs_fresh(self) -> bool:
        """Whether it needs its own process."""
        return self.fresh or self.close or self.exit is not None or self.initialize is not None

    @property
    def alternatives(self) -> list[Expected]:
        """Every acceptable set of replies."""
        return self.expect_any if self.expect_any is not None else [self.expect or []]


class Context(msgspec.Struct, frozen=True):
    """Values for the placeholders in a vector."""

    ping_method: str = "ping"
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    process_id: int = 0

    def fill(self, text: str) -> bytes:
        """Replace the placeholders; the method's name becomes the inside of a JSON string."""
        plain = json.dumps(self.ping_method, ensure_ascii=False)[1:-1]
        units = self.ping_method.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        text = text.replace("$ESCAPED_PING", escaped).replace("$PING", plain)
        return text.replace("$PID", str(self.process_id)).encode()


def load_vectors(profile: Profile = "worker", only: str | None = None) -> list[Vector]:
    """Return the vectors of a profile (worker includes core), in the order of the files.

    `only` selects those whose `file/name` contains it or, if it has a `*`, matches it.
    """
    decode = msgspec.json.Decoder(Vector).decode
    vectors = []
    folder = resources.files("protocol.conformance") / "vectors"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".jsonl"):
            continue
        for number, line in enumerate(entry.read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                vector = decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"{entry.name}:{number}: {error}") from error
            vector.file = entry.name.removesuffix(".jsonl")
            if profile == "worker" or vector.profile == "core":
                vectors.append(vector)
    return [v for v in vectors if only is None or _is_named(v.full_name.lower(), only.lower())]


def _is_named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if "*" in pattern else pattern in name


def encode(steps: Sequence[str | Step], context: Context) -> list[bytes]:
    """Return the bytes of each step, including its line end."""
    chunks = []
    for step in steps:
        if isinstance(step, str):
            chunks.append(context.fill(step) + b"\n")
        else:
            chunks.append(_body(step, context) + step.end.encode())
    return chunks


def _body(step: str | Step, context: Context) -> bytes:
    if isinstance(step, str):
        return context.fill(step)
    forms = [step.text, step.hex, step.base64, step.repeat, step.parts]
    if sum(form is not None for form in forms) != 1:
        raise ValueError(f"a step needs exactly one of text, hex, base64, repeat, parts: {step}")
    if step.text is not None:
        return context.fill(step.text)
    if step.hex is not None:
        return bytes.fromhex(step.hex)
    if step.base64 is not None:
        return base64.b64decode(step.base64, validate=True)
    if step.parts is not None:
        return b"".join(_body(part, context) for part in step.parts)
    return _repeated(step, context)


def _repeated(step: Step, context: Context) -> bytes:
    unit, join = context.fill(step.repeat or ""), context.fill(step.join)
    prefix, suffix = context.fill(step.prefix), context.fill(step.suffix)
    count = step.count
    if step.total is not None:
        room = _size(step.total, context) - len(prefix) - len(suffix)
        if len(unit) != 1 or join or room < 0:
            raise ValueError(f"a total needs one byte to repeat and room for it: {step}")
        count = room
    if step.numbered:
        middle = join.join(unit.replace(b"#", b"%d" % number) for number in range(count))
    else:
        middle = join.join([unit] * count) if join else unit * count
    return prefix + middle + suffix


def _size(text: str, context: Context) -> int:
    found = re.fullmatch(r"(?:(limit)(?:\*(\d+))?)?([+-]?\d+)?", text)
    if not found or not text:
        raise ValueError(f"not a size: {text!r}")
    limit = context.max_line_bytes * int(found[2] or 1) if found[1] else 0
    return limit + int(found[3] or 0)
