"""A small correct JSON-RPC server in the standard library alone, with faults to plant.

`python tests/wrong_server.py [FAULT]`. Each fault is a mistake that servers in the field make;
the conformance runner must find every one of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FAULTS = {
    "accepts-any-version": "does not look at jsonrpc",
    "accepts-bool-ids": "takes true for an id",
    "accepts-nan": "leaves json.loads its NaN",
    "accepts-scalar-params": "takes any params",
    "answers-blank-lines": "answers a blank line with a parse error",
    "answers-notifications": "answers unknown notifications",
    "answers-with-both": "writes error: null beside a result, as JSON-RPC 1.0 did",
    "collapses-batches": "refuses a whole batch for one bad member",
    "dies-on-bad-utf8": "does not catch the decoding error",
    "dies-on-depth": "does not catch RecursionError",
    "drops-ids": "answers -32600 with the id null always",
    "empty-batch-empty": "answers [] with []",
    "exits-without-last-line": "wants a LF behind the last line",
    "float-ids": "reads numbers as floats",
    "hangs-on-rubbish": "stops for good at a line that is no JSON",
    "int-ids": "reads 1e2 and 1.0 as integers",
    "keeps-bom": "does not skip the BOM at the start",
    "lenient-utf8": "replaces what is not UTF-8",
    "merges-ids": "keeps a batch's answers by id",
    "merges-lines": "takes several values on a line",
    "no-examples": "lacks the methods of the specification's examples (that is allowed)",
    "normalises-ids": "strips string ids",
    "null-is-notification": "takes the id null for none",
    "prints": "writes a line of its own to stdout",
    "refuses-cr": "chokes on CR LF",
    "refuses-extras": "refuses foreign members",
    "skips-every-bom": "skips a BOM on every line",
    "splits-u2028": "splits with str.splitlines",
    "splits-cr": "splits at a CR alone, as Node's readline does",
    "stops-at-64k": "cuts lines at 64 KiB",
    "two-errors": "writes an error an unreadable batch member",
    "unwraps-single-batches": "answers a batch of one with an object",
    "writes-empty-batches": "answers a batch of notifications with []",
    "wrong-code": "answers every error with -32603",
}
HARMLESS = {"no-examples"}


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    raw: str


class Refusal(Exception):  # noqa: N818
    """An answer with an error."""

    def __init__(self, code: int) -> None:
        self.code = code


class Server:
    """Answers lines; `fault` names what it does wrong."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def number(self, raw: str) -> Any:
        if self.fault == "float-ids":
            return Number(repr(float(raw)))
        if self.fault == "int-ids":
            try:
                return Number(str(int(float(raw)) if set("eE.") & set(raw) else raw))
            except (OverflowError, ValueError):
                return Number(raw)
        return Number(raw)

    def constant(self, name: str) -> Any:
        if self.fault == "accepts-nan":
            return Number("0")
        raise ValueError(name)

    def parse(self, line: bytes) -> Any:
        errors = "replace" if self.fault == "lenient-utf8" else "strict"
        text = line.decode("utf-8", errors)
        decoder = json.JSONDecoder(
            parse_int=self.number, parse_float=self.number, parse_constant=self.constant
        )
        if self.fault == "merges-lines":
            return decoder.raw_decode(text.strip())[0]
        return decoder.decode(text)

    def answer(self, line: bytes) -> str | None:
        """Return the line that answers `line`."""
        if not line.strip(b" \t\r\n") and self.fault != "answers-blank-lines":
            return None
        if self.fault == "skips-every-bom":
            line = line.removeprefix(b"\xef\xbb\xbf")
        if self.fault == "refuses-cr" and line.endswith(b"\r\n"):
            return self.error(None, -32700)
        try:
            message = self.parse(line)
        except UnicodeDecodeError:
            if self.fault == "dies-on-bad-utf8":
                raise
            return self.error(None, -32700)
        except ValueError:
            if self.fault == "hangs-on-rubbish":
                sys.stdin.buffer.read()
            return self.error(None, -32700)
        except RecursionError:
            if self.fault == "dies-on-depth":
                os._exit(139)
            return self.error(None, -32700)
        if isinstance(message, list):
            return self.answer_batch(message)
        return self.answer_one(message)

    def answer_batch(self, members: list[Any]) -> str | None:
        if not members:
            return "[]" if self.fault == "empty-batch-empty" else self.error(None, -32600)
        if self.fault == "collapses-batches" and not all(isinstance(m, dict) for m in members):
            return self.error(None, -32600)
        answers = [answer for m in members if (answer := self.answer_one(m)) is not None]
        if self.fault == "two-errors" and not all(isinstance(m, dict) for m in members):
            return "\n".join(answers)
        if self.fault == "merges-ids":
            answers = list({json.loads(answer)["id"]: answer for answer in answers}.values())
        if not answers and self.fault != "writes-empty-batches":
            return None
        if len(answers) == 1 and self.fault == "unwraps-single-batches":
            return answers[0]
        return "[" + ",".join(answers) + "]"

    def answer_one(self, message: Any) -> str | None:
        if not isinstance(message, dict):
            return self.error(None, -32600)
        id_ = message.get("id")
        allowed: Any = str | Number | None
        if self.fault == "accepts-bool-ids":
            allowed |= bool
        if not isinstance(id_, allowed):
            return self.error(None, -32600)
        if self.fault == "normalises-ids" and isinstance(id_, str):
            id_ = id_.strip()
        params = message.get("params", [])
        if (
            (message.get("jsonrpc") != "2.0" and self.fault != "accepts-any-version")
            or not isinstance(message.get("method"), str)
            or (not isinstance(params, list | dict) and self.fault != "accepts-scalar-params")
            or (
                self.fault == "refuses-extras"
                and not message.keys() <= {"jsonrpc", "id", "method", "params"}
            )
        ):
            return self.error(None if self.fault == "drops-ids" else id_, -32600)
        silent = "id" not in message or (self.fault == "null-is-notification" and id_ is None)
        try:
            result = self.call(message["method"], params)
        except Refusal as refusal:
            if silent and self.fault != "answers-notifications":
                return None
            return self.error(id_, refusal.code)
        if silent:
            return None
        extra = ',"error":null' if self.fault == "answers-with-both" else ""
        return f'{{"jsonrpc":"2.0","id":{self.write(id_)},"result":{json.dumps(result)}{extra}}}'

    def call(self, method: str, params: Any) -> Any:
        if method == "ping":
            return {}
        if self.fault == "no-examples":
            raise Refusal(-32601)
        values = params.values() if isinstance(params, dict) else params
        numbers = [int(value.raw) for value in values if isinstance(value, Number)]
        if method == "subtract":
            if isinstance(params, dict):
                return int(params["minuend"].raw) - int(params["subtrahend"].raw)
            return numbers[0] - numbers[1]
        if method == "sum":
            return sum(numbers)
        if method == "get_data":
            return ["hello", 5]
        if method in ("update", "notify_hello", "notify_sum"):
            return None
        raise Refusal(-32601)

    def write(self, id_: Any) -> str:
        return id_.raw if isinstance(id_, Number) else json.dumps(id_)

    def error(self, id_: Any, code: int) -> str:
        if self.fault == "wrong-code":
            code = -32603
        text = f'{{"code":{code},"message":"refused"}}'
        return f'{{"jsonrpc":"2.0","id":{self.write(id_)},"error":{text}}}'

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of stdin, cut as the fault has it."""
        stream = sys.stdin.buffer
        limit = 65536 if self.fault == "stops-at-64k" else -1
        is_first = True
        while line := stream.readline(limit):
            if is_first and self.fault != "keeps-bom":
                line = line.removeprefix(b"\xef\xbb\xbf")
            is_first = False
            if self.fault == "exits-without-last-line" and not line.endswith(b"\n"):
                return
            if self.fault == "splits-u2028":
                for part in line.decode("utf-8", "surrogateescape").splitlines():
                    yield part.encode("utf-8", "surrogateescape")
            elif self.fault == "splits-cr":
                yield from line.replace(b"\r", b"\n").split(b"\n")
            else:
                yield line


def main() -> None:
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    if fault and fault not in FAULTS:
        sys.exit(f"unknown fault {fault!r}")
    server = Server(fault)
    out = sys.stdout.buffer
    if fault == "prints":
        out.write(b"ready\n")
    for line in server.lines():
        if (answer := server.answer(line)) is not None:
            out.write(answer.encode() + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
