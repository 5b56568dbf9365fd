"""`transcription-worker live`: any input as it comes, lines as they are said, and every end.

Most tests run it with the worker of `tests.live_fake`, which says a line for each second it hears.
"""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.containers import RATE, Track, beeps, heard, write
from tests.live_fake import PROGRAM
from tests.support import MODEL, WORKER, samples_of, wait_until
from worker.cli import run
from worker.cli.screen import Screen, tail

TIMES = [0.5, 1.25, 2.0]
RAW = ["--rate", "16000"]


class Live:
    """The program with the fake worker, and what that heard."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "heard.jsonl"

    def popen(self, *args: str | Path, mode: str = "", **kwargs: Any) -> subprocess.Popen[bytes]:
        piped = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            [*PROGRAM, "live", *map(str, args)],
            env={**os.environ, "MODE": mode, "HEARD": str(self.log)},
            bufsize=0,
            **{**piped, **kwargs},
        )

    def __call__(
        self, data: bytes, *args: str | Path, mode: str = ""
    ) -> subprocess.CompletedProcess[str]:
        process = self.popen(*args, mode=mode)
        out, err = process.communicate(data, timeout=60)
        return subprocess.CompletedProcess(
            process.args, process.returncode, out.decode(), err.decode()
        )

    def requests(self, method: str) -> list[Any]:
        """The params of each request, in order."""
        lines = self.log.read_text().rpartition("\n")[0].splitlines()  # one may be unfinished
        messages = [json.loads(line) for line in lines]
        return [each["params"] for each in messages if each["method"] == method]

    def audio(self) -> bytes:
        return b"".join(base64.b64decode(each["audio"]) for each in self.requests("live/append"))

    def has_heard(self, size: int) -> bool:
        return self.log.exists() and len(self.audio()) >= size

    def samples(self) -> npt.NDArray[np.int16]:
        return np.frombuffer(self.audio(), "<i2")


@pytest.fixture
def live(tmp_path: Path) -> Live:
    return Live(tmp_path)


def pcm16(seconds: float, channels: int = 1) -> bytes:
    return np.random.default_rng(1).integers(
        -3000, 3000, round(16_000 * seconds) * channels, dtype=np.int16
    ).tobytes()  # fmt: skip


def wav(samples: npt.NDArray[np.int16], length: int | None = None) -> bytes:
    """A WAV, which may state another length, as those that write to a pipe do."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(samples.tobytes())
    content = file.getvalue()
    if length is None:
        return content
    stated = struct.pack("<I", length)
    return content[:4] + stated + content[8:40] + stated + content[44:]


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    line = b""
    while not line.endswith(b"\n"):
        char = process.stdout.read(1)
        if not char:
            break
        line += char
    return line


# The input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["pcm16", "float32"])
def test_samples_arrive_as_they_are(live: Live, format_: str) -> None:
    data = pcm16(2.5)
    if format_ == "float32":
        data = (np.frombuffer(data, "<i2") / 32768).astype("<f4").tobytes()
    done = live(data, *RAW, "--format", format_)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "[0:00:00.000 - 0:00:01.000] second 0",
        "[0:00:01.000 - 0:00:02.000] second 1",
        "[0:00:02.000 - 0:00:03.000] the rest",
    ]
    assert live.audio() == data
    (params,) = live.requests("live/transcribe")
    assert (params["format"], params["sampleRate"]) == (format_, 16_000)


def test_a_half_sample_at_the_end_is_no_sample(live: Live) -> None:
    assert live(pcm16(1.5) + b"x", *RAW).returncode == 0
    assert live.audio() == pcm16(1.5)


def test_channels_are_mixed(live: Live) -> None:
    data = pcm16(1.5, channels=2)
    assert live(data, *RAW, "--channels", "2").returncode == 0
    assert np.abs(live.samples() - np.frombuffer(data, "<i2").reshape(-1, 2).mean(1)).max() < 1


