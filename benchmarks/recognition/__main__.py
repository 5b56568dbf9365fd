"""`python -m benchmarks.recognition`: measures what the worker adds to a faster-whisper call.

Both sides have a warm model, the same threads and the same options (faster-whisper's
defaults), and decode the file themselves; the worker also streams segments and progress.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    ROOT,
    Process,
    clean_environment,
    conditions,
    median,
    median_ratio,
    number,
    say,
    table,
    versions,
    write_json,
)
from worker.client import Client

TARGET: Final = 1.02

_BARE_SCRIPT: Final = Path(__file__).with_name("bare_script.py")
_PACKAGES: Final = ("faster-whisper", "ctranslate2", "av")


@dataclasses.dataclass
class Rounds:
    """One side, one value per round, in seconds; `load` is from the spawn to the loaded model."""

    load: float = 0.0
    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    first: list[float] = dataclasses.field(default_factory=list)


class BareScript:
    """The running script, with its model loaded."""

    def __init__(self, model: str, threads: int) -> None:
        command = (sys.executable, str(_BARE_SCRIPT), model, str(threads))
        self.rounds = Rounds()
        self._process = Process(command, stderr=None)
        self._process.read_until(b"\n", 1)
        self.rounds.load = time.perf_counter() - self._process.started

    def transcribe(self, audio: str, options: dict[str, Any], record: bool) -> list[list[Any]]:
        """Transcribe once; return start, end and text of each segment."""
        cpu, started = self._process.cpu_seconds, time.perf_counter()
        self._process.write(json.dumps({"audio": audio, "options": options}).encode() + b"\n")
        answer = self._process.read()
        first = time.perf_counter() - started
        while not answer.endswith(b"]\n"):
            answer += self._process.read()
        if record:
            self.rounds.wall.append(time.perf_counter() - started)
            self.rounds.cpu.append(self._process.cpu_seconds - cpu)
            self.rounds.first.append(first)
        found: list[list[Any]] = json.loads(answer.splitlines()[-1])
        return found

    def close(self) -> None:
        """End it."""
        self._process.close()


class Worker:
    """The worker, whose first request loads its model."""

    def __init__(self, model: str, threads: int, audio: str) -> None:
        self._params = {
            "engine": "faster-whisper",
            "model": model,
            "device": "cpu",
            "threads": threads,
            "progressToken": "progress",
            "partialResultToken": "segments",
        }
        self.rounds = Rounds()
        started = time.perf_counter()
        self._client = Client(env=clean_environment())
        timings = self._client.call("transcribe", {**self._params, "audio": audio})["timings"]
        # From the spawn, as with the script, minus the time after the load.
        elapsed = time.perf_counter() - started
        self.rounds.load = elapsed - timings["decode"] - timings["recognition"]
        self._pids = _tree(self._client.process.pid)

    def transcribe(self, audio: str, options: dict[str, Any], record: bool) -> list[list[Any]]:
        """Transcribe once; return start, end and text of each segment."""
        first: list[float] = []

        def see(method: str, params: Any) -> None:
            if not first and params["token"] == "segments":
                first.append(time.perf_counter() - started)

        params = {**self._params, **{_camel(name): value for name, value in options.items()}}
        cpu, started = self._cpu_seconds(), time.perf_counter()
        id_ = self._client.send("transcribe", {**params, "audio": audio})
        result = self._client.result(id_, see)
        if record:
            self.rounds.wall.append(time.perf_counter() - started)
            self.rounds.cpu.append(self._cpu_seconds() - cpu)
            self.rounds.first += first
        return [[found["start"], found["end"], found["text"]] for found in result["segments"]]

    def close(self) -> None:
        """End it."""
        self._client.close()

    def _cpu_seconds(self) -> float:
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self._pids)


def main() -> int:
    """Measure, print the tables, and return 0; a missed target is not a failure."""
    options = _arguments()
    model, threads = str(options.model), options.threads or len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        audio, seconds = _prepare_audio(options.audio, options.minutes, Path(folder))
        call = {"language": options.language, "beam_size": options.beam_size}
        say("loading the model on both sides …")
        bare = BareScript(model, threads)
        worker = Worker(model, threads, str(options.audio))
        sides: list[BareScript | Worker] = [bare, worker]
        for side in sides:
            side.transcribe(audio, call, record=False)
        for round_ in range(options.rounds):
            say(f"round {round_ + 1} of {options.rounds} …")
            found = [side.transcribe(audio, call, record=True) for side in sides]
            if not _alike(*(found if sides[0] is bare else found[::-1])):
                raise RuntimeError("the two sides return different segments")
            sides.reverse()  # the second side may find a warmer or a busier machine
        for side in sides:
            side.close()

    conditions_ = conditions(versions(_PACKAGES))
    print(
        f"{seconds:.0f} s of audio, {threads} threads, beam {options.beam_size}, "
        f"medians of {options.rounds} interleaved rounds. {conditions_}.\n"
    )
    print(_table(bare.rounds, worker.rounds))
    ratio = median_ratio(worker.rounds.wall, bare.rounds.wall)
    verdict = "met" if ratio <= TARGET else "**missed**"
    print(f"\nPromise: wall time at most {TARGET} × the bare script: {ratio:.3f} ×, {verdict}.")
    if options.json:
        document = {"bare": bare.rounds, "worker": worker.rounds}
        write_json(
            options.json,
            {"conditions": conditions_, "audio_seconds": seconds, "threads": threads}
            | {name: dataclasses.asdict(rounds) for name, rounds in document.items()},
        )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "tests" / "models" / "whisper")
    parser.add_argument("--audio", type=Path, default=ROOT / "tests" / "recordings" / "demo.flac")
    parser.add_argument(
        "--minutes",
        type=float,
        default=5.0,
        help="repeat the audio until it lasts this long (default: 5; 0: do not repeat it)",
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=0, help="0: all available")
    parser.add_argument("--language", default="en")
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("process costs can only be read on Linux")
    if not options.model.is_dir():
        parser.error(f"{options.model} is not a folder: name a model with --model")
    return options


def _prepare_audio(path: Path, minutes: float, folder: Path) -> tuple[str, float]:
    """The file to transcribe and its seconds: `path`, or a WAV file that repeats it."""
    from worker import audio

    samples = audio.decode(str(path))
    seconds = len(samples) / audio.SAMPLE_RATE
    repeats = -int(-minutes * 60 // seconds)
    if repeats <= 1:
        return str(path), seconds
    repeated = folder / "repeated.wav"
    with wave.open(str(repeated), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.SAMPLE_RATE)
        file.writeframes((samples * 32768).astype("<i2").tobytes() * repeats)
    return str(repeated), seconds * repeats


def _table(bare: Rounds, worker: Rounds) -> str:
    def row(name: str, ours: list[float], floor: list[float]) -> tuple[str, str, str, str]:
        ratio = f"{median_ratio(ours, floor):.3f}"
        return (name, number(median(floor)), number(median(ours)), ratio)

    return table(
        ("seconds", "bare script", "worker", "ratio"),
        [
            row("request to result, wall", worker.wall, bare.wall),
            row("the same, CPU of all processes", worker.cpu, bare.cpu),
            row("request to first segment", worker.first, bare.first),
            row("spawn to model loaded, once", [worker.load], [bare.load]),
        ],
    )


def _alike(bare: list[list[Any]], worker: list[list[Any]]) -> bool:
    """Whether the segments are equal, with times rounded to milliseconds as the worker does."""
    rounded = [[round(start, 3), round(end, 3), text] for start, end, text in bare]
    return rounded == worker


def _tree(pid: int) -> list[int]:
    """The process and its children."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(child) for file in children for child in file.read_text().split())]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.title, rest))


if __name__ == "__main__":
    sys.exit(main())
