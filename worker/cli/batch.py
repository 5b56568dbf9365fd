"""`transcription-worker batch`: transcribes many recordings, and reports the outcome of each."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from protocol.errors import RpcError
from protocol.params import decode_params
from protocol.transcript import Format
from protocol.transcription import TranscribeParams
from worker.batch.done import Markers
from worker.batch.inputs import MANIFEST, Task, collect
from worker.batch.progress import BatchBar, Progress, span
from worker.batch.report import Line, Report
from worker.batch.run import Batch, Interrupt
from worker.cli.transcribe import add_job_options, job_params, page_plays
from worker.system.paths import printable, to_wire
from worker.system.stdin import STDIN, Spool

_VOICES: Final = ".voices"
"""Folder of the voices that recordings share."""
_EPILOG = """\
Each line of the manifest is {"audio": PATH, "name": …}, with any params of transcribe. Output files
are named after their recordings and mirror, below DIR, the tree below the deepest folder that
contains all inputs; a name in the manifest puts them into DIR itself. The exit code is 0 if all
files succeeded, 1 if one failed, 2 for wrong usage, 130 after Ctrl-C.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `batch`."""
    add_batch_options(parser)
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        help="read the manifest from FILE; in it, the audio - is a recording on stdin",
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=2, metavar="N", help="files to process at a time (2)"
    )
    parser.add_argument(
        "--device-indices",
        type=_devices,
        default=(),
        metavar="LIST",
        help="CUDA devices, such as 0,1, that share the files; --jobs applies to each",
    )
    parser.add_argument(
        "--speakers-across",
        action="store_true",
        help="an unknown voice has the same SPEAKER_nn in all recordings (implies --diarize); the "
        "voices are kept in DIR/.voices",
    )


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every kind of batch, in a worker or on a cluster."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "inputs",
        nargs="*",
        default=[MANIFEST],
        metavar="INPUT",
        help="a file, a folder (with its subfolders), a glob (** matches subfolders), "
        "or - for a JSONL manifest on stdin (the default)",
    )
    parser.add_argument("--output-dir", required=True, metavar="DIR", help="folder for all outputs")
    parser.add_argument(
        "--formats",
        default="srt,json",
        metavar="LIST",
        help=f"any of {', '.join(get_args(Format))} (srt,json)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip files that an earlier batch into DIR finished with the same content and options",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="JSON report, one line per file (DIR/report.jsonl)"
    )
    add_job_options(parser)


def main(options: argparse.Namespace) -> int:
    """Process all inputs; return 0, 1 if a file failed, 2 for wrong usage, 130 for Ctrl-C."""
    output_dir = Path(os.path.normpath(Path(options.output_dir).absolute()))
    with Spool() as spool:
        return _main(options, output_dir, spool)


def _main(options: argparse.Namespace, output_dir: Path, spool: Spool) -> int:
    try:
        params = job_params(options)
        if options.speakers_across:
            asked = params.get("diarize")
            others = asked if isinstance(asked, dict) else {}
            params["diarize"] = {**others, "voiceFolder": to_wire(output_dir / _VOICES)}
        check(params, output_dir)
        tasks = _tasks(options, output_dir, spool)
        report = Report(Path(options.report) if options.report else output_dir / "report.jsonl")
    except (ValueError, RpcError) as error:
        sys.stderr.write(f"transcription-worker: {error}\n")
        return 2
    except OSError as error:
        name = printable(os.fsdecode(error.filename or ""))
        sys.stderr.write(f"transcription-worker: {name}: {error.strerror}.\n")
        return 2
    except KeyboardInterrupt:
        return 130
    try:
        with report:
            return _run(tasks, params, output_dir, options, report)
    except KeyboardInterrupt:  # a second one
        return 130
    except OSError as error:
        sys.stderr.write(f"transcription-worker: cannot write the report: {error.strerror}.\n")
        return 1


def _tasks(options: argparse.Namespace, output_dir: Path, spool: Spool) -> list[Task]:
    """The recordings. Raises `ValueError` for wrong usage, and `OSError`."""
    inputs, owner = options.inputs, Markers(output_dir).owner
    if options.manifest:
        with Path(options.manifest).open("rb") as lines:
            if MANIFEST not in inputs:
                inputs = [*inputs, MANIFEST]
            return collect(inputs, lines, output_dir, owner, spool.read)
    reads_stdin = MANIFEST in inputs and sys.stdin is not None
    if reads_stdin and sys.stdin.isatty():
        raise ValueError("no inputs: name files or folders, or pipe in a manifest.")
    return collect(inputs, sys.stdin.buffer if reads_stdin else (), output_dir, owner)


def _run(
    tasks: list[Task],
    params: dict[str, Any],
    output_dir: Path,
    options: argparse.Namespace,
    report: Report,
) -> int:
    progress = Progress(tasks)
    with Interrupt() as interrupt, BatchBar(progress) as bar:
        Batch(
            tasks,
            params_of=lambda task: _params(task, params),
            jobs=options.jobs,
            devices=options.device_indices,
            markers=Markers(output_dir),
            resume=options.resume,
            report=report,
            progress=progress,
            interrupt=interrupt,
            on_line=partial(tell, bar),
            on_tick=lambda: bar.draw(report.counts["failed"]),
        ).run()
    return sum_up(report, progress, interrupt)


def _params(task: Task, params: dict[str, Any]) -> dict[str, Any]:
    own = {**params, **task.params}
    # No page can play what was on stdin.
    return own if task.input == STDIN else page_plays(own, task.path, task.folder)


def tell(bar: BatchBar, line: Line) -> None:
    """Print why a recording failed, if it did."""
    if line.error:
        remedy = f" {line.error.remedy}" if line.error.remedy else ""
        bar.write(printable(f"{line.input}: {line.error.message}{remedy}"))


def sum_up(report: Report, progress: Progress, interrupt: Interrupt) -> int:
    """Print a summary; return 0, 1 if a file failed, or 130 for Ctrl-C."""
    counts = report.counts
    parts = [f"{counts['ok']} done", f"{counts['failed']} failed", f"{counts['skipped']} skipped"]
    if report.warned:
        parts.append(f"{report.warned} with warnings")
    factor = progress.real_time_factor()
    audio = f"; {span(progress.audio)} of audio in {span(progress.elapsed)}"
    audio += f", real-time factor {factor:.2f}" if factor is not None else ""
    print(", ".join(parts) + (audio if progress.audio else ""))
    if interrupt.received:
        sys.stderr.write("interrupted: continue with --resume\n")
        return 130
    return 1 if counts["failed"] else 0


def check(params: dict[str, Any], output_dir: Path) -> None:
    """Raise `RpcError` or `ValueError` for params that would fail with every file."""
    try:
        raw = orjson.dumps({**params, "audio": "-", "outputDir": str(output_dir)})
    except TypeError:
        raise ValueError("an option is not UTF-8, which JSON requires.") from None
    decode_params(raw, TranscribeParams)


def _devices(text: str) -> list[int]:
    devices = list(dict.fromkeys(map(int, text.split(","))))
    if min(devices) < 0:
        raise ValueError
    return devices


def _jobs(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
