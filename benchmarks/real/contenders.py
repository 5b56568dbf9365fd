"""The programs that recognise the same recordings with the same weights, each in its own process.

All have the same number of threads, detect the language themselves, and keep their model loaded.
Unless stated otherwise they run with their defaults, but in int8, which this benchmark compares.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.common import ROOT, Lines, offline_environment
from benchmarks.pipeline.tree import Tree
from benchmarks.protocol import peers
from benchmarks.real.convert import convert, convert_vad
from protocol.errors import RpcError
from worker.client import Client

BATCH: Final = 8
REFERENCE: Final = "faster-whisper"
"""The contender to which speed is relative."""

_HERE: Final = Path(__file__).parent
_CONVERTED: Final = ROOT / "build" / "benchmark-models"


@dataclasses.dataclass
class Run:
    """The result and the cost of one recording."""

    language: str | None
    segments: list[dict[str, Any]]
    wall: float
    """Seconds."""
    cpu: float
    """Seconds, of all processes."""
    first: float | None
    """Seconds until the first segment is available; None if all arrive at the end."""
    resident: float
    """Peak megabytes of all processes."""
    error: str | None = None


class Contender(Protocol):
    """A measured program, whose first run loads its model."""

    def run(self, audio: Path) -> Run:
        """Recognise."""

    def close(self) -> None:
        """End the program."""


class Worker:
    """This worker."""

    def __init__(self, model: Path, threads: int, options: dict[str, Any]) -> None:
        self._params = {
            "model": str(model),
            "device": "cpu",
            "threads": threads,
            "keepAlive": "forever",
            "partialResultToken": "segments",
            **options,
        }
        self._client = Client(env=offline_environment())

    def run(self, audio: Path) -> Run:
        first: list[float] = []

        def see(method: str, params: Any) -> None:
            if not first and params["value"].get("segments"):
                first.append(time.perf_counter() - started)

        tree = Tree(self._client.process.pid)
        cpu, started = tree.cpu_seconds, time.perf_counter()
        result: dict[str, Any] = {"language": None, "segments": []}
        error = None
        try:
            id_ = self._client.send("transcribe", {**self._params, "audio": str(audio)})
            result = self._client.result(id_, see)
        except RpcError as refusal:
            error = str(refusal)
        wall = time.perf_counter() - started
        cpu = tree.cpu_seconds - cpu
        tree.stop()
        kept = ("start", "end", "text", "confidence")
        segments = [
            {key: segment[key] for key in kept if key in segment} for segment in result["segments"]
        ]
        shown = first[0] if first else None
        return Run(result["language"], segments, wall, cpu, shown, tree.resident_peak, error)

    def close(self) -> None:
        self._client.close()


class Script:
    """A package in one of the scripts beside this file."""

    def __init__(self, name: str, *arguments: object, python: object = sys.executable) -> None:
        self._lines = Lines([str(python), str(_HERE / name), *map(str, arguments)])
        self._lines.answer()

    def run(self, audio: Path) -> Run:
        first = None
        tree = Tree(self._lines.pid)
        cpu, started = tree.cpu_seconds, time.perf_counter()
        self._lines.ask({"audio": str(audio)})
        while (answer := self._lines.answer()) == "first\n":
            first = time.perf_counter() - started
        wall = time.perf_counter() - started
        cpu = tree.cpu_seconds - cpu
        tree.stop()
        result = json.loads(answer)
        return Run(**result, wall=wall, cpu=cpu, first=first, resident=tree.resident_peak)

    def close(self) -> None:
        self._lines.close()


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the tables."""

    title: str
    start: Callable[[], Contender]


def entries(model: Path, threads: int) -> dict[str, Entry]:
    """All contenders by the name that `--contenders` takes; none is started."""

    def worker(name: str, **options: Any) -> Entry:
        return Entry(f"**worker**, {name}", lambda: Worker(model, threads, options))

    def faster_whisper(name: str, **options: Any) -> Entry:
        arguments = (model, "int8", threads, json.dumps(options))
        return Entry(name, lambda: Script("faster_whisper_script.py", *arguments))

    def whisper_cpp(kind: Any, *, vad: bool = False) -> Entry:
        def start() -> Contender:
            peers.prepare()
            converted = convert(model, _CONVERTED / f"ggml-{model.name}-{kind}.bin", kind)
            detection = [convert_vad(_CONVERTED / "ggml-silero.bin")] if vad else []
            arguments = (converted, threads, *detection)
            return Script("whisper_cpp_script.py", *arguments, python=peers.PYTHON)

        return Entry(f"whisper.cpp, {kind}{', its VAD' if vad else ''}", start)

    package = {"engine": "faster-whisper"}
    whisperx = (model, "int8", threads, BATCH)
    return {
        "worker": worker("defaults"),
        "worker-float32": worker("float32", computeType="float32"),
        "worker-sequential": worker("batchSize 1", batchSize=1),
        "worker-package": worker("engine faster-whisper", **package),
        "worker-package-vad": worker("the same, vadFilter", vadFilter=True, **package),
        "worker-package-vad-words": worker(
            "the same, vadFilter, wordTimestamps", vadFilter=True, wordTimestamps=True, **package
        ),
        "worker-package-batch": worker(f"the same, batchSize {BATCH}", batchSize=BATCH, **package),
        "worker-whisperx": worker("engine whisperx", engine="whisperx", batchSize=BATCH),
        REFERENCE: faster_whisper("faster-whisper"),
        "faster-whisper-vad": faster_whisper("faster-whisper, VAD", vad_filter=True),
        "faster-whisper-batch": faster_whisper(
            f"faster-whisper, batches of {BATCH}", batch_size=BATCH
        ),
        "whisperx": Entry("whisperx", lambda: Script("whisperx_script.py", *whisperx)),
        "whisper.cpp-f16": whisper_cpp("f16"),
        "whisper.cpp-q8_0": whisper_cpp("q8_0"),
        "whisper.cpp-f16-vad": whisper_cpp("f16", vad=True),
        "whisper.cpp-q8_0-vad": whisper_cpp("q8_0", vad=True),
    }