@pytest.mark.parametrize("length", [None, 0, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_decoded_to_its_end(live: Live, length: int | None) -> None:
    done = live(wav(beeps(TIMES, 3.0), length))
    assert (done.returncode, done.stderr) == (0, "")
    assert heard(live.samples()) == pytest.approx(TIMES, abs=0.02)
    assert len(live.samples()) / 16_000 == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_f32le"])
def test_a_wav_has_any_samples(live: Live, tmp_path: Path, codec: str) -> None:
    stereo = np.stack([beeps(TIMES, 3.0)] * 2)
    content = write(tmp_path / "x.wav", Track(stereo), codec=codec).read_bytes()
    done = live(content + b"LIST" + struct.pack("<I", 40_000) + b"\xff" * 40_000)
    assert (done.returncode, done.stderr) == (0, "")
    assert heard(live.samples()) == pytest.approx(TIMES, abs=0.02)
    assert len(live.samples()) / 16_000 == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("suffix", ["ogg", "ts"])
def test_what_is_joined_goes_on(live: Live, tmp_path: Path, suffix: str) -> None:
    content = write(tmp_path / f"x.{suffix}", Track(beeps(TIMES, 3.0))).read_bytes()
    assert live(content * 2).returncode == 0
    assert heard(live.samples()) == pytest.approx([*TIMES, *(t + 3 for t in TIMES)], abs=0.15)


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "aac", "flac", "ts", "webm"])
def test_containers_are_decoded_from_a_pipe(live: Live, tmp_path: Path, suffix: str) -> None:
    has_video = suffix in ("ts", "webm")
    file = write(tmp_path / f"x.{suffix}", Track(beeps(TIMES, 3.0)), video=3.0 * has_video)
    done = live(file.read_bytes())
    assert (done.returncode, done.stderr) == (0, "")
    assert heard(live.samples()) == pytest.approx(TIMES, abs=0.06)


def test_a_hole_in_the_time_stamps_is_silence(live: Live, tmp_path: Path) -> None:
    track = Track(beeps(TIMES, 3.0), gap=(1.0, 4.0))
    assert live(write(tmp_path / "x.mkv", track).read_bytes()).returncode == 0
    assert heard(live.samples()) == pytest.approx([0.5, 5.25, 6.0], abs=0.06)


def test_audio_that_begins_late_is_found(live: Live, tmp_path: Path) -> None:
    file = write(tmp_path / "x.ts", Track(beeps(TIMES, 3.0), late=2.0), video=6.0)
    assert live(file.read_bytes()).returncode == 0
    assert heard(live.samples()) == pytest.approx([time + 2 for time in TIMES], abs=0.06)


