"""`python -m benchmarks.real`: errors and speed on real speech, compared with the peers.

The first table shows errors, on recordings that are composed from short ones so that every word
and every silence is known, and on the short ones themselves. The second shows speed and memory:
all contenders are warm, and run in interleaved rounds.

The short recordings are not part of this repository: `--recordings` names a directory with
`manifest.jsonl` (lines with id, file, text, language, duration) and the files that it lists.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    check_material,
    conditions,
    material_options,
    say,
    versions,
    write_json,
)
from benchmarks.protocol import peers
from benchmarks.real.contenders import REFERENCE, Contender, Entry, Run, entries
from benchmarks.real.material import Material
from benchmarks.real.tables import Results, precisions, reliability_table, score_table, speed_table

_PACKAGES: Final = ("faster-whisper", "ctranslate2", "whisperx", "torch")


def main() -> int:
    """Measure, print the tables, and return 0."""
    options = _arguments()
    known = entries(options.model, options.threads)
    chosen = options.contenders or list(known)
    document: dict[str, Any] = {"threads": options.threads, "command": sys.argv}
    with tempfile.TemporaryDirectory() as scratch:
        material = Material(options.recordings, Path(scratch))
        if options.only != "speed":
            results: dict[str, dict[str, Run]] = {}
            for name in chosen:
                try:
                    results[name] = _recognise_all(known[name], material)
                except Exception as error:  # a run takes hours: one failure must not stop it
                    say(f"not measured: {known[name].title}: {error}")
                document["score"] = _raw(results)
                _keep(options.json, document)
            titles = {name: known[name].title for name in chosen}
            print(_head(options, list(results), f"{material.minutes:.0f} min of audio"))
            print(score_table(titles, results, material), flush=True)
            print(f"\n{precisions(results, material)}\n", flush=True)
            print(f"{reliability_table(results, material)}\n", flush=True)
        if options.only != "score":
            names = list(dict.fromkeys([*chosen, REFERENCE]))
            files = material.speed_files()
            rounds = _race({name: known[name] for name in names}, files, options.rounds)
            document["speed"] = {
                name: {file: [dataclasses.asdict(run) for run in runs] for file, runs in of.items()}
                for name, of in rounds.items()
            }
            _keep(options.json, document)
            print(_head(options, names, f"medians of {options.rounds} interleaved rounds"))
            print(speed_table({name: known[name].title for name in names}, rounds), flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__)
    material_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the speed table")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("score", "speed"))
    parser.add_argument(
        "--contenders",
        type=lambda names: names.split(","),
        help=f"some of {', '.join(entries(Path(), 0))}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this reads the costs of processes from Linux")
    check_material(parser, options)
    if unknown := set(options.contenders or ()) - set(entries(Path(), 0)):
        parser.error(f"there is no contender {', '.join(sorted(unknown))}")
    return options


def _recognise_all(entry: Entry, material: Material) -> dict[str, Run]:
    """Run one warm contender on all recordings."""
    say(f"{entry.title} …")
    contender = entry.start()
    try:
        contender.run(material.shortest.path)
        runs: dict[str, Run] = {}
        for id_, path in material.files():
            run = runs[id_] = contender.run(path)
            failed = f", failed: {run.error}" if run.error else ""
            say(f"  {id_}: {run.wall:.1f} s{failed}")
        return runs
    finally:
        contender.close()


def _race(
    known: Mapping[str, Entry], files: Mapping[str, Path], rounds: int
) -> dict[str, dict[str, list[Run]]]:
    """Run all warm contenders in turns."""
    contenders: dict[str, Contender] = {}
    found: dict[str, dict[str, list[Run]]] = {name: defaultdict(list) for name in known}
    try:
        for name, entry in known.items():
            say(f"loading {entry.title} …")
            contenders[name] = entry.start()
            contenders[name].run(list(files.values())[-1])
        order = list(known)
        for round_ in range(rounds):
            say(f"round {round_ + 1} of {rounds} …")
            for file, path in files.items():
                for name in order:
                    found[name][file].append(contenders[name].run(path))
            order.reverse()  # later contenders may find a warmer or a busier machine
    finally:
        for contender in contenders.values():
            contender.close()
    return found


def _head(options: argparse.Namespace, names: Sequence[str], what: str) -> str:
    """The conditions of the next table."""
    packages = versions(_PACKAGES)
    if any(name.startswith("whisper.cpp") for name in names):
        packages |= peers.peer_versions(("pywhispercpp",))
    command = shlex.join(["python", "-m", "benchmarks.real", *sys.argv[1:]])
    return (
        f"`{command}`: model {options.model.name}, {options.threads} threads, {what}. "
        f"{conditions(packages)}.\n"
    )


def _raw(results: Results) -> dict[str, Any]:
    return {
        name: {id_: dataclasses.asdict(run) for id_, run in runs.items()}
        for name, runs in results.items()
    }


def _keep(path: Path | None, document: dict[str, Any]) -> None:
    if path:
        write_json(path, document)


if __name__ == "__main__":
    started = time.perf_counter()
    code = main()
    say(f"took {time.perf_counter() - started:.0f} s")
    sys.exit(code)
