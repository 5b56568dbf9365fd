"""The `batch` command: many files, none lost, none done twice, none overwritten."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support import (
    MODEL,
    RECORDINGS,
    WORKER,
    children,
    kill_hard,
    long_recording,
    tree,
    wait_until,
    wait_until_gone,
)
from tests.test_cli import on_a_terminal
from worker.batch.inputs import Task, collect, place
from worker.batch.progress import Progress

SHORT = RECORDINGS / "de-02.flac"
OTHER = RECORDINGS / "en-01.flac"
QUICK = ["--model", MODEL, "--option", "temperature=0", "--option", "beamSize=1"]


class Done(msgspec.Struct):
    """How a batch ended."""

    code: int
    lines: list[dict[str, Any]]
    stderr: str
    stdout: str

    def of(self, status: str) -> list[str]:
        """The names of the inputs with a status."""
        return [Path(line["input"]).name for line in self.lines if line["status"] == status]


def report_of(output_dir: Path) -> list[dict[str, Any]]:
    report = output_dir / "report.jsonl"
    return [json.loads(line) for line in report.read_bytes().decode().splitlines()]


def command(output_dir: Path, *args: str | Path) -> list[str | Path]:
    return [*WORKER, "batch", "--output-dir", output_dir, *QUICK, *args]


def batch(
    output_dir: Path, *args: str | Path | bytes, stdin: bytes = b"", cwd: Path | None = None
) -> Done:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [*command(output_dir), *args], input=stdin, capture_output=True, cwd=cwd, env=env
    )
    lines = report_of(output_dir) if (output_dir / "report.jsonl").exists() else []
    return Done(done.returncode, lines, done.stderr.decode(), done.stdout.decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of which some are namesakes, and other files."""
    folder = tmp_path / "recordings"
    (folder / "monday").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    shutil.copy(SHORT, folder / "talk.flac")
    shutil.copy(OTHER, folder / "monday" / "talk.flac")
    shutil.copy(SHORT, folder / ".hidden" / "talk.flac")
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture
def output_dir(tmp_path: Path) -> Path:
    return tmp_path / "transcripts"


