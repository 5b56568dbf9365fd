"""`python -m benchmarks.pipeline`: compares the whole job with whisperx; measures long recordings.

The first table measures a folder of recordings: recognition, alignment and speakers with the same
models and options, each program with all threads of the machine, in interleaved rounds. Models are
the small trained ones of the tests, and Whisper's true shapes `base`, `small` and `large-v3` with
random weights that write a fixed number of tokens (with wav2vec2-base's shape beside them). With
`--device cuda` it compares the programs that keep their models loaded, and reports GPU memory too.

The second measures only this worker, on recordings from a minute to `--longest` hours; the plot
shows the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import sys
import tempfile
import time
import wave
from collections import defaultdict
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
from benchmarks.pipeline.tree import device_name

_TESTS: Final = ROOT / "tests"
_MODELS: Final = _TESTS / "models"
_TRAINED: Final = Models(_MODELS / "whisper", _MODELS / "alignment", _MODELS / "diarization")
_PACKAGES: Final = ("faster-whisper", "ctranslate2", "whisperx", "torch", "pyannote.audio")
_SILENCE: Final = 2.0  # seconds after each recording of a long one
_UNIT: Final = 481.28
"""Seconds after which a long recording repeats itself: a multiple of the frames in which speech
detection and cuts count, so that each repetition is heard alike."""
_LONG_SILENCE: Final = 5.0  # minimum seconds of silence before it does
_SLOWER: Final = 1.5  # promise: this many times as fast as the whisperx package, warm


def main() -> int:
    """Measure, print the tables, and return 0; a missed target is not a failure."""
    options = _arguments()
    threads = options.threads or len(os.sched_getaffinity(0))
    document: dict[str, Any] = {"threads": threads}
    with tempfile.TemporaryDirectory() as scratch:
        place = "" if options.device == "cpu" else f"; {device_name()}"
        print(f"{conditions(versions(_PACKAGES))}; {threads} threads{place}.\n")
        for size in options.sizes:
            files = _folder(Path(scratch), size, options.minutes)
            models = dataclasses.replace(_TRAINED, device=options.device)
            if size != "test":
                models = _random(size, models)
            document[size] = _compare(size, models, files, threads, options)
        if options.cores:
            document["cores"] = _cores(Path(scratch), options)
        if options.longest:
            document["length"] = _lengths(Path(scratch), threads, options)
    if options.json:
        write_json(options.json, document)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument(
        "--sizes", nargs="*", choices=("test", *random_models.SHAPES), default=("test", "base")
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, default=2.0, help="of each of four recordings")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: all available")
    parser.add_argument("--cores", action="store_true", help="also measure fewer cores")
    parser.add_argument("--longest", type=float, default=10.0, help="hours; 0: no plot of length")
    parser.add_argument("--svg", type=Path, default=Path(__file__).with_name("length.svg"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this reads the costs of processes from Linux")
    return options


def _compare(
    size: str, models: Models, files: Sequence[Path], threads: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure the programs on a folder, in turns."""
    found: dict[str, Any] = {}
    whole_job: list[Callable[[], Contender]] = [
        lambda: Worker(models, threads),
        lambda: whisperx(models, threads),
    ]
    if models.device == "cpu":
        whole_job += [
            lambda: Command(models, threads, one_a_file=False),
            lambda: Command(models, threads, one_a_file=True),
        ]
    recognisers: list[Callable[[], Contender]] = [
        lambda: Worker(models, threads),
        lambda: faster_whisper(models, threads),
        lambda: whisperx(models, threads),
    ]
    for title, makers, whole in (
        ("recognition, alignment, speakers", whole_job, True),
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

    on_device = any(each.device_peak for some in rounds.values() for each in some)

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
            *([number(median(each.device_peak for each in some))] if on_device else []),
        ]

    header = ["", "wall s", "ratio", "CPU s", "first segment s", "peak MB"]
    header += ["device MB"] if on_device else []
    return table(header, [row(name, some) for name, some in rounds.items()])


