"""`transcription-worker batch`: many recordings, and a report of what became of each."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, get_args

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
from worker.system.paths import printable

_EPILOG = """\
A line of the manifest is {"audio": PATH, "name": …} with any params of transcribe. Files are named
after their recordings and lie below DIR as the recordings lie below the deepest folder that holds
all inputs; with a name in the manifest, in DIR itself. The exit code is 0 when all went well, 1
when a file failed, 2 for wrong usage, 130 when it was interrupted.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `batch`."""
    add_batch_options(parser)
    parser.add_argument(
        "--jobs", type=_jobs, default=2, metavar="N", help="files in work at a time (2)"
    )
    parser.add_argument(
        "--device-indices",
        type=_devices,
        default=(),
        metavar="LIST",
        help="CUDA devices, such as 0,1, that share the files; --jobs counts for each",
    )


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of any batch, wherever it runs."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "inputs",
        nargs="*",
        default=[MANIFEST],
        metavar="INPUT",
        help="a file, a folder with all below it, a glob (** goes deep), "
        "or - for a JSONL manifest on stdin (the default)",
    )
    parser.add_argument("--output-dir", required=True, metavar="DIR", help="where all files go")
    parser.add_argument(
        "--formats",
        default="srt,json",
        metavar="LIST",
        help=f"any of {', '.join(get_args(Format))} (srt,json)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip what an earlier batch into DIR has done: the same content and options",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="JSON, a line for each file (DIR/report.jsonl)"
    )
    add_job_options(parser)


def main(options: argparse.Namespace) -> int:
    """Work through all inputs; return 0, 1 when a file failed, 2 for wrong usage, 130 for ^C."""
    output_dir = Path(os.path.normpath(Path(options.output_dir).absolute()))
    reads_stdin = MANIFEST in options.inputs
    try:
        params = job_params(options)
        check(params, output_dir)
        if reads_stdin and sys.stdin is not None and sys.stdin.isatty():
            raise ValueError("there are no inputs: name files or folders, or pipe a manifest in.")
        manifest = sys.stdin.buffer if reads_stdin and sys.stdin is not None else ()
        tasks = collect(options.inputs, manifest, output_dir)
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
        sys.stderr.write(f"transcription-worker: the report ends here: {error.strerror}.\n")
        return 1


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
            params_of=lambda task: page_plays({**params, **task.params}, task.path, task.folder),
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


def tell(bar: BatchBar, line: Line) -> None:
    """Say what went wrong with a recording, if anything did."""
    if line.error:
        remedy = f" {line.error.remedy}" if line.error.remedy else ""
        bar.write(printable(f"{line.input}: {line.error.message}{remedy}"))


def sum_up(report: Report, progress: Progress, interrupt: Interrupt) -> int:
    """Say what became of all; return 0, 1 when a file failed, or 130 for ^C."""
    counts = report.counts
    parts = [f"{counts['ok']} done", f"{counts['failed']} failed", f"{counts['skipped']} skipped"]
    if report.warned:
        parts.append(f"{report.warned} with warnings")
    factor = progress.real_time_factor()
    audio = f"; {span(progress.audio)} of audio in {span(progress.elapsed)}"
    audio += f", real-time factor {factor:.2f}" if factor is not None else ""
    print(", ".join(parts) + (audio if progress.audio else ""))
    if interrupt.came:
        sys.stderr.write("interrupted: --resume goes on from here\n")
        return 130
    return 1 if counts["failed"] else 0


def check(params: dict[str, Any], output_dir: Path) -> None:
    """Raise `RpcError` or `ValueError` for what would fail with every file."""
    try:
        raw = orjson.dumps({**params, "audio": "-", "outputDir": str(output_dir)})
    except TypeError:
        raise ValueError("an option is not UTF-8, and JSON holds no other.") from None
    decode_params(raw, TranscribeParams)


def _devices(text: str) -> list[int]:
    devices = list(dict.fromkeys(map(int, text.split(","))))
    if min(devices) < 0:
        raise ValueError
    return devices


def _jobs(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