def files(folder: Path) -> dict[str, bytes]:
    """What is below a folder, but for the markers and the report."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "report.jsonl" and ".batch" not in path.parts
    }


# What is written -------------------------------------------------------------------------------


def test_outputs_mirror_the_tree_and_the_report_lists_each_file(
    folder: Path, output_dir: Path
) -> None:
    done = batch(output_dir, folder, "--formats", "srt,html")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith("2 done, 0 failed, 1 skipped; 0:00:06 of audio")
    written = {"talk.srt", "talk.html", "monday/talk.srt", "monday/talk.html"}
    assert set(files(output_dir)) == written
    assert files(output_dir)["talk.srt"] != files(output_dir)["monday/talk.srt"]
    ok = {line["input"]: line for line in done.lines if line["status"] == "ok"}
    line = ok[str(folder / "monday" / "talk.flac")]
    assert line["outputs"] == [str(output_dir / "monday" / f"talk.{f}") for f in ("srt", "html")]
    assert line["duration"] == pytest.approx(3.9, abs=0.1)
    assert line["seconds"] > 0
    assert line["realTimeFactor"] > 0
    assert (line["error"], line["warnings"]) == (None, [])
    (skipped,) = (line for line in done.lines if line["status"] == "skipped")
    assert (Path(skipped["input"]).name, skipped["reason"]) == ("notes.txt", "not_media")


def test_a_page_links_to_its_recording(folder: Path, output_dir: Path) -> None:
    batch(output_dir, folder, "--formats", "html")
    page = (output_dir / "monday" / "talk.html").read_text("utf-8")
    assert 'src="./../../recordings/monday/talk.flac"' in page


def test_recordings_of_the_same_name_keep_their_suffix(folder: Path, output_dir: Path) -> None:
    shutil.copy(OTHER, folder / "talk.FLA")
    done = batch(output_dir, folder / "talk.flac", folder / "talk.FLA", "--formats", "txt")
    assert done.code == 0
    assert set(files(output_dir)) == {"talk.flac.txt", "talk.FLA.txt"}


def test_a_later_batch_replaces_no_files_of_another_recording(
    folder: Path, output_dir: Path
) -> None:
    shutil.copy(OTHER, folder / "talk.FLA")
    batch(output_dir, folder / "talk.flac", "--formats", "txt")
    first = files(output_dir)
    for args in ([folder / "talk.FLA"], [folder / "talk.FLA", folder / "talk.flac", "--resume"]):
        done = batch(output_dir, *args, "--formats", "txt")
        assert done.code == 0
        assert set(files(output_dir)) == {"talk.txt", "talk.FLA.txt"}
        assert files(output_dir)["talk.txt"] == first["talk.txt"]
    assert done.of("ok") == []
    batch(output_dir, folder / "talk.flac", "--formats", "txt", "--language", "en")
    assert set(files(output_dir)) == {"talk.txt", "talk.FLA.txt"}


def test_names_that_differ_only_in_case_are_told_apart(folder: Path, output_dir: Path) -> None:
    shutil.copy(OTHER, folder / "Talk.flac")
    done = batch(output_dir, folder / "Talk.flac", folder / "talk.flac", "--formats", "txt")
    assert done.code == 0
    assert set(files(output_dir)) == {"Talk.flac.txt", "talk.flac-2.txt"}


def test_lines_for_the_same_recording_have_files_of_their_own(
    folder: Path, output_dir: Path
) -> None:
    lines = [{"audio": str(folder / "talk.flac"), "language": name} for name in ("de", "en")]
    stdin = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
    for status in ("ok", "skipped"):
        done = batch(output_dir, "--formats", "txt", "--resume", stdin=stdin)
        assert [line["status"] for line in done.lines] == [status] * 2
        assert set(files(output_dir)) == {"talk.flac.txt", "talk.flac-2.txt"}


def test_one_failure_fails_alone_and_sets_the_exit_code(folder: Path, output_dir: Path) -> None:
    done = batch(output_dir, "nowhere.wav", folder / "notes.txt", folder, "--formats", "txt")
    assert done.code == 1
    kinds = {
        Path(line["input"]).name: line["error"]["kind"] for line in done.lines if line["error"]
    }
    assert kinds == {"nowhere.wav": "audio_not_found", "notes.txt": "audio_invalid"}
    assert done.of("ok") == ["talk.flac", "talk.flac"]
    assert "nowhere.wav: There is no file" in done.stderr


def test_unwritable_outputs_are_a_failure(folder: Path, output_dir: Path) -> None:
    (output_dir / "talk.txt").mkdir(parents=True)
    done = batch(output_dir, folder / "talk.flac", "--formats", "txt")
    assert done.code == 1
    assert done.lines[0]["error"]["kind"] == "export_failed"
    assert "Is a directory" in done.stderr


def test_a_failed_stage_is_a_warning_and_is_retried(folder: Path, output_dir: Path) -> None:
    args = (folder / "talk.flac", "--formats", "txt", "--align", "--offline", "--resume")
    for _ in range(2):
        done = batch(output_dir, *args)
        assert (done.code, done.of("ok")) == (0, ["talk.flac"])
        assert [each["kind"] for each in done.lines[0]["warnings"]] == ["stage_failed"]
        assert "1 with warnings" in done.stdout


# What is taken in ------------------------------------------------------------------------------


def inputs_of(*inputs: str | Path, lines: tuple[bytes, ...] = ()) -> list[Task]:
    return collect([str(each) for each in inputs], lines, Path("/out"))


def places(tasks: list[Task]) -> list[str]:
    return [f"{task.folder}/{task.name}" for task in tasks if not task.not_media]


def test_globs_recurse_without_duplicates(folder: Path) -> None:
    tasks = inputs_of(folder / "**" / "*.flac", folder / "talk.flac", folder)
    assert sorted(places(tasks)) == ["/out/monday/talk", "/out/talk"]
    (refused,) = inputs_of(folder / "*.mp3")
    assert refused.refusal
    assert "No file matches" in refused.refusal.message


def test_a_file_with_brackets_beats_the_glob(tmp_path: Path) -> None:
    (tmp_path / "[a].wav").touch()
    assert places(inputs_of(tmp_path / "[a].wav")) == ["/out/[a]"]


def test_several_inputs_keep_their_common_tree(folder: Path) -> None:
    (folder / "tuesday").mkdir()
    (folder / "tuesday" / "talk.flac").touch()
    tasks = inputs_of(folder / "monday", folder / "tuesday" / "talk.flac")
    assert places(tasks) == ["/out/monday/talk", "/out/tuesday/talk"]
    assert places(inputs_of(folder / "monday" / ".." / "tuesday")) == ["/out/talk"]


def test_outputs_are_not_taken_for_inputs(folder: Path) -> None:
    out = folder / "monday"
    tasks = collect([str(folder)], (), out)
    assert [task.path.name for task in tasks] == ["notes.txt", "talk.flac"]


def test_every_recording_has_a_place_of_its_own(tmp_path: Path) -> None:
    names = [
        "a.wav",
        "a.flac",
        "A.WAV",
        "a.wav.mp3",
        "a.wav-2.mp3",
        "ä.wav",
        "a\u0308.ogg",
        "b.wav",
    ]
    for name in names:
        (tmp_path / name).touch()
    tasks = inputs_of(tmp_path)
    assert all(task.refusal is None for task in tasks)
    assert len({place(task) for task in tasks}) == len(names)
    assert "/out/b" in places(tasks)


def test_no_two_tasks_write_the_same_files(folder: Path) -> None:
    line = json.dumps({"audio": str(folder / "talk.flac"), "name": "Täg"}).encode()
    again = json.dumps({"audio": str(folder / "monday/talk.flac"), "name": "TÄG"}).encode()
    first, second = inputs_of("-", lines=(line, again))
    assert first.refusal is None
    assert second.refusal
    assert "another name" in second.refusal.data["remedy"]


def test_a_manifest_sets_params_per_recording(folder: Path, output_dir: Path) -> None:
    manifest = [
        {"audio": str(folder / "talk.flac"), "name": "whole"},
        {"audio": str(folder / "talk.flac"), "name": "half", "end": 1.2, "formats": ["csv"]},
        {"audio": "recordings/talk.flac", "outputDir": "sub", "language": "de"},
        {"audio": str(folder / "talk.flac"), "name": "wrong", "beamSzie": 2},
        {"name": "nothing"},
        {"audio": str(folder / "talk.flac"), "name": "unwritten", "formats": None},
    ]
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in manifest) + b"\n[nonsense\n"
    done = batch(output_dir, "--formats", "txt", stdin=lines, cwd=folder.parent)
    assert done.code == 1
    assert set(files(output_dir)) == {"whole.txt", "half.csv", "sub/talk.txt"}
    half = next(line for line in done.lines if line["outputs"] == [str(output_dir / "half.csv")])
    assert half["duration"] == pytest.approx(1.2)
    assert sum(line["status"] == "ok" for line in done.lines) == 4
    messages = [line["error"]["message"] for line in done.lines if line["status"] == "failed"]
    assert len(messages) == 3
    assert any("Did you mean beamSize?" in message for message in messages)
    assert any("Line 5 of the manifest" in message for message in messages)
    assert any("Line 8 of the manifest" in message for message in messages)


def test_any_file_name_works(tmp_path: Path, output_dir: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["a b.flac", 'it\'s "so".flac', "new\nline.flac", "🎧 да.flac", "-.flac", "b\\s.flac"]
    for name in names:
        shutil.copy(SHORT, folder / name)
    done = batch(output_dir, folder, "--formats", "txt")
    assert done.code == 0
    expected = {f"{name[:-5]}.txt".replace("\\", "_") for name in names}
    assert set(files(output_dir)) == expected
    assert str(folder / "new\\nline.flac") in {line["input"] for line in done.lines}


def test_names_that_are_not_utf8_work_and_outputs_escape_them(
    folder: Path, output_dir: Path
) -> None:
    below = os.fsencode(folder) + b"/\xff"
    os.mkdir(below)  # noqa: PTH102
    shutil.copy(SHORT, below + b"/caf\xe9.flac")
    for status in ("ok", "skipped"):
        done = batch(output_dir, folder, "--formats", "txt,html", "--resume")
        assert done.code == 0
        (line,) = (each for each in done.lines if each["input"].endswith("caf\\xe9.flac"))
        assert line["status"] == status
        names = [each[each.index("/%FF/") :] for each in line["outputs"]]
        assert names == ["/%FF/caf%25E9.txt", "/%FF/caf%25E9.html"]
    written = os.listdir(os.fsencode(output_dir) + b"/\xff")  # noqa: PTH208
    assert sorted(written) == [b"caf%E9.html", b"caf%E9.txt"]


@pytest.mark.parametrize(
    "args",
    [
        ["--formats", "docx"],
        ["--jobs", "0"],
        ["--device-indices", "0,two"],
        ["--device-indices", "0,-1"],
        ["--option", "beamSzie=1"],
        ["--option", "nonsense"],
        ["--report", "/proc/nowhere/report"],
        ["--language", b"\xff"],
    ],
)
def test_wrong_usage_fails_before_any_work(
    folder: Path, output_dir: Path, args: list[str | bytes]
) -> None:
    done = batch(output_dir, folder, *args)
    assert done.code == 2
    assert done.stderr
    assert files(output_dir) == {}


# Once and only once ----------------------------------------------------------------------------


def test_resume_skips_by_content_and_options(folder: Path, output_dir: Path) -> None:
    args = (folder, "--formats", "txt", "--resume")
    assert sorted(batch(output_dir, *args).of("ok")) == ["talk.flac", "talk.flac"]
    done = batch(output_dir, *args)
    assert (done.code, done.of("ok")) == (0, [])
    reasons = {line["reason"] for line in done.lines if line["outputs"]}
    assert reasons == {"done"}
    assert {line["duration"] for line in done.lines if line["outputs"]} == {2.396875, 3.9006875}

    os.utime(folder / "talk.flac", (0, 0))
    assert batch(output_dir, *args, "--jobs", "1").of("ok") == []
    shutil.copy(RECORDINGS / "de-01.flac", folder / "talk.flac")
    old = files(output_dir)["talk.txt"]
    assert len(batch(output_dir, *args).of("ok")) == 1
    assert files(output_dir)["talk.txt"] != old
    (output_dir / "monday" / "talk.txt").unlink()
    assert len(batch(output_dir, *args).of("ok")) == 1
    assert len(batch(output_dir, *args, "--language", "en").of("ok")) == 2
    assert len(batch(output_dir, *args).of("ok")) == 2  # their files were those of other options
    assert len(batch(output_dir, *args[:-1]).of("ok")) == 2


class Running:
    """A batch that is at work, and its report as it grows."""

    def __init__(self, output_dir: Path, *args: str | Path) -> None:
        self.report = output_dir / "report.jsonl"
        self.process = subprocess.Popen(
            command(output_dir, *args),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def until(self, what: Callable[[], object]) -> Any:
        """Wait until something is so, while the batch runs."""

        def found() -> object:
            result = what()
            assert result or self.process.poll() is None, self.process.communicate()[1]
            return result

        return wait_until(found)

    def until_ok(self, count: int) -> None:
        """Wait until so many files are done."""
        self.until(
            lambda: self.report.exists() and self.report.read_bytes().count(b'"ok"') >= count
        )

    def worker(self) -> int:
        """The process id of its worker, once an engine runs below that."""
        (pid,) = self.until(lambda: children(self.process.pid))
        self.until(lambda: children(pid))
        return int(pid)

    def end(self) -> tuple[int, str]:
        """Its exit code and what it wrote on stderr."""
        stderr = self.process.communicate()[1].decode()
        return self.process.returncode, stderr


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Start batches that end with the test."""
    running: list[Running] = []

    def start(output_dir: Path, *args: str | Path) -> Running:
        running.append(Running(output_dir, *args))
        return running[-1]

    yield start
    for each in running:
        with each.process:
            each.process.kill()


