"""A recording on stdin: any container, through a pipe, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    MODEL,
    RECORDINGS,
    WORKER,
    encode,
    long_recording,
    samples_of,
    wait_until,
)
from tests.test_cli import on_a_terminal

SPEECH = RECORDINGS / "en-01.flac"
QUICK = ["--model", str(MODEL), "--option", "temperature=0", "--option", "beamSize=1"]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which must be empty in the end."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    yield place
    assert list(place.iterdir()) == []


def pipe(data: bytes, *args: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with data in a pipe."""
    command = [*WORKER, *map(str, args)]
    return subprocess.run(command, input=data, capture_output=True, env={**os.environ, **variables})


@pytest.fixture(params=["flac", "mp4", "mkv"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A recording in a container; that of mp4 names its samples at the end, behind them."""
    if request.param == "flac":
        return SPEECH.read_bytes()
    file = encode(tmp_path / f"x.{request.param}", samples_of(SPEECH.name), "aac", video=True)
    content = file.read_bytes()
    assert request.param != "mp4" or content.index(b"moov") > content.index(b"mdat")
    return content


def test_a_recording_of_any_container_is_transcribed(recording: bytes) -> None:
    done = pipe(recording, "transcribe", "-", *QUICK, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    result = json.loads(done.stdout)
    assert result["file"] == "-"
    assert result["segments"]
    assert result["duration"] == pytest.approx(3.9, abs=0.2)


@pytest.mark.parametrize(("args", "name"), [([], "stdin"), (["--name", "talk"], "talk")])
def test_its_files_have_a_name_and_no_path_of_ours(
    tmp_path: Path, args: list[str], name: str
) -> None:
    to = ["--formats", "txt,html", "--output-dir", tmp_path / "out"]
    done = pipe(SPEECH.read_bytes(), "transcribe", "-", *QUICK, *to, *args)
    assert (done.returncode, done.stderr) == (0, b"")
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "out").iterdir()}
    assert set(written) == {f"{name}.txt", f"{name}.html"}
    assert "transcription-worker-stdin" not in written[f"{name}.html"]


def test_it_stands_among_files(tmp_path: Path) -> None:
    to = ["--formats", "txt", "--output-dir", tmp_path / "out"]
    (tmp_path / "stdin.flac").write_bytes(SPEECH.read_bytes())
    args = ["-", tmp_path / "stdin.flac", RECORDINGS / "de-01.flac", *QUICK, *to]
    assert pipe(SPEECH.read_bytes(), "transcribe", *args).returncode == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"stdin.txt", "stdin.flac.txt", "de-01.txt"}


@pytest.mark.parametrize(
    ("data", "variables", "said"),
    [
        (b"", {}, "stdin is empty. Pipe a recording into it"),
        (b"x" * 5000, {}, "cannot be decoded"),
        (
            b"x" * 5000,
            {"TRANSCRIPTION_WORKER_MAX_AUDIO_SIZE": "4999"},
            "more than 4999 bytes, the limit. Compress it",
        ),
    ],
    ids=["empty", "no recording", "too large"],
)
def test_what_is_no_recording_is_refused_with_a_sentence(
    data: bytes, variables: dict[str, str], said: str
) -> None:
    done = pipe(data, "transcribe", "-", *QUICK, **variables)
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr.decode()
    assert done.stderr.startswith(b"-: ")
    assert b"Traceback" not in done.stderr
    assert b"transcription-worker-stdin" not in done.stderr


def test_an_endless_stream_is_read_no_further_than_the_limit() -> None:
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [*WORKER, "transcribe", "-", *QUICK],
            stdin=endless,
            capture_output=True,
            env={**os.environ, "TRANSCRIPTION_WORKER_MAX_AUDIO_SIZE": "10000000"},
        )
    assert done.returncode == 1
    assert b"more than 10000000 bytes" in done.stderr


@pytest.mark.parametrize("args", [["-", "-"], ["-", str(SPEECH), "--name", "x"]])
def test_stdin_holds_one_recording_and_a_name_is_of_one(args: list[str]) -> None:
    done = pipe(SPEECH.read_bytes(), "transcribe", *args, *QUICK)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr


def test_a_terminal_is_refused() -> None:
    out, shown = on_a_terminal([*WORKER, "transcribe", "-", *QUICK])
    assert out == b""
    assert b"stdin is a terminal: pipe a recording into it" in shown


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("ended", [False, True], ids=["while reading", "while transcribing"])
def test_nothing_is_left_after_a_signal(
    tmp_path: Path, scratch: Path, name: str, ended: bool
) -> None:
    content = long_recording(tmp_path / "long.wav", times=8).read_bytes()
    process = subprocess.Popen(
        [*WORKER, "transcribe", "-", "--model", str(MODEL)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin and process.stdout
    process.stdin.write(content)
    process.stdin.flush()
    if ended:
        process.stdin.close()
        assert process.stdout.readline()
    wait_until(lambda: list(scratch.glob("transcription-worker-stdin-*/stdin")))
    process.send_signal(getattr(signal, name))
    assert process.wait(20) == (130 if name == "SIGINT" else 128 + getattr(signal, name))
    process.stdout.close()
    process.stdin.close()


# In a batch ------------------------------------------------------------------------------------


def batch(tmp_path: Path, lines: list[dict[str, Any]], data: bytes, *args: str) -> Any:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    to = ["--formats", "txt,html", "--output-dir", out]
    done = pipe(data, "batch", "--manifest", manifest, *to, *QUICK, *args)
    report = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    return done, report, {path.name for path in out.glob("[a-z]*.*") if path.suffix != ".jsonl"}


def test_a_manifest_takes_a_recording_from_stdin(tmp_path: Path) -> None:
    lines = [{"audio": "-", "language": "en"}, {"audio": str(RECORDINGS / "de-01.flac")}]
    for status in ("ok", "skipped"):
        done, report, names = batch(tmp_path, lines, SPEECH.read_bytes(), "--resume")
        assert done.returncode == 0, done.stderr
        assert {line["input"]: line["status"] for line in report} == {
            "-": status,
            str(RECORDINGS / "de-01.flac"): status,
        }
        assert names == {"stdin.txt", "stdin.html", "de-01.txt", "de-01.html"}
    assert "transcription-worker-stdin" not in (tmp_path / "out" / "stdin.html").read_text("utf-8")


def test_a_manifest_reads_stdin_once_and_its_failure_fails_alone(tmp_path: Path) -> None:
    lines = [{"audio": "-"}, {"audio": "-", "name": "x"}, {"audio": str(SPEECH)}]
    done, report, names = batch(tmp_path, lines, b"")
    assert done.returncode == 1
    kinds = [line["error"] and line["error"]["kind"] for line in report]
    assert sorted(kinds, key=str) == [None, "audio_empty", "invalid_params"]
    assert names == {"en-01.txt", "en-01.html"}


def test_stdin_cannot_hold_manifest_and_recording(tmp_path: Path) -> None:
    line = json.dumps({"audio": "-"}).encode()
    done = pipe(line, "batch", "--output-dir", tmp_path / "out", *QUICK)
    assert done.returncode == 1
    assert b"stdin holds the manifest; give that by --manifest" in done.stderr


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    done = pipe(b"", "batch", "--manifest", "nowhere.jsonl", "--output-dir", tmp_path / "out")
    assert done.returncode == 2
    assert b"nowhere.jsonl: No such file" in done.stderr
