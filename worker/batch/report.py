"""Writes the report of a batch: JSON, one line per file, as soon as the file is finished."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import msgspec

from protocol.control import Result
from protocol.errors import RpcError

Status = Literal["ok", "failed", "skipped"]


class Failure(Result, kw_only=True):
    """Why a file failed: kind, message and remedy of the protocol's error."""

    kind: str
    message: str
    remedy: str | None = None


class Line(Result, kw_only=True):
    """The outcome of one file. Times are seconds; unknown values are null."""

    input: str
    status: Status
    reason: Literal["done", "not_media"] | None = None
    """Why the file was skipped."""
    outputs: list[str] = msgspec.field(default_factory=list)
    duration: float | None = None
    """Seconds of audio."""
    seconds: float | None = None
    """Seconds of work, excluding waiting."""
    real_time_factor: float | None = None
    error: Failure | None = None
    warnings: list[dict[str, Any]] = msgspec.field(default_factory=list)


def failure(error: RpcError) -> Failure:
    """An error in the form of the report."""
    return Failure(kind=error.kind, message=error.message, remedy=error.data.get("remedy"))


def done(input_: str, result: dict[str, Any]) -> Line:
    """The line of a file for which `transcribe` returned `result`."""
    timings = result["timings"]
    return Line(
        input=input_,
        status="ok",
        outputs=[each["path"] for each in result.get("files", ())],
        duration=result["duration"],
        seconds=round(timings["total"] - timings["queue"], 3),
        real_time_factor=result["realTimeFactor"],
        warnings=result["warnings"],
    )


class Report:
    """The report file. One system call writes one line, so a kill leaves only whole lines."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[Status] = Counter()
        self.warned = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o666)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def add(self, line: Line) -> None:
        """Write a line."""
        text = msgspec.json.encode(line) + b"\n"
        while text:  # a single write, unless the disk is full
            text = text[os.write(self._fd, text) :]
        self.counts[line.status] += 1
        self.warned += bool(line.warnings)