def test_each_device_has_a_model_of_its_own(output_dir: Path, run: Callable[..., Running]) -> None:
    # Without CUDA, auto takes the CPU in place of any device.
    inputs = sorted(RECORDINGS.glob("en-0[1-6].flac"))
    running = run(output_dir, *inputs, "--formats", "txt", "--device-indices", "0,1")
    running.until(lambda: len(engines(running.process.pid, "whisper")) == 2)
    assert running.end()[0] == 0
    assert len(files(output_dir)) == len(inputs)


def engines(pid: int, kind: str) -> list[int]:
    """The engines of a kind below a process."""
    found = []
    for each in tree(pid):
        with suppress(OSError):
            words = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
            found += [each] if [b"engine", kind.encode()] == words[-5:-3] else []
    return found


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_batch_resumes_and_does_each_file_once(
    tmp_path: Path, output_dir: Path, run: Callable[..., Running], kills: int
) -> None:
    names = [f"en-{number:02}.flac" for number in range(1, 4 * kills + 1)]
    args = [*(RECORDINGS / name for name in names), "--formats", "srt,json"]
    undisturbed = tmp_path / "undisturbed"
    assert batch(undisturbed, *args).code == 0
    seen: set[str] = set()
    for count in range(1, kills + 1):
        running = run(output_dir, *args, "--resume")
        running.until_ok(count)
        everybody = tree(running.process.pid)
        kill_hard(running.process.pid)
        running.end()
        wait_until_gone(everybody)
        lines = report_of(output_dir)
        assert not seen & {line["input"] for line in lines if line["status"] == "ok"}
        seen |= {line["input"] for line in lines if line["status"] == "ok"}
    done = batch(output_dir, *args, "--resume")
    assert done.code == 0
    assert sorted(Path(line["input"]).name for line in done.lines) == names
    skipped = {line["input"] for line in done.lines if line["status"] == "skipped"}
    assert seen <= skipped
    assert len(seen) >= sum(range(1, kills + 1))
    written = {name: data for name, data in files(output_dir).items() if name[0] != "."}
    assert written == files(undisturbed)


