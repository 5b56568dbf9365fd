"""A bundle that has lost something says so at the first glance."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from worker.system import bundle


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with two libraries for this machine, and some data."""
    library = Path(sys.executable).resolve().read_bytes()[:64]
    for name in ("av.libs/libavformat-1.so.61", "pyannote/audio/_native.so", "libgomp.so.1"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(library)
    (tmp_path / "faster_whisper" / "assets").mkdir(parents=True)
    (tmp_path / "faster_whisper" / "assets" / "silero.onnx").write_bytes(b"")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = [path.relative_to(tmp_path).as_posix() for path in files]
    (tmp_path / bundle.CONTENTS).write_text("\n".join(names))
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    return tmp_path


def test_a_whole_bundle_and_the_source_lack_nothing(place: Path) -> None:
    assert bundle.damaged() == frozenset()
    del sys._MEIPASS  # type: ignore[attr-defined]
    assert bundle.damaged() == frozenset()
    sys._MEIPASS = str(place)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lost", "package"),
    [
        ("av.libs/libavformat-1.so.61", "av"),
        ("pyannote/audio/_native.so", "pyannote.audio"),
        ("faster_whisper/assets/silero.onnx", "faster_whisper"),
        ("libgomp.so.1", "libgomp.so.1"),
    ],
)
def test_the_package_that_has_lost_a_file_is_named(place: Path, lost: str, package: str) -> None:
    (place / lost).unlink()
    assert bundle.damaged() == {package}


def test_a_library_for_another_processor_counts_as_missing(place: Path) -> None:
    library = place / "av.libs" / "libavformat-1.so.61"
    header = bytearray(library.read_bytes())
    header[18] ^= 0xFF
    library.write_bytes(header)
    assert bundle.damaged() == {"av"}
    library.write_bytes(b"no library")
    assert bundle.damaged() == {"av"}


def test_a_bundle_without_its_list_is_damaged(place: Path) -> None:
    (place / bundle.CONTENTS).unlink()
    assert bundle.damaged() == {bundle.CONTENTS}
