"""What only Windows has: its ways to end processes, its devices, its long paths.

Elsewhere than on Windows, `make test` leaves them out, and `make test-wine` runs them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from protocol.errors import RpcError
from tests.support import (
    MODEL,
    PATIENCE,
    RECORDINGS,
    SLEEP,
    WORKER,
    Session,
    wait_until_gone,
)
from worker.system import child

Start = Callable[..., Session]
SPEECH = RECORDINGS / "en-01.flac"


def test_a_frozen_engine_ends_with_a_killed_front(start: Start, long_file: Path) -> None:
    """Its own threads cannot end it: the front's job object does."""
    session = start()
    session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    engine = session.engine_pid()
    psutil.Process(engine).suspend()
    session.process.kill()
    wait_until_gone([engine])


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    script = f"import subprocess; print(subprocess.Popen({SLEEP}).pid, flush=True); input()"
    process = child.start([sys.executable, "-c", script], {}, None)
    assert process.stdout
    grandchild = int(process.stdout.readline())
    child.kill_group(process)
    assert process.wait(PATIENCE) == 1
    wait_until_gone([grandchild])
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream
        stream.close()


@pytest.mark.parametrize("name", ["NUL", "CON", r"\\.\NUL", r"\\.\pipe\none", "C:\\", "C:"])
def test_devices_and_folders_neither_block_nor_are_read(worker: Session, name: str) -> None:
    with pytest.raises(RpcError) as caught:
        worker.transcribe(name)
    assert caught.value.kind in ("audio_not_readable", "audio_not_found")


def test_a_path_may_begin_with_a_drive_or_a_backslash(worker: Session, tmp_path: Path) -> None:
    file = Path(shutil.copy(SPEECH, tmp_path / "speech.flac"))
    rooted = str(file).removeprefix(file.drive)
    for path in (str(file), str(file).replace("\\", "/"), rooted, file.as_uri(), rf"\\?\{file}"):
        if path != rooted or Path.cwd().drive == file.drive:
            assert worker.transcribe(path)["segments"]


def test_paths_of_more_than_260_characters_are_read_and_written(
    worker: Session, tmp_path: Path
) -> None:
    folder = tmp_path
    while len(str(folder)) < 900:
        folder /= "é" * 60
    model = shutil.copytree(MODEL, folder / "model")
    file = shutil.copy(SPEECH, folder / "speech.flac")
    result = worker.transcribe(
        file, model=str(model), language="en", formats=["txt"], outputDir=str(folder / "out")
    )
    assert Path(result["files"][0]["path"]).read_text("utf-8").strip()


def test_output_is_utf8(tmp_path: Path) -> None:
    """Not the code page, in which these names do not exist."""
    name = "日本 🎧.flac"
    command = [*WORKER, "transcribe", str(tmp_path / name), "--model", str(MODEL)]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 1
    assert name in done.stderr.decode("utf-8")
    script = (
        "import sys; from worker import cli; cli._run = lambda _: print('日本 🎧'); cli.run([])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.stdout.decode("utf-8").strip() == "日本 🎧"
