"""`python -m benchmarks.protocol`: prints tables on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import common
from benchmarks.protocol import control, forwarding, peers, report


def main() -> int:
    """Measure, print the tables, and return 0; a missed target is not a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocol", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="rounds (default: 7, with --quick 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("process costs can only be read on Linux")
    peers.prepare()

    rounds = options.rounds or (3 if options.quick else 7)
    notifications = 50_000 if options.quick else 200_000
    seconds = 0.5 if options.quick else 1.5
    contenders = peers.contenders()
    measured = {contender.name: control.Rounds() for contender in contenders}
    imports = report.Imports()
    passed = forwarding.Forwarding()
    common.say("warming up …")
    for contender in contenders:
        control.measure_start(contender, None)
    control.measure_imports()
    for number in range(rounds):
        common.say(f"round {number + 1} of {rounds} …")
        wall, cpu = control.measure_imports()
        imports.wall.append(wall)
        imports.cpu.append(cpu)
        for contender in contenders:
            control.measure_start(contender, measured[contender.name])
        for contender in contenders:
            control.measure_requests(contender, measured[contender.name])
        forwarding.measure(passed, notifications, seconds)

    packages = common.versions(("orjson", "msgspec")) | peers.peer_versions()
    conditions = common.conditions(packages)
    promises = list(report.promises(measured, imports, passed))
    sections = (
        ("Control requests", report.requests_table(measured)),
        ("Start", report.start_table(measured, imports)),
        ("Forwarding", report.forwarding_table(passed)),
        ("Pings beside a busy engine", report.busy_table(passed, measured[report.OURS])),
        ("Promises", report.promises_table(promises)),
    )
    print(f"Medians of {rounds} interleaved rounds. {conditions}.")
    for title, text in sections:
        print(f"\n### {title}\n\n{text}")
    if options.json:
        document = report.document(measured, imports, passed, promises, conditions)
        common.write_json(options.json, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
