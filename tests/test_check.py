"""`transcription-worker check` and `diagnose`: what people and scripts see of the probe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.hub import serving
from tests.support import TOKEN, WORKER, wait_until_gone
from tests.test_probe import TORCH, Faults

ESCAPE = "\033["


@pytest.fixture(autouse=True, scope="module")
def _on_the_cpu() -> None:
    """The probe looks for this machine's devices."""


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(tmp_path / "faults", monkeypatch)


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORKER, *args], capture_output=True, text=True, env=os.environ | environment
    )


def on_a_terminal(*args: str, **environment: str) -> str:
    """What a terminal shows of stdout."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", **environment}
    process = subprocess.Popen([*WORKER, *args], stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # EIO: the other side is closed
            break
        shown += data
    os.close(ours)
    process.wait()
    return shown.decode()


@pytest.mark.parametrize(
    "args", [("-c", "import whisperx"), ("-cimport torch",), ("-m", "pip", "list")]
)
def test_interpreter_options_are_refused_in_one_line(args: tuple[str, ...]) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "check" in done.stderr and "diagnose" in done.stderr


def test_check_exits_with_0_for_importable_packages() -> None:
    done = run("check", "orjson", "faster_whisper")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["PACKAGE", "VERSION", "STATE", "IMPORT"]
    assert re.match(r"orjson +\d+\.\S+ +ok +\d+\.\d s$", rows[0])
    assert rows[1].startswith("faster-whisper")
    assert rows[-1] == "Everything works."


def test_check_exits_with_1_and_a_remedy_for_broken_packages() -> None:
    done = run("check", "orjson", "no_such_package")
    assert done.returncode == 1
    assert "error: no_such_package is not installed." in done.stdout
    assert "pip install no_such_package" in done.stdout
    assert done.stdout.endswith("Not available: no_such_package.\n")


def test_check_without_names_checks_the_flavour(faults: Faults) -> None:
    faults.hide(*TORCH)
    lite = run("check")
    assert lite.returncode == 0
    rows = [line.split()[0] for line in lite.stdout.splitlines()[1:7]]
    assert rows == [
        *("faster-whisper", "ctranslate2", "whisperx", "pyannote.audio", "torch", "torchaudio"),
    ]
    assert "not needed" in lite.stdout
    assert run("check", "whisperx").returncode == 1
    faults.hide("ctranslate2")
    assert run("check", "faster-whisper").returncode == 1


@pytest.mark.parametrize(
    "args", [("check", "@hub"), ("check", "../x"), ("check", "--timeout", "0"), ("diagnose", "x")]
)
def test_wrong_usage_exits_with_2(args: tuple[str, ...]) -> None:
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")


def test_the_time_limit_is_the_users(faults: Faults) -> None:
    faults.package("av", "import threading\nthreading.Event().wait()")
    done = run("check", "av", "--timeout", "1.5")
    assert done.returncode == 1
    assert "took longer than 1.5 s" in done.stdout


def test_colour_is_for_terminals_that_want_it() -> None:
    assert ESCAPE in on_a_terminal("check", "orjson")
    assert ESCAPE not in on_a_terminal("check", "orjson", NO_COLOR="1")
    assert ESCAPE not in on_a_terminal("check", "orjson", TERM="dumb")
    assert ESCAPE not in run("check", "orjson").stdout


def test_diagnose_ends_with_its_verdict(faults: Faults) -> None:
    faults.hide(*TORCH)
    with serving() as hub:
        hub.accounts = {TOKEN: "somebody"}
        page = run("diagnose", "--online", HF_ENDPOINT=hub.url)
    assert (page.returncode, page.stderr) == (0, "")
    for text in ("processor", "ENVIRONMENT", "fasterWhisper  ready", "reachable", "of somebody"):
        assert text in page.stdout
    assert page.stdout.endswith("Everything works. Score: 100 of 100.\n")
    assert TOKEN not in page.stdout

    faults.package("orjson", "import os\nprint('to stdout')\nos.abort()")
    page = run("diagnose")
    assert page.returncode == 1
    assert "Importing orjson crashed: its process was ended by SIGABRT." in page.stdout
    assert page.stdout.endswith("Problems found. Score: 0 of 100.\n")


def test_a_program_that_cannot_start_says_why_in_one_line(faults: Faults) -> None:
    faults.package("msgspec", "raise ImportError('_core.so: invalid ELF header')")
    for command in ("check", "diagnose"):
        done = run(command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "invalid ELF header" in done.stderr and "Reinstall it" in done.stderr


def test_ctrl_c_ends_it_and_its_children(faults: Faults, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    faults.package(
        "av",
        f"import os, threading\nopen({str(pipe)!r}, 'w').write(str(os.getpid()))\n"
        "threading.Event().wait()",
    )
    process = subprocess.Popen(
        [*WORKER, "check", "av"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    child = int(pipe.read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"\ninterrupted\n")
    wait_until_gone([child])
