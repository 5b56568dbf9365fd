"""The command line for people."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from protocol.errors import RpcError
from tests.measures import word_errors
from tests.support import MODEL, RECORDINGS, WORKER, load_truth
from worker import __version__
from worker.cli.telling import of_warning
from worker.pipeline.stage import stage_failed

SPEECH = RECORDINGS / "en-01.flac"


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WORKER, *map(str, args)], capture_output=True, text=True)


def test_transcribe_prints_segments_with_their_times() -> None:
    done = run("transcribe", SPEECH, "--model", MODEL)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(line.startswith("[0:00:0") for line in lines)
    words = " ".join(line.partition("] ")[2] for line in lines).split()
    assert word_errors(load_truth()[SPEECH.name]["text"].split(), words) <= 1


def test_transcribe_json_prints_one_result_per_line() -> None:
    done = run("transcribe", SPEECH, RECORDINGS / "de-01.flac", "--model", MODEL, "--json")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(result["file"]).name for result in results] == ["en-01.flac", "de-01.flac"]
    assert all(result["segments"] for result in results)


def test_a_failed_file_fails_alone_and_sets_the_exit_code() -> None:
    done = run("transcribe", "nowhere.wav", SPEECH, "--model", MODEL)
    assert done.returncode == 1
    assert "There is no file" in done.stderr
    assert done.stdout


def test_any_param_is_an_option_and_warnings_are_shown() -> None:
    done = run(
        "transcribe", SPEECH, "--model", MODEL, "--engine", "faster-whisper",
        "--option", "temperature=0", "--option", "bestOf=2", "--option", "hotwords=left right",
    )  # fmt: skip
    assert done.returncode == 0
    assert "bestOf has no effect" in done.stderr
    assert run("transcribe", SPEECH, "--option", "nonsense").returncode == 2
    wrong = run("transcribe", SPEECH, "--model", MODEL, "--option", "beamSzie=2")
    assert "Did you mean beamSize?" in wrong.stderr


def test_subtitles_are_written_to_the_output_folder(tmp_path: Path) -> None:
    done = run(
        "transcribe", SPEECH, "--model", MODEL, "--formats", "srt,vtt", "--output-dir", tmp_path
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["en-01.srt", "en-01.vtt"]
    assert " --> " in (tmp_path / "en-01.srt").read_text("utf-8")
    wrong = run("transcribe", SPEECH, "--model", MODEL, "--formats", "docx")
    assert wrong.returncode == 1
    assert "Expected one of ass, csv" in wrong.stderr


def test_each_file_has_subtitles_of_its_own(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for copy in (tmp_path / "a.flac", tmp_path / "a.fla", other / "A.FLAC"):
        shutil.copy(SPEECH, copy)
    inputs = [tmp_path / "a.flac", tmp_path / "a.fla", other / "A.FLAC", RECORDINGS / "de-01.flac"]
    to = ["--formats", "srt", "--output-dir", tmp_path / "out"]
    done = run("transcribe", *inputs, tmp_path / "a.flac", "--model", MODEL, *to)
    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["A.FLAC-2.srt", "a.fla.srt", "a.flac.srt", "de-01.srt"]


def test_offline_never_fetches_a_model() -> None:
    done = run("transcribe", SPEECH, "--model", "tiny", "--offline")
    assert done.returncode == 1
    assert "not on this machine" in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    command = [*WORKER, "models", "list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_version_and_help() -> None:
    assert run("--version").stdout == f"transcription-worker {__version__}\n"
    assert "transcribe files from the terminal" in run("--help").stdout
    assert run("--no-such-option").returncode == 2


def on_a_terminal(
    command: Sequence[str | Path], keys: bytes = b"", env: dict[str, str] | None = None
) -> tuple[bytes, bytes]:
    """Run with stdin and stderr on a pseudo terminal; return (stdout, what the terminal shows)."""
    import fcntl
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=env
    )
    os.close(theirs)
    shown = b""
    if keys:
        while b"Ctrl-D" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, keys)
    assert process.stdout
    out = process.stdout.read()
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # EIO: the other side is closed
            break
        shown += data
    process.stdout.close()
    process.wait()
    os.close(ours)
    return out, shown


def test_a_terminal_says_what_it_expects() -> None:
    out, shown = on_a_terminal(WORKER, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n\x04')
    assert b"serving JSON-RPC 2.0" in shown
    assert json.loads(out) == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_a_terminal_shows_a_progress_bar() -> None:
    out, shown = on_a_terminal([*WORKER, "transcribe", SPEECH, "--model", MODEL])
    assert b"recognition" in shown
    assert out.startswith(b"[0:00:0")


def test_a_failed_stage_is_told_with_its_remedy() -> None:
    error = RpcError("engine_unavailable", "torch is missing.", remedy="Install it.")
    notice = stage_failed("align", error)
    assert of_warning(msgspec.to_builtins(notice)) == "torch is missing. Install it."
    assert of_warning({"kind": "damaged", "message": "It is damaged."}) == "It is damaged."
