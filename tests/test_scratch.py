"""Temporary directories: private, gone with the work, and swept up after a killed worker."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from protocol.errors import RpcError
from worker.system.scratch import Scratch, sweep


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with Scratch("job") as scratch:
        assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
        (scratch.path / "samples").write_bytes(b"secret")
        assert scratch.path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_sweeping_spares_what_is_in_use_and_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "transcription-worker-else").mkdir()  # no lock in it
    (tmp_path / "another").mkdir()
    with Scratch("job") as scratch:
        sweep()
        assert scratch.path.exists()
        assert len(list(tmp_path.iterdir())) == 3


def test_sweeping_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    script = (
        "import os; from worker.system.scratch import Scratch; s = Scratch('job');"
        "(s.path / 'samples').write_bytes(b'0' * 1000); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    sweep()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_spares_what_is_just_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def sweep_before(file: int, how: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", flock)
            sweep()
        flock(file, how)
        sweep()

    monkeypatch.setattr(fcntl, "flock", sweep_before)
    with Scratch("job") as scratch:
        assert [path.name for path in scratch.path.iterdir()] == ["lock"]


def test_a_place_that_knows_no_locks_is_a_typed_error_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(RpcError) as caught:
        Scratch("job")
    assert caught.value.kind == "storage_failed"
    assert list(tmp_path.iterdir()) == []


def test_sweeping_does_not_mind_what_vanishes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "transcription-worker-job-another"
    path.mkdir()

    def vanished(self: Path) -> bool:
        path.rmdir()
        return False

    monkeypatch.setattr(Path, "is_symlink", vanished)
    sweep()
    assert not path.exists()


def test_nothing_is_left_where_it_cannot_be_held(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # a directory takes no descriptor
    try:
        with pytest.raises(RpcError) as caught:
            Scratch("job")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.kind == "storage_failed"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_now_goes_at_the_end_of_the_process(tmp_path: Path) -> None:
    script = """
import resource
from worker.system.scratch import Scratch, close
with Scratch("job") as scratch:
    (scratch.path / "samples").write_bytes(b"0")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
assert scratch.path.exists()
close()
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_at_the_end_of_the_process_all_goes_and_nothing_more_is_made(tmp_path: Path) -> None:
    script = """
import pathlib, sys
from protocol.errors import RpcError
from worker.system.scratch import Passing, Scratch, close
Scratch("job")
Passing(pathlib.Path(sys.argv[1], "result")).write(b"half")
assert len(list(pathlib.Path(sys.argv[1]).iterdir())) == 2
close()
for make in (lambda: Scratch("late"), lambda: Passing(pathlib.Path("late")).write(b"")):
    try:
        make()
    except RpcError as error:
        assert error.kind == "shutting_down"
    else:
        sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_it_is_a_typed_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RpcError) as caught:
        Scratch("job")
    assert caught.value.kind == "storage_failed"