@pytest.mark.parametrize("suffix", ["wav", "ts"])
def test_lines_come_while_the_pipe_is_open(live: Live, tmp_path: Path, suffix: str) -> None:
    samples = beeps(TIMES, 3.0)
    if suffix == "wav":
        content = wav(samples, 0xFFFFFFFF)
    else:
        content = write(tmp_path / f"x.{suffix}", Track(samples)).read_bytes()
    with live.popen() as process:
        assert process.stdin
        process.stdin.write(content[: len(content) * 3 // 4])  # 2.25 s
        assert read_line(process).endswith(b"second 0\n")
        process.stdin.write(content[len(content) * 3 // 4 :])
        process.stdin.close()
        assert read_line(process).endswith(b"second 1\n")
        assert process.wait(20) == 0


def test_samples_wait_for_no_block_to_fill(live: Live) -> None:
    with live.popen(*RAW) as process:
        assert process.stdin
        for number in range(1, 6):
            process.stdin.write(pcm16(0.1))
            wait_until(partial(live.has_heard, number * 3200))
        process.stdin.close()


def test_a_quiet_pipe_stays_open(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIVE", "0.3")
    with live.popen(*RAW) as process:
        assert process.stdin
        process.stdin.write(pcm16(1))
        assert read_line(process)
        time.sleep(0.8)
        process.stdin.close()
        assert process.wait(20) == 0
    assert live.requests("live/append")[-1]["audio"] == ""
    assert live.audio() == pcm16(1)


@pytest.mark.parametrize("args", [[], RAW])
def test_a_file_is_read(live: Live, tmp_path: Path, args: list[str]) -> None:
    file = tmp_path / "x"
    file.write_bytes(pcm16(3) if args else wav(beeps(TIMES, 3.0)))
    done = live(b"", file, *args)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(live.samples()) / 16_000 == pytest.approx(3, abs=0.01)
    if not args:
        assert heard(live.samples()) == pytest.approx(TIMES, abs=0.02)


def test_a_named_pipe_is_read(live: Live, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with live.popen(tmp_path / "x") as process:
        (tmp_path / "x").write_bytes(wav(beeps(TIMES, 3.0), 0))
        assert process.wait(20) == 0
    assert heard(live.samples()) == pytest.approx(TIMES, abs=0.02)


def test_realtime_takes_as_long_as_the_audio(live: Live, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcm16(1.5))
    began = time.monotonic()
    assert live(b"", tmp_path / "x", *RAW, "--realtime").returncode == 0
    assert time.monotonic() - began >= 1.5


# How much the worker gets ------------------------------------------------------------------------


def test_a_file_is_sent_no_faster_than_the_worker_takes_it(live: Live, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcm16(40))
    done = live(b"", tmp_path / "x", *RAW, "--json", mode="slow")
    assert 0 < json.loads(done.stdout)["most"] < 20
    assert live.audio() == pcm16(40)


def test_what_is_live_is_sent_at_once(live: Live) -> None:
    done = live(pcm16(40), *RAW, "--json", mode="stuck")
    assert json.loads(done.stdout)["most"] == 40


def test_refused_audio_is_sent_again(live: Live) -> None:
    assert live(pcm16(3.5), *RAW, mode="full").returncode == 0
    sizes = [len(each["audio"]) for each in live.requests("live/append")]
    assert sizes[0] == sizes[1] == sizes[2] == sizes[3]
    sent = [base64.b64decode(each["audio"]) for each in live.requests("live/append")]
    assert b"".join(sent[3:]) == pcm16(3.5)


# The output --------------------------------------------------------------------------------------


def test_a_segment_that_comes_again_is_printed_once(live: Live) -> None:
    done = live(pcm16(2), *RAW, "--align", mode="aligns")
    assert [line.partition("] ")[2] for line in done.stdout.splitlines()] == [
        "second 0",
        "second 1",
    ]
    assert live.requests("live/transcribe")[0]["align"] == {}


def test_speakers_are_printed_at_the_end(live: Live) -> None:
    done = live(pcm16(2), *RAW, "--max-speakers", "2")
    assert [line.partition("] ")[2] for line in done.stdout.splitlines()] == [
        "SPEAKER_00: second 0",
        "SPEAKER_00: second 1",
    ]
    assert live.requests("live/transcribe")[0]["diarize"] == {"maxSpeakers": 2}


def test_json_is_the_result_in_one_line(live: Live) -> None:
    done = live(pcm16(2), *RAW, "--json")
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["file"] == "-"
    assert [each["text"] for each in result["segments"]] == ["second 0", "second 1"]


def test_partials_come_before_it(live: Live) -> None:
    *partials, result = map(json.loads, live(pcm16(1.5), *RAW, "--partials").stdout.splitlines())
    assert [each["segments"][0]["final"] for each in partials] == [True, False, True]
    assert len(result["segments"]) == 1


def test_warnings_and_silence_are_told(live: Live) -> None:
    done = live(pcm16(0.5), *RAW, mode="warns")
    assert done.returncode == 0
    assert done.stderr == "-: A warning.\n-: no speech found\n"


def test_files_are_written_at_the_end(live: Live, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = 'formatOptions={"maxLineLength":42}'
    to = ["--formats", "srt,html", "--output-dir", str(out), "--record", str(tmp_path / "x.wav")]
    done = live(pcm16(2), *RAW, *to, "--option", options, "--option", "endSilence=0.5")
    assert (done.returncode, done.stderr) == (0, "")
    (params,) = live.requests("export")
    assert [each["text"] for each in params["transcript"]["segments"]] == ["second 0", "second 1"]
    assert params["formats"] == ["srt", "html"]
    assert (params["outputDir"], params["name"]) == (str(out), "stdin")
    assert params["options"] == {"maxLineLength": 42, "audio": "../x.wav"}
    (opened,) = live.requests("live/transcribe")
    assert opened["record"] == str(tmp_path / "x.wav")
    assert opened["endSilence"] == 0.5


def test_a_closed_stdout_ends_it(live: Live) -> None:
    with live.popen(*RAW) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(pcm16(1.2))
        assert read_line(process)
        process.stdout.close()
        process.stdin.write(pcm16(1))
        assert process.wait(20) == 141
        assert process.stderr.read() == b""
    assert live.requests("$/cancelRequest")


# What is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "args", "said"),
    [
        (b"", [], "stdin contains no audio. Pipe audio into it"),
        (b"", RAW, "stdin contains no audio"),
        (pcm16(3), [], "stdin cannot be decoded: Invalid data found when processing input. If it"),
        (b"", ["nowhere.wav"], "There is no file nowhere.wav"),
        (b"", ["."], ". cannot be opened: it is a directory."),
    ],
    ids=["empty", "empty raw", "no audio", "missing", "folder"],
)
def test_what_is_no_audio_is_refused_with_a_sentence(
    live: Live, data: bytes, args: list[str], said: str
) -> None:
    done = live(data, *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not live.log.exists() or not live.requests("live/transcribe")


def test_what_came_before_an_error_is_kept(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_WORKER_MAX_AUDIO_DURATION", "1")
    file = write(tmp_path / "x.aac", Track(beeps(TIMES, 3.0)))
    done = live(b"", file, "--formats", "txt", "--output-dir", tmp_path)
    assert done.returncode == 1
    assert "lasts longer than the limit" in done.stderr
    assert "second 1" in done.stdout
    assert live.requests("export")


def test_a_picture_is_no_audio(live: Live, tmp_path: Path) -> None:
    done = live(write(tmp_path / "x.mkv", video=1.0).read_bytes())
    assert done.returncode == 1
    assert "stdin has no audio stream" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--format", "float32"], "need --rate HZ"),
        (["--rate", "96000"], "sampleRate"),
        (["--rate", "x"], "--rate"),
        ([*RAW, "--format", "mp3"], "--format"),
        ([*RAW, "--channels", "0"], "at least 1"),
        (["--formats", "docx"], "Expected one of ass"),
        (["--formats", "srt", "--name", "a/b"], "name"),
        (["--option", "nonsense"], "--option needs NAME=JSON"),
        (["--option", "endSilense=1"], "Did you mean endSilence?"),
        (["--max-speakers", "0"], "maxSpeakers"),
        (["a", "b"], "unrecognized arguments: b"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_heard(
    capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    try:
        code = run(["live", *args])
    except SystemExit as error:  # of argparse
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert said in err


def test_a_folder_that_cannot_be_made_is_told_before(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    to = ["--formats", "srt", "--output-dir", str(tmp_path / "file" / "out")]
    assert run(["live", *RAW, *to]) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_an_error_has_its_remedy(live: Live) -> None:
    done = live(pcm16(1), *RAW, mode="refuses")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "-: No such model. Choose another one.\n"


def test_a_worker_that_dies_is_told_with_the_recording(live: Live, tmp_path: Path) -> None:
    done = live(pcm16(4), *RAW, "--record", tmp_path / "x.wav", mode="dies")
    assert done.returncode == 1
    assert done.stdout.count("second") == 2
    assert "ended with code 3; the recording until then is in " in done.stderr


# Signals -----------------------------------------------------------------------------------------


@contextmanager
def listening(live: Live, *args: str, mode: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """While it listens to a pipe that stays open, after a second and a half."""
    with live.popen(*RAW, *args, mode=mode, start_new_session=True) as process:
        assert process.stdin
        process.stdin.write(pcm16(1.5))
        assert read_line(process)
        yield process


@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
def test_an_interrupt_finishes(live: Live, tmp_path: Path, group: bool) -> None:
    args = ["--formats", "txt", "--output-dir", str(tmp_path)]
    with listening(live, *args) as process:
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout and process.stderr
        assert process.stdout.read().endswith(b"the rest\n")
        assert process.stderr.read() == b""
    assert live.requests("export")
    assert not live.requests("$/cancelRequest")


def test_what_the_writer_still_writes_is_heard(live: Live) -> None:
    with listening(live) as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.stdin
        process.stdin.write(pcm16(1))
        process.stdin.close()
        assert process.wait(20) == 0
    assert len(live.samples()) == 2.5 * 16_000


def test_a_second_interrupt_cancels(live: Live) -> None:
    with listening(live, mode="hangs") as process:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr
        assert process.stderr.read() == b"\ninterrupted\n"
    assert live.requests("$/cancelRequest")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_cancel(live: Live, name: str) -> None:
    with listening(live) as process:
        process.send_signal(getattr(signal, name))
        assert process.wait(20) == 128 + getattr(signal, name)
    assert live.requests("$/cancelRequest")


# On a terminal -----------------------------------------------------------------------------------


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def shown_on(ours: int) -> str:
    """All that was written to a terminal, once the other side is closed."""
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # EIO
            return shown.decode()
        if not data:
            return shown.decode()
        shown += data


def test_a_terminal_shows_text_that_changes_in_place(live: Live) -> None:
    with terminal(80) as (ours, theirs):
        process = live.popen(*RAW, stdout=theirs, stderr=theirs)
        os.close(theirs)
        assert process.stdin
        process.stdin.write(pcm16(1.5))
        time.sleep(0.5)
        process.stdin.close()
        shown = shown_on(ours)
        assert process.wait(20) == 0
    assert "listening; Ctrl-C ends" in shown
    assert "\r\x1b[2mpart of 1\x1b[0m" in shown
    screen = [line.rpartition("\r")[2] for line in shown.replace("\r\n", "\n").split("\n")]
    assert screen[-3:] == [
        "[0:00:00.000 - 0:00:01.000] second 0",
        "[0:00:01.000 - 0:00:02.000] the rest",
        "",
    ]


def test_stdin_that_is_a_terminal_is_refused(live: Live) -> None:
    with terminal(80) as (ours, theirs):
        process = live.popen(stdin=theirs, stderr=theirs)
        os.close(theirs)
        assert process.stdout
        assert process.stdout.read() == b""
        process.stdout.close()
        assert "stdin is a terminal: pipe a recording into it" in shown_on(ours)
        assert process.wait(20) == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> tuple[Screen, Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "11")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    return Screen(out), out


def row(out: Terminal) -> str:
    """What stands on the last row."""
    shown = out.getvalue().rpartition("\n")[2]
    cells: list[str] = []
    place = 0
    for char in shown:
        if char == "\r":
            place = 0
            continue
        cells[place : place + 1] = [char]
        place += 1
    return "".join(cells).rstrip()


def test_text_replaces_what_was_there(screen: tuple[Screen, Terminal]) -> None:
    screen[0].show("a longer")
    screen[0].show("short")
    assert row(screen[1]) == "short"
    screen[0].write("a line")
    assert screen[1].getvalue().endswith("a line\n\rshort")
    screen[0].show("")
    assert row(screen[1]) == ""


def test_text_is_never_wider_than_the_terminal(screen: tuple[Screen, Terminal]) -> None:
    for text in ("0123456789abc", "漢字漢字漢字漢字", "a\nb\tc", "👩‍👩‍👧‍👦" * 9):
        screen[0].show(text)
        assert "\n" not in screen[1].getvalue()
    assert tail("0123456789abc", 10) == "…456789abc"
    assert tail("漢字漢字漢字", 8) == "…字漢字"
    assert tail("0123456789", 10) == "0123456789"
    assert tail("漢字", 0) == ""


def test_only_a_terminal_gets_text_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for out in (io.StringIO(), Terminal()):
        monkeypatch.setenv("TERM", "dumb")
        screen = Screen(out)
        screen.show("text")
        screen.write("line")
        assert out.getvalue() == "line\n"


# With a real worker ------------------------------------------------------------------------------


def test_words_are_printed_recorded_and_written(tmp_path: Path) -> None:
    record, out = tmp_path / "x.wav", tmp_path / "out"
    to = ["--record", str(record), "--formats", "txt,srt", "--output-dir", str(out)]
    done = subprocess.run(
        [*WORKER, "live", *RAW, "--model", str(MODEL), *to],
        input=samples_of("en-01.flac").tobytes(),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    texts = [line.partition("] ")[2] for line in done.stdout.decode().splitlines()]
    assert " ".join(texts).startswith("white open yellow")
    assert (out / "stdin.txt").read_text("utf-8").split() == " ".join(texts).split()
    assert " --> " in (out / "stdin.srt").read_text("utf-8")
    with wave.open(str(record)) as file:
        assert file.readframes(file.getnframes()) == samples_of("en-01.flac").tobytes()


def test_a_recording_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "x.wav").touch()
    command = [*WORKER, "live", *RAW, "--model", str(MODEL), "--record", str(tmp_path / "x.wav")]
    done = subprocess.run(command, input=pcm16(1), capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"exists already" in done.stderr
    command.append("--overwrite")
    assert subprocess.run(command, input=pcm16(1), timeout=60).returncode == 0
    assert (tmp_path / "x.wav").stat().st_size > 32_000


def test_the_worker_does_not_hear_an_interrupt() -> None:
    command = [*WORKER, "live", *RAW, "--model", str(MODEL)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(samples_of("en-01.flac").tobytes())
        assert read_line(process)  # since 2 s without audio end an utterance
        process.stdin.write(samples_of("en-01.flac").tobytes())
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
