"""Temporary directories: private, gone with the work, and swept up after a killed worker."""

from __future__ import annotations

import errno
import os
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


def test_a_scratch_directory_is_private_and_removed(tmp_path: Path) -> None:
    with Scratch("job") as scratch:
        assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
        (scratch.path / "samples").write_bytes(b"secret")
        assert scratch.path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_sweeping_spares_directories_in_use_and_of_others(tmp_path: Path) -> None:
    (tmp_path / "transcription-worker-else").mkdir()  # no lock in it
    (tmp_path / "another").mkdir()
    with Scratch("job") as scratch:
        sweep()
        assert scratch.path.exists()
        assert len(list(tmp_path.iterdir())) == 3


def test_sweeping_removes_directories_of_killed_processes(tmp_path: Path) -> None:
    script = (
        "import os; from worker.system.scratch import Scratch; s = Scratch('job');"
        "(s.path / 'samples').write_bytes(b'0' * 1000); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    sweep()
    assert list(tmp_path.iterdir()) == []


def test_sweeping_spares_new_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

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


def test_a_file_system_without_locks_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def no_locks(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(RpcError) as caught:
        Scratch("job")
    assert caught.value.kind == "storage_failed"
    assert list(tmp_path.iterdir()) == []


def test_sweeping_ignores_vanished_directories(
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


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # a directory takes no descriptor
    try:
        with pytest.raises(RpcError) as caught:
            Scratch("job")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.kind == "storage_failed"
    assert list(tmp_path.iterdir()) == []


def test_failed_removals_are_retried_at_exit(tmp_path: Path) -> None:
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


def test_exit_removes_all_and_allows_no_more(tmp_path: Path) -> None:
    script = """
import pathlib, sys
from protocol.errors import RpcError
from worker.system.scratch import PendingFile, Scratch, close
Scratch("job")
PendingFile(pathlib.Path(sys.argv[1], "result")).write(b"half")
assert len(list(pathlib.Path(sys.argv[1]).iterdir())) == 2
close()
for make in (lambda: Scratch("late"), lambda: PendingFile(pathlib.Path("late")).write(b"")):
    try:
        make()
    except RpcError as error:
        assert error.kind == "shutting_down"
    else:
        sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_directory_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RpcError) as caught:
        Scratch("job")
    assert caught.value.kind == "storage_failed"