def test_an_interrupted_recording_resumes_where_it_stopped(
    tmp_path: Path, output_dir: Path, run: Callable[..., Running]
) -> None:
    args = [long_recording(tmp_path / "long.wav", times=3), "--formats", "json"]
    assert batch(tmp_path / "undisturbed", *args).code == 0
    running = run(output_dir, *args)
    running.until(lambda: list((output_dir / ".batch").glob("*/recognition.jsonl")))
    running.until(lambda: any(f.stat().st_size for f in output_dir.rglob("recognition.jsonl")))
    kill_hard(running.process.pid)
    running.end()
    done = batch(output_dir, *args, "--resume")
    (line,) = done.lines
    assert "resumed" in [each["kind"] for each in line["warnings"]]
    assert files(output_dir) == files(tmp_path / "undisturbed")
    assert not any(each.is_dir() for each in (output_dir / ".batch").iterdir())


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["kill", "terminal"])
def test_ctrl_c_cancels_and_keeps_the_report_whole(
    long_file: Path,
    output_dir: Path,
    run: Callable[..., Running],
    send: Callable[[int, int], None],
) -> None:
    inputs = [SHORT, long_file, OTHER, RECORDINGS / "en-02.flac"]
    running = run(output_dir, *inputs, "--formats", "txt", "--jobs", "1")
    running.until_ok(1)
    everybody = tree(running.process.pid)
    send(running.process.pid, signal.SIGINT)
    code, stderr = running.end()
    assert code == 130
    assert "Traceback" not in stderr
    wait_until_gone(everybody)
    lines = report_of(output_dir)
    assert [line["status"] for line in lines] == ["ok", "failed"]
    assert lines[1]["error"]["kind"] == "cancelled"
    assert [Path(name).name for name in files(output_dir)] == ["de-02.txt"]


