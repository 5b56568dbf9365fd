"""Runs the conformance vectors, the tests, and a frozen worker under Wine.

    python -m tests.wine [--place FOLDER] [PYTEST ARGUMENT…]

With arguments for pytest, runs those tests alone. Needs root on Linux (x86-64); the first time
also a network.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from tests.wine import place

PYTHON = ["wine", "C:/Python/python.exe"]
PYTEST = [*PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.wine.left_out"]
FROZEN = "C:/frozen/dist/transcription-worker/transcription-worker.exe"
TESTS = [
    *("session", "cancel", "engine", "on_windows", "paths", "bad_input", "stdin", "scratch"),
    *("framing", "writer", "handler", "envelope", "escaping", "limits"),
    *("cli", "check", "environment", "probe", "export", "formats"),
    *("transcribe", "audio", "containers"),
]
"""What asks most of the system, and what the packages for Windows do."""
FROZEN_TESTS = ["session", "cancel", "cli", "transcribe"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wine", description=__doc__)
    parser.add_argument("--place", type=Path, default=place.ROOT / "build" / "wine")
    options, pytest_arguments = parser.parse_known_args()
    if sys.platform != "linux" or os.getuid():
        print("Needs Linux and root: it makes a Debian in a folder, and mounts.", file=sys.stderr)
        return 1
    options.place.mkdir(parents=True, exist_ok=True)
    with (options.place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two Wines with the same files would disturb each other
        root = place.make(options.place)
        if pytest_arguments:
            return run(root, [*PYTEST, *pytest_arguments])
        return everything(root)


def everything(root: Path) -> int:
    """Each step, whether the one before went well or not; 1 if any did not."""
    conformance = [*PYTHON, "-m", "protocol.conformance", "--profile", "worker", "--"]
    folders = ["--workpath", "C:/frozen/work", "--distpath", "C:/frozen/dist"]
    freeze = [*PYTHON, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "worker.spec"]
    steps = {
        "diagnose": [*PYTHON, "-m", "worker", "diagnose"],
        "conformance": [*conformance, "C:/Python/python.exe", "-m", "worker"],
        "tests": [*PYTEST, *files(TESTS)],
        # A package that the tests compare words by has such a sequence; pip compiles it elsewhere.
        "real speech": [
            *(*PYTEST, "-W", "ignore:invalid escape sequence:DeprecationWarning"),
            "tests/real/test_samples.py",
        ],
        "freeze": ["env", "FLAVOR=lite", *freeze, *folders],
        "frozen: conformance": [*conformance, FROZEN],
        "frozen: tests": ["env", f"TEST_WORKER={FROZEN}", *PYTEST, *files(FROZEN_TESTS)],
    }
    failed = [name for name, words in steps.items() if announce(name) or run(root, words)]
    print(f"Failed: {', '.join(failed)}." if failed else "All of it passed, under Wine.")
    return bool(failed)


def files(names: list[str]) -> list[str]:
    return ["-m", "not slow", *(f"tests/test_{name}.py" for name in names)]


def announce(name: str) -> None:
    print(f"\n=== {name}, under Wine", flush=True)


def run(root: Path, words: list[str]) -> int:
    """Run a command in the place; return its exit code."""
    return subprocess.run(place.command(root, words), cwd=place.ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
