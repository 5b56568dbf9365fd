"""Coverage-guided fuzzing of a target with atheris: `python -m tests.fuzz.coverage TARGET ARGS`.

The arguments are libFuzzer's, which ends the process: `guided` runs it in a child process.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.fuzz import corpus

MOST_BYTES: Final = {"framing": 256, "dispatch": 1024, "params": 512, "transcripts": 384}
"""Maximum length of an input: enough for the grammar, so that many inputs are tried."""


def guided(target: str, seconds: int, seed: int) -> int:
    """Fuzz, and keep the smallest corpus with the same coverage; return the exit code."""
    from tests.fuzz.seeds import seeds, words

    with tempfile.TemporaryDirectory() as scratch:
        found, smallest = Path(scratch, "found"), Path(scratch, "smallest")
        for folder in (found, smallest):
            folder.mkdir()
        for i, each in enumerate([*seeds(target), *corpus.read(target)]):
            (found / f"seed-{i}").write_bytes(each)
        options = [f"-max_len={MOST_BYTES[target]}", "-timeout=20", "-verbosity=1"]
        if words(target):
            dictionary = Path(scratch, "words")
            dictionary.write_text("".join(f"{_quoted(each)}\n" for each in words(target)), "utf-8")
            options.append(f"-dict={dictionary}")
        crash = f"-artifact_prefix={scratch}/broken-"
        code, log = _run(
            target, *options, crash, f"-max_total_time={seconds}", f"-seed={seed}",
            "-print_final_stats=1", str(found),
        )  # fmt: skip
        covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", log)
        executed = re.findall(r"^#(\d+)\s", log, re.MULTILINE)
        print(
            f"{target}: {executed[-1] if executed else 0} executions, "
            f"{covered[-1][0] if covered else 0} edges, "
            f"{covered[-1][1] if covered else 0} features"
        )
        broken = [path.read_bytes() for path in Path(scratch).glob("broken-*")]
        if broken:
            print(log[log.find("=== Uncaught") :], *broken, sep="\n")
        merged, merge_log = _run(target, *options, crash, "-merge=1", str(smallest), str(found))
        if merged:
            print(merge_log[-2000:])
            return merged
        kept = [path.read_bytes() for path in smallest.iterdir()]
        corpus.write(target, kept + broken)
        print(f"{target}: {len(kept)} inputs kept, {sum(map(len, kept))} bytes")
        return code


def _run(target: str, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.coverage", target, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


def _quoted(word: str) -> str:
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}"
        for byte in word.encode()
    )
    return f'"{escaped}"'


def _main(target: str, arguments: list[str]) -> None:
    atheris: Any = import_module("atheris")  # it has no types
    with atheris.instrument_imports(include=["protocol", "worker"]):
        from tests.fuzz.targets import TARGETS
    # The worker's warnings about unknown notifications would fill the log.
    os.environ["TRANSCRIPTION_WORKER_LOG"] = "error"
    # To merge, libFuzzer runs its first argument again in a shell.
    again = f"{shlex.quote(sys.executable)} -m tests.fuzz.coverage {target}"
    atheris.Setup([again, *arguments], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
