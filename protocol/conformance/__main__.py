"""`python -m protocol.conformance [options] -- COMMAND ARGS…`: tests whether COMMAND conforms."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from protocol.conformance.runner import DEFAULT_TIME_LIMIT, Session
from protocol.conformance.vectors import DEFAULT_MAX_LINE_BYTES, load_vectors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the vectors; return 0 if all pass, 1 if one fails, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m protocol.conformance",
        description="Run the conformance vectors against a server that speaks newline-delimited "
        "JSON-RPC 2.0 on its stdin and stdout.",
        epilog="Example: python -m protocol.conformance --profile worker -- python -m worker",
    )
    parser.add_argument(
        "--profile",
        choices=["core", "worker"],
        default="core",
        help="core: JSON-RPC 2.0, one message per line; worker: also this project's methods",
    )
    parser.add_argument(
        "--only", metavar="PATTERN", help="vectors whose file/name contains (with *: matches) it"
    )
    parser.add_argument(
        "--ping-method", metavar="NAME", default="ping", help="a method that takes no params"
    )
    parser.add_argument(
        "--max-line-bytes",
        metavar="N",
        type=int,
        default=DEFAULT_MAX_LINE_BYTES,
        help="the longest line that the server accepts, if its initialize does not say so",
    )
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=float, default=DEFAULT_TIME_LIMIT, help="per vector"
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON object")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGS")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command: name it after --")
    vectors = load_vectors(options.profile, options.only)
    if not vectors:
        parser.error(f"no vector of the profile matches {options.only!r}")

    session = Session(
        command,
        ping_method=options.ping_method,
        max_line_bytes=options.max_line_bytes,
        time_limit=options.time_limit,
    )
    started = time.monotonic()
    failures = []
    try:
        for vector in vectors:
            if failure := session.run(vector):
                failures.append(failure)
                if not options.json:
                    print(failure, flush=True)
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        return 2
    finally:
        stray = session.close()
    if stray:
        failures.append(stray)
        if not options.json:
            print(stray)
    failed_names = {failure.name for failure in failures}
    passed = sum(vector.full_name not in failed_names for vector in vectors)
    if options.json:
        report = {
            "passed": passed,
            "failed": len(failures),
            "hasExampleMethods": session.has_examples,
            "failures": [asdict(failure) for failure in failures],
            "vectors": [
                {
                    "name": v.full_name,
                    "section": v.section,
                    "passed": v.full_name not in failed_names,
                }
                for v in vectors
            ],
        }
        print(json.dumps(report, indent=2))
    else:
        if session.has_examples is False:
            print(
                "The server does not have the methods of the specification's examples: where an "
                "example has a result, -32601 was expected."
            )
        print(f"{passed} passed, {len(failures)} failed in {time.monotonic() - started:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