def test_a_crashed_worker_is_replaced(
    long_file: Path, output_dir: Path, run: Callable[..., Running]
) -> None:
    running = run(output_dir, long_file, SHORT, OTHER, "--formats", "txt", "--jobs", "1")
    first = running.worker()
    kill_hard(first)
    running.until(lambda: children(running.process.pid) not in ([], [first]))
    second = running.worker()
    kill_hard(second)  # the same file is at work, alone: it takes the blame
    code, stderr = running.end()
    assert code == 1
    lines = {Path(line["input"]).name: line for line in report_of(output_dir)}
    assert lines["long.wav"]["error"]["kind"] == "engine_crashed"
    assert "the worker ended with code -9" in stderr
    assert lines["de-02.flac"]["status"] == lines["en-01.flac"]["status"] == "ok"


def test_a_terminated_worker_is_replaced(output_dir: Path, run: Callable[..., Running]) -> None:
    running = run(output_dir, RECORDINGS / "demo.flac", SHORT, OTHER, "--formats", "txt")
    os.kill(running.worker(), signal.SIGTERM)
    assert running.end()[0] == 0
    assert [line["status"] for line in report_of(output_dir)] == ["ok"] * 3


def test_a_file_whose_engine_crashed_is_retried_once(
    output_dir: Path, run: Callable[..., Running]
) -> None:
    running = run(output_dir, RECORDINGS / "demo.flac", SHORT, "--formats", "txt")
    for engine in children(running.worker()):
        kill_hard(engine)
    assert running.end()[0] == 0
    assert [line["status"] for line in report_of(output_dir)] == ["ok", "ok"]


