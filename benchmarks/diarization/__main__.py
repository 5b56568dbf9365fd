"""`python -m benchmarks.diarization`: who speaks when, compared with bare pyannote.audio.

The first table shows errors and costs on excerpts of meetings and a telephone call, and on long
recordings composed of them. Both programs are warm, have the same pipeline and number of threads,
and take turns. The second shows how many words of the telephone call get the right speaker.

The excerpts are not part of this repository: `--recordings` names a directory with them, see
`material`. `make models` installs the pipeline and the recogniser.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    ROOT,
    Lines,
    check_material,
    conditions,
    material_options,
    median,
    median_ratio,
    number,
    offline_environment,
    say,
    table,
    versions,
    write_json,
)
from benchmarks.diarization.material import Recording, Turn, compose, excerpts, load, readers
from benchmarks.diarization.score import score, word_speakers
from benchmarks.pipeline.tree import Tree
from examples.models import call
from worker.client import Client

_HERE: Final = Path(__file__).parent
_SEED: Final = 1
_PACKAGES: Final = ("pyannote.audio", "pyannote.metrics", "torch", "onnxruntime")


@dataclasses.dataclass
class Run:
    """The results and the cost of some recordings."""

    turns: list[list[Turn]]
    """Of each recording."""
    wall: float
    """Seconds."""
    cpu: float
    """Seconds, of all processes."""
    memory: float
    """Peak private megabytes of all processes."""


class Bare:
    """pyannote.audio in a script."""

    title = "pyannote.audio"

    def __init__(self, pipeline: Path, threads: int) -> None:
        script = _HERE / "pyannote_script.py"
        self._lines = Lines([sys.executable, str(script), str(pipeline), str(threads)])
        self._lines.answer()
        self.pid = self._lines.pid

    def turns(self, audio: Path) -> list[Turn]:
        """Diarize."""
        self._lines.ask({"audio": str(audio)})
        return [Turn(*each) for each in json.loads(self._lines.answer())]

    def close(self) -> None:
        """End the program."""
        self._lines.close()


class Worker:
    """This worker."""

    title = "**worker**"

    def __init__(self, pipeline: Path, threads: int) -> None:
        self._diarize = {"model": str(pipeline)}
        self._options = {"device": "cpu", "threads": threads, "keepAlive": "forever"}
        self.client = Client(env=offline_environment())
        self.pid = self.client.process.pid

    def turns(self, audio: Path) -> list[Turn]:
        """Diarize."""
        params = {"audio": str(audio), **self._diarize, **self._options}
        result = self.client.result(self.client.send("diarize", params))
        return [Turn(each["start"], each["end"], each["speaker"]) for each in result["turns"]]

    def transcribe(self, audio: Path, model: Path, **options: Any) -> list[dict[str, Any]]:
        """The segments of a transcription with speakers."""
        params = {
            "audio": str(audio),
            "model": str(model),
            "diarize": {**self._diarize, **options},
            **self._options,
        }
        segments: list[dict[str, Any]] = self.client.result(self.client.send("transcribe", params))[
            "segments"
        ]
        return segments

    def close(self) -> None:
        """End the program."""
        self.client.close()


def main() -> int:
    """Measure, print the tables, and return 0."""
    options = _arguments()
    telephone = call()
    short = [*excerpts(options.recordings), load(telephone / "sample.wav")]
    groups = {f"{len(short)} of 30 s": short}
    for minutes in options.minutes:
        parts = [*short, *readers(options.recordings)]
        groups[f"{minutes} min, composed"] = [compose("composed", parts, minutes, _SEED)]
    bare = Bare(options.pipeline, options.threads)
    worker = Worker(options.pipeline, options.threads)
    runs: dict[str, dict[str, list[Run]]] = {title: {} for title in groups}
    with tempfile.TemporaryDirectory() as scratch:
        for program in (bare, worker):
            program.turns(short[0].write(Path(scratch)))  # warms it up
        for title, recordings in groups.items():
            for round_ in range(options.rounds):
                for program in (bare, worker):
                    run = _run(program, recordings, Path(scratch))
                    runs[title].setdefault(program.title, []).append(run)
                    say(f"{title}, round {round_ + 1}, {program.title}: {run.wall:.1f} s")
        bare.close()
        print(f"{conditions(versions(_PACKAGES))}; {options.threads} threads\n")
        print(_errors(groups, runs), flush=True)
        print(f"\n{_words(worker, telephone, options.model)}")
        worker.close()
    if options.json:
        document = {
            title: {
                program: [dataclasses.asdict(run) for run in of] for program, of in found.items()
            }
            for title, found in runs.items()
        }
        write_json(options.json, document)
    return 0


def _run(program: Bare | Worker, recordings: list[Recording], scratch: Path) -> Run:
    files = [recording.write(scratch) for recording in recordings]
    tree = Tree(program.pid)
    cpu, started = tree.cpu_seconds, time.perf_counter()
    turns = [program.turns(file) for file in files]
    wall = time.perf_counter() - started
    cpu = tree.cpu_seconds - cpu
    tree.stop()
    return Run(turns, wall, cpu, tree.peak)


def _errors(groups: dict[str, list[Recording]], runs: dict[str, dict[str, list[Run]]]) -> str:
    header = (
        *("recordings", "", "DER %", "DER %, collar 0.25 s", "speakers found", "of"),
        *("wall s", "ratio", "CPU ratio", "peak MB", "ratio"),
    )
    rows = []
    for title, recordings in groups.items():
        base = runs[title][Bare.title]
        for program, of in runs[title].items():
            found = score(list(zip(recordings, of[-1].turns, strict=True)))
            rates = [f"{rate:.1f}" for rate in found.rates]
            heard, true = (str(sum(each)) for each in zip(*found.counts, strict=True))
            ratios = [
                number(median_ratio([cost(run) for run in of], [cost(run) for run in base]))
                for cost in (_wall, _cpu, _memory)
            ]
            wall, memory = (number(median(map(cost, of))) for cost in (_wall, _memory))
            rows.append((title, program, *rates, heard, true, wall, *ratios[:2], memory, ratios[2]))
    return table(header, rows)


def _wall(run: Run) -> float:
    return run.wall


def _cpu(run: Run) -> float:
    return run.cpu


def _memory(run: Run) -> float:
    return run.memory


def _words(worker: Worker, telephone: Path, model: Path) -> str:
    rows = []
    for title, options in (
        ("default", {}),
        ('`assignment: "whisperx"`', {"assignment": "whisperx"}),
    ):
        segments = worker.transcribe(telephone / "sample.wav", model, **options)
        right, matched = word_speakers(telephone / "sample.stm", segments)
        percent = f"{100 * right / matched:.1f}" if matched else "–"
        rows.append((title, str(matched), percent))
    return table(("telephone call", "words matched", "with the right speaker %"), rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diarization", description=__doc__)
    material_options(parser)
    parser.add_argument(
        "--pipeline", type=Path, default=ROOT / "build" / "models" / "diarization", metavar="DIR"
    )
    parser.add_argument(
        "--minutes", type=int, nargs="*", default=[40], help="lengths of composed recordings"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this reads the costs of processes from Linux")
    check_material(parser, options)
    if not (options.recordings / "meetings").is_dir():
        parser.error(f"there are no meetings in {options.recordings}")
    if not (options.pipeline / "config.yaml").is_file():
        parser.error(f"there is no pipeline in {options.pipeline}: `make models` installs one")
    return options


if __name__ == "__main__":
    sys.exit(main())