def _cores(scratch: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure this worker on a folder, with one core and then more."""
    all_ = sorted(os.sched_getaffinity(0))
    files = _folder(scratch, "cores", options.minutes)
    found: list[dict[str, Any]] = []
    count = 1
    while count <= len(all_):
        say(f"{count} cores …")
        os.sched_setaffinity(0, all_[:count])  # child processes inherit it
        try:
            worker = Worker(_TRAINED, count)
        finally:
            os.sched_setaffinity(0, all_)
        try:
            worker.run(files[:1], whole=True)
            found.append({"cores": count, **dataclasses.asdict(worker.run(files, whole=True))})
        finally:
            worker.close()
        count *= 2
    seconds = len(files) * options.minutes * 60
    print(f"**cores** (test models, the whole job): {len(files)} recordings\n")
    rows = [
        [
            str(each["cores"]),
            number(each["wall"]),
            number(seconds / each["wall"]),
            number(found[0]["wall"] / each["wall"]),
        ]
        for each in found
    ]
    print(table(("cores", "wall s", "× real time", "× one core"), rows), flush=True)
    return found


def _lengths(scratch: Path, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure this worker on longer and longer recordings."""
    minutes = [m for m in (1, 10, 60, 600) if m <= options.longest * 60]
    found: list[dict[str, Any]] = []
    for each in (_UNIT / 60, *minutes):
        say(f"a recording of {each:g} min …")
        path = _recording(scratch / f"{each}.wav", each * 60)
        worker = Worker(_TRAINED, threads)
        try:
            worker.run([_TESTS / "recordings" / "en-01.flac"], whole=True)
            round_ = worker.run([path], whole=True)
            (result,) = worker.results
            found.append(
                {
                    "minutes": each,
                    "peaks": worker.tree.peaks,
                    **dataclasses.asdict(round_),
                    "units": _units(result),
                    "speakers": len(result["speakers"]),
                }
            )
        finally:
            worker.close()
            path.unlink()
    once, *found = found
    engines = ("audio", "faster-whisper", "alignment", "diarization", "front")
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
    print(f"\n{_repeated(once, found[-1])}")
    if options.svg:
        from benchmarks.pipeline.plot import plot

        plot(options.svg, found)
    return {"runs": found}


def _units(result: dict[str, Any]) -> list[list[tuple[str, str | None]]]:
    """Words with speakers, grouped by repetition of the recording."""
    units: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    for segment in result["segments"]:
        for word in segment["words"]:
            units[int(word["start"] // _UNIT)].append((word["word"], word.get("speaker")))
    return [units[number] for number in sorted(units)]


def _repeated(once: dict[str, Any], longest: dict[str, Any]) -> str:
    """How well the longest recording's transcript repeats that of one repetition."""
    from tests.measures import word_errors

    (said,) = once["units"]
    units = longest["units"][:-1]  # the last one may be incomplete
    words = [word for word, _ in said]
    same = [unit for unit in units if [word for word, _ in unit] == words]
    unlike = sum(word_errors(words, [word for word, _ in unit]) for unit in units)
    pairs = [pair for unit in same for pair in zip(said, unit, strict=True)]
    alike = sum(ours[1] == theirs[1] for ours, theirs in pairs)
    return (
        f"{len(same)} of {len(units)} repetitions of {_UNIT:g} s have the very words that it has "
        f"by itself; of all {len(units) * len(said)} words {unlike} differ. "
        f"{longest['speakers']} speakers, {once['speakers']} by itself; "
        f"{100 * alike / max(1, len(pairs)):.1f} % of the same words have the same speaker."
    )


def _folder(scratch: Path, size: str, minutes: float) -> list[Path]:
    return [_recording(scratch / f"{size}-{n}.wav", minutes * 60, first=n) for n in range(4)]


def _recording(path: Path, seconds: float, first: int = 0) -> Path:
    """Write a recording of several voices: the tests' mixtures in sequence, with silences.

    It repeats itself after `_UNIT` seconds.
    """
    from worker import audio

    mixtures = sorted((_TESTS / "mixtures").glob("mixture-*.flac"))
    mixtures = mixtures[first:] + mixtures[:first]
    silence = bytes(int(_SILENCE * audio.SAMPLE_RATE) * 2)
    room = int((_UNIT - _LONG_SILENCE) * audio.SAMPLE_RATE) * 2
    parts: list[bytes] = []
    for mixture in itertools.cycle(mixtures):
        part = next(_samples(mixture)) + silence
        if len(part) > room:
            break
        room -= len(part)
        parts.append(part)
    parts.append(bytes(room + int(_LONG_SILENCE * audio.SAMPLE_RATE) * 2))
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


def _random(size: str, models: Models) -> Models:
    """Models of real size, created once and kept under build/."""
    kept = ROOT / "build" / "benchmark-models"
    say(f"making a model of the shape {size} …")
    return dataclasses.replace(
        models,
        whisper=random_models.make(
            size, kept / f"{size}-{models.compute_type}", models.compute_type
        ),
        alignment=random_models.make_alignment(kept / "wav2vec2-base"),
    )


if __name__ == "__main__":
    started = time.perf_counter()
    code = main()
    say(f"took {time.perf_counter() - started:.0f} s")
    sys.exit(code)
