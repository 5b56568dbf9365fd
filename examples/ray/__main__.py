"""`python -m examples.ray`: transcribes many recordings on many machines."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

from examples.ray import actor
from examples.ray.pool import ClusterError, Pool
from protocol.errors import RpcError
from worker.batch.done import Markers
from worker.batch.inputs import MANIFEST, Task, collect
from worker.batch.progress import BatchBar, Progress
from worker.batch.report import Report
from worker.batch.run import Interrupt
from worker.cli.batch import add_batch_options, check, sum_up, tell
from worker.cli.transcribe import job_params, page_plays
from worker.formats.files import write_all


def main() -> int:
    """Process all inputs; return 0, 1 if a file failed, 2 for wrong usage, 130 for Ctrl-C."""
    options = _options()
    output_dir = Path(os.path.normpath(Path(options.output_dir).absolute()))
    seal = output_dir / ".batch" / f"{secrets.token_hex(8)}.seal"
    try:
        params = {"threads": max(1, int(options.num_cpus)), **job_params(options)}
        check(params, output_dir)
        manifest = sys.stdin.buffer if MANIFEST in options.inputs else ()
        tasks = collect(options.inputs, manifest, output_dir, Markers(output_dir).owner)
        report = Report(Path(options.report) if options.report else output_dir / "report.jsonl")
        with report:
            write_all([(seal, "")], overwrite=True)
            try:
                _connect(options.address)
                return _run(tasks, params, output_dir, seal, options, report)
            finally:
                ray.shutdown()
                seal.unlink(missing_ok=True)
    except (ValueError, RpcError, OSError, ClusterError) as error:
        sys.stderr.write(f"examples.ray: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.ray", description=__doc__)
    add_batch_options(parser)
    parser.add_argument(
        "--address", help="address of the cluster, or auto (RAY_ADDRESS, or else this machine)"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="actors, one worker each (as many as fit)"
    )
    parser.add_argument(
        "--num-cpus", type=float, default=1, metavar="N", help="CPUs, so threads, per actor (1)"
    )
    parser.add_argument(
        "--num-gpus", type=float, default=0, metavar="N", help="GPUs per actor; 0.5 to share one"
    )
    parser.add_argument(
        "--attempts", type=int, default=3, metavar="N", help="tries per file if actors fail (3)"
    )
    return parser.parse_args()


def _connect(address: str | None) -> None:
    """Join the cluster, without usage reports to Ray; actors log only into Ray's files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address=address or os.environ.get("RAY_ADDRESS") or "local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    cloudpickle.register_pickle_by_value(actor)  # type: ignore[no-untyped-call]


def _room(num_cpus: float, num_gpus: float) -> int:
    """How many actors fit on the nodes."""
    wanted = {name: n for name, n in (("CPU", num_cpus), ("GPU", num_gpus)) if n > 0}
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    resources: list[dict[str, float]] = [each["Resources"] for each in nodes if each["Alive"]]
    return sum(min(int(has.get(name, 0) / n) for name, n in wanted.items()) for has in resources)


def _run(
    tasks: list[Task],
    params: dict[str, Any],
    output_dir: Path,
    seal: Path,
    options: argparse.Namespace,
    report: Report,
) -> int:
    size = options.jobs or _room(options.num_cpus, options.num_gpus)
    if not size:
        raise ClusterError(
            f"No node has {options.num_cpus:g} CPUs and {options.num_gpus:g} GPUs: "
            "request less with --num-cpus and --num-gpus."
        )
    transcriber = ray.remote(actor.Transcriber).options(
        num_cpus=options.num_cpus, num_gpus=options.num_gpus, scheduling_strategy="SPREAD"
    )
    progress = Progress(tasks)
    with Interrupt() as interrupt, BatchBar(progress) as bar:
        Pool(
            tasks,
            params_of=lambda task: page_plays({**params, **task.params}, task.path, task.folder),
            start=partial(transcriber.remote, output_dir, Path.cwd(), resume=options.resume),
            check=lambda started: started.blind.remote(seal),
            size=size,
            attempts=options.attempts,
            report=report,
            progress=progress,
            interrupt=interrupt,
            on_line=partial(tell, bar),
            on_tick=lambda: bar.draw(report.counts["failed"]),
            say=bar.write,
        ).run()
    return sum_up(report, progress, interrupt)


if __name__ == "__main__":
    sys.exit(main())