# How far it is ---------------------------------------------------------------------------------


def test_a_terminal_shows_files_speed_and_remaining_time(output_dir: Path) -> None:
    inputs = [RECORDINGS / f"en-{number:02}.flac" for number in range(1, 9)]
    _, shown = on_a_terminal(command(output_dir, *inputs, "--formats", "txt"))
    assert b"/8 files" in shown
    assert b"real-time factor" in shown
    assert b"< 0:00:0" in shown
    _, shown = on_a_terminal([*WORKER, "batch", "--output-dir", output_dir])
    assert b"no inputs: name files or folders" in shown


def test_progress_counts_audio_or_estimates_it_by_size(tmp_path: Path) -> None:
    sizes = {"a.wav": 100, "b.wav": 300, "c.mp3": 10, "notes.txt": 5}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    tasks = inputs_of(*(tmp_path / name for name in sizes))
    now = 0.0
    progress = Progress(tasks, lambda: now)
    progress.skip(3)
    progress.report(0, {"kind": "report", "audioTotal": 10.0, "percentage": 50.0})
    now = 4.0
    assert progress.fraction() == pytest.approx(5 / 41)  # 10 s, and by size 30 s and 1 s
    assert progress.real_time_factor() == pytest.approx(0.8)
    progress.report(2, {"kind": "report", "audioTotal": 60.0, "percentage": 0.0})
    assert progress.fraction() == pytest.approx(5 / 100)
    assert progress.remaining() == pytest.approx(76)
    progress.finish(0, 10.0)
    progress.finish(1, None)
    assert progress.files == (2, 3)
    assert progress.fraction() == pytest.approx(10 / 70)
