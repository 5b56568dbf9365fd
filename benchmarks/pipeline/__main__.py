"""`python -m benchmarks.pipeline`: the whole job, against whisperx; and what length costs.

The first table is of a folder of recordings: recognition, alignment and speakers with the same
models and options, each program with all threads of the machine, in interleaved rounds. Models are
the small trained ones of the tests, and Whisper's true shapes `base` and `small` with random
weights that write a fixed number of tokens (with wav2vec2-base's shape beside them).

The second is of this worker alone, over recordings from a minute to `--longest` hours; the plot
shows the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    ROOT,
    conditions,
    median,
    median_ratio,
    number,
    say,
    table,
    versions,
    write_json,
)
from benchmarks.pipeline import models as random_models
from benchmarks.pipeline.contenders import (
    Command,
    Contender,
    Models,
    Round,
    Worker,
    faster_whisper,
    whisperx,
)

_TESTS: Final = ROOT / "tests"
_TRAINED: Final = Models(*(_TESTS / "models" / m for m in ("whisper", "alignment", "diarization")))
_PACKAGES: Final = ("faster-whisper", "ctranslate2", "whisperx", "torch", "pyannote.audio")
_SILENCE: Final = 2.0  # seconds after each recording of a long one
_SLOWER: Final = 1.5  # promise: so many times as fast as the whisperx package, warm


def main() -> int:
    """Measure, print the tables, and return 0; a missed target is no failure."""
    options = _arguments()
    threads = options.threads or len(os.sched_getaffinity(0))
    document: dict[str, Any] = {"threads": threads}
    with tempfile.TemporaryDirectory() as scratch:
        print(f"{conditions(versions(_PACKAGES))}; {threads} threads.\n")
        for size in options.sizes:
            files = _folder(Path(scratch), size, options.minutes)
            models = _TRAINED if size == "test" else _random(size)
            document[size] = _compare(size, models, files, threads, options)
        if options.longest:
            document["length"] = _lengths(Path(scratch), threads, options)
    if options.json:
        write_json(options.json, document)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument(
        "--sizes", nargs="*", choices=("test", "base", "small"), default=("test", "base")
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="of each of four recordings")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: all that are available")
    parser.add_argument("--longest", type=float, default=10.0, help="hours; 0: no plot of length")
    parser.add_argument("--svg", type=Path, default=Path(__file__).with_name("length.svg"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number here")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this reads the costs of processes from Linux")
    return options


def _compare(
    size: str, models: Models, files: Sequence[Path], threads: int, options: argparse.Namespace
) -> dict[str, Any]:
    """The programs over a folder, in turns."""
    found: dict[str, Any] = {}
    warm: list[tuple[Callable[[], Contender], bool]] = [
        (lambda: Worker(models, threads), True),
        (lambda: whisperx(models, threads), True),
        (lambda: Command(models, threads, one_a_file=False), True),
        (lambda: Command(models, threads, one_a_file=True), True),
    ]
    recognisers = [
        lambda: Worker(models, threads),
        lambda: faster_whisper(models, threads),
        lambda: whisperx(models, threads),
    ]
    for title, makers, whole in (
        ("recognition, alignment, speakers", [make for make, _ in warm], True),
        ("recognition alone", recognisers, False),
    ):
        contenders = [make() for make in makers]
        rounds: dict[str, list[Round]] = {each.name: [] for each in contenders}
        try:
            for each in contenders:
                if not isinstance(each, Command):
                    each.run(files[:1], whole=whole)  # load the models
            for number_ in range(options.rounds):
                for each in contenders:
                    say(f"{size}, {title}: round {number_ + 1}, {each.name} …")
                    rounds[each.name].append(each.run(files, whole=whole))
                contenders.reverse()
        finally:
            for each in contenders:
                each.close()
        print(f"**{size}, {title}**: {len(files)} recordings of {options.minutes:g} min\n")
        print(_table(rounds))
        ours, theirs = rounds[Worker.name], rounds["whisperx package, warm"]
        ratio = median_ratio([r.wall for r in theirs], [r.wall for r in ours])
        if whole:
            verdict = "met" if ratio >= _SLOWER else "**missed**"
            print(f"\nPromise: {_SLOWER} × as fast as whisperx, warm: {ratio:.2f} ×, {verdict}.")
        print(flush=True)
        found[title] = {
            name: [dataclasses.asdict(each) for each in some] for name, some in rounds.items()
        }
    return found


def _table(rounds: dict[str, list[Round]]) -> str:
    ours = rounds[Worker.name]

    def row(name: str, some: list[Round]) -> list[str]:
        firsts = [each.first for each in some if each.first is not None]
        ratio = median_ratio([each.wall for each in some], [each.wall for each in ours])
        return [
            f"**{name}**" if some is ours else name,
            number(median(each.wall for each in some)),
            f"{ratio:.2f}",
            number(median(each.cpu for each in some)),
            number(median(firsts)) if firsts else "",
            number(median(each.peak for each in some)),
        ]

    header = ("", "wall s", "ratio", "CPU s", "first segment s", "peak MB")
    return table(header, [row(name, some) for name, some in rounds.items()])


def _lengths(scratch: Path, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """This worker over ever longer recordings."""
    minutes = [m for m in (1, 10, 60, 180, 600) if m <= options.longest * 60]
    found = []
    for each in minutes:
        say(f"a recording of {each} min …")
        path = _recording(scratch / f"{each}.wav", each * 60)
        worker = Worker(_TRAINED, threads)
        try:
            worker.run([_TESTS / "recordings" / "en-01.flac"], whole=True)
            round_ = worker.run([path], whole=True)
            found.append(
                {"minutes": each, "peaks": worker.tree.peaks, **dataclasses.asdict(round_)}
            )
        finally:
            worker.close()
            path.unlink()
    engines = ("audio", "whisper", "alignment", "diarization", "front")
    header = ("minutes", "wall s", "× real time", "first segment s", *(f"{e} MB" for e in engines))
    print("**the length of a recording** (test models; private memory of each process)\n")
    print(
        table(
            header,
            [
                [
                    str(each["minutes"]),
                    number(each["wall"]),
                    number(each["minutes"] * 60 / each["wall"]),
                    number(each["first"] or 0.0),
                    *(number(each["peaks"].get(engine, 0.0)) for engine in engines),
                ]
                for each in found
            ],
        )
    )
    if options.svg:
        from benchmarks.pipeline.plot import plot

        plot(options.svg, found)
    return {"runs": found}


def _folder(scratch: Path, size: str, minutes: float) -> list[Path]:
    return [_recording(scratch / f"{size}-{n}.wav", minutes * 60, first=n) for n in range(4)]


def _recording(path: Path, seconds: float, first: int = 0) -> Path:
    """A recording of several voices: the tests' mixtures, one after another, with silences."""
    from worker import audio

    mixtures = sorted((_TESTS / "mixtures").glob("mixture-*.flac"))
    mixtures = mixtures[first:] + mixtures[:first]
    silence = bytes(int(_SILENCE * audio.SAMPLE_RATE) * 2)
    parts = [next(_samples(each)) + silence for each in mixtures]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.SAMPLE_RATE)
        left, place = int(seconds * audio.SAMPLE_RATE) * 2, 0
        while left > 0:
            file.writeframesraw(parts[place % len(parts)][:left])
            left -= len(parts[place % len(parts)])
            place += 1
    return path


def _samples(path: Path) -> Any:
    from worker import audio

    yield b"".join(block[0].tobytes() for block in audio.stream(str(path)))


def _random(size: str) -> Models:
    """Models of a true size, made once and kept below build/."""
    kept = ROOT / "build" / "benchmark-models"
    say(f"making a model of the shape {size} …")
    return Models(
        random_models.make(size, kept / size),
        random_models.make_alignment(kept / "wav2vec2-base"),
        _TRAINED.diarization,
    )


if __name__ == "__main__":
    started = time.perf_counter()
    code = main()
    say(f"took {time.perf_counter() - started:.0f} s")
    sys.exit(code)
