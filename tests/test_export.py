"""The `export` method, through a worker: it writes each file completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from protocol.errors import RpcError
from protocol.transcript import Format
from tests.support import RECORDINGS, Session, long_recording
from worker.formats import files

FORMATS = get_args(Format)
TRANSCRIPT = {
    "language": "en",
    "segments": [{"id": 0, "start": 0.5, "end": 1.5, "text": "hello", "speaker": "A"}],
}


def refusal(session: Session, **params: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        session.call("export", {"transcript": TRANSCRIPT, "formats": ["srt"], **params})
    return caught.value


def test_without_output_dir_the_result_has_the_texts(worker: Session) -> None:
    result = worker.call("export", {"transcript": TRANSCRIPT, "formats": ["tsv", "srt", "tsv"]})
    assert result == {
        "contents": {
            "tsv": "start\tend\ttext\n500\t1500\thello\n",
            "srt": "1\n00:00:00,500 --> 00:00:01,500\n[A]: hello\n",
        },
        "warnings": [],
    }


def test_each_format_becomes_a_file(worker: Session, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    params = {"transcript": TRANSCRIPT, "formats": FORMATS, "name": "talk.mp3"}
    result = worker.call("export", {**params, "outputDir": str(folder)})
    texts = worker.call("export", params)["contents"]
    assert "contents" not in result
    assert [each["format"] for each in result["files"]] == list(FORMATS)
    for each in result["files"]:
        assert Path(each["path"]).read_bytes().decode() == texts[each["format"]]
    names = {path.name for path in folder.iterdir()}
    assert names == {f"talk.mp3.{'TextGrid' if f == 'textgrid' else f}" for f in FORMATS}


def test_files_have_the_usual_permissions(worker: Session, tmp_path: Path) -> None:
    worker.call(
        "export", {"transcript": TRANSCRIPT, "formats": ["txt"], "outputDir": str(tmp_path)}
    )
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "transcript.txt").stat().st_mode) == 0o666 & ~mask


def test_warnings_are_in_the_result(worker: Session) -> None:
    bare = {"segments": [{"text": "hello"}]}
    params = {"transcript": bare, "formats": ["rttm"], "options": {"maxLineLength": 20}}
    result = worker.call("export", params)
    assert [each["kind"] for each in result["warnings"]] == [
        "times_interpolated",
        "option_ignored",
        "no_speakers",
    ]


def test_a_result_of_transcribe_is_exported_unchanged(worker: Session) -> None:
    result = worker.transcribe(RECORDINGS / "en-01.flac", wordTimestamps=True)
    exported = worker.call(
        "export",
        {
            "transcript": result,
            "formats": ["json", "srt", "textgrid"],
            "options": {"highlightWords": True},
        },
    )
    assert exported["warnings"] == []
    written = json.loads(exported["contents"]["json"])
    assert written["language"] == result["language"]
    for ours, theirs in zip(written["segments"], result["segments"], strict=True):
        assert (ours["start"], ours["end"], ours["text"]) == (
            theirs["start"],
            theirs["end"],
            theirs["text"],
        )
        assert [word["word"] for word in ours["words"]] == [
            word["word"].strip() for word in theirs["words"]
        ]
        for mine, given in zip(ours["words"], theirs["words"], strict=True):
            assert mine["start"] == pytest.approx(given["start"], abs=0.0205)
            assert mine["end"] == pytest.approx(given["end"], abs=0.0205)
            assert mine["score"] == given["probability"]


def test_an_export_does_not_wait_behind_a_transcription(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    session = start()
    running = session.send_transcribe(long_recording(tmp_path / "long.wav"), partialResultToken=1)
    session.wait_for_partial()
    assert session.call("export", {"transcript": TRANSCRIPT, "formats": ["txt"]})["contents"]
    session.cancel(running)
    with pytest.raises(RpcError) as caught:
        session.result(running)
    assert caught.value.kind == "cancelled"


# Refusals --------------------------------------------------------------------------------------


def test_an_unknown_format_is_refused(worker: Session) -> None:
    error = refusal(worker, formats=["srt", "docx"])
    assert error.code == -32602
    assert error.data["path"].startswith("$.formats[")


def test_the_refusal_names_the_known_formats(worker: Session) -> None:
    error = refusal(worker, formats=["docx"])
    assert all(each in error.message for each in FORMATS)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"formats": []}, "$.formats"),
        ({"name": "a/b"}, "$.name"),
        ({"options": {"maxLineLength": 1}}, "$.options.maxLineLength"),
        ({"options": {"maxLinelength": 9}}, "$.options.maxLinelength"),
        ({"transcript": {}}, "$.transcript.segments"),
    ],
)
def test_invalid_params_are_refused_with_their_path(
    worker: Session, params: dict[str, Any], path: str
) -> None:
    error = refusal(worker, **params)
    assert (error.kind, error.data["path"]) == ("invalid_params", path)


def test_without_overwrite_existing_files_stay(worker: Session, tmp_path: Path) -> None:
    (tmp_path / "transcript.srt").write_text("old")
    error = refusal(worker, outputDir=str(tmp_path), formats=["txt", "srt"], overwrite=False)
    assert error.kind == "export_exists"
    assert error.data["path"] == str(tmp_path / "transcript.srt")
    assert [path.name for path in tmp_path.iterdir()] == ["transcript.srt"]
    assert (tmp_path / "transcript.srt").read_text() == "old"
    params = {"transcript": TRANSCRIPT, "formats": ["txt"], "outputDir": str(tmp_path)}
    worker.call("export", {**params, "overwrite": False})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["transcript.srt", "transcript.txt"]
    worker.call(
        "export", {"transcript": TRANSCRIPT, "formats": ["srt"], "outputDir": str(tmp_path)}
    )
    assert "hello" in (tmp_path / "transcript.srt").read_text()


def test_a_path_through_a_file_is_refused(worker: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        error = refusal(worker, outputDir=str(folder))
        assert error.kind == "export_failed"
        assert error.data["path"].startswith(str(folder))
        assert "outputDir" in error.data["remedy"]


def test_a_directory_in_place_of_the_file_is_refused(worker: Session, tmp_path: Path) -> None:
    (tmp_path / "transcript.srt").mkdir()
    error = refusal(worker, outputDir=str(tmp_path), formats=["txt", "srt"])
    assert error.kind == "export_failed"
    assert [path.name for path in tmp_path.iterdir()] == ["transcript.srt"]


def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    path = tmp_path / "a.srt"
    user, nobody = os.geteuid(), 65534
    if user == 0:  # root may write everywhere
        os.seteuid(nobody)
    try:
        with pytest.raises(RpcError) as caught:
            files.write_all([(path, "new")], overwrite=True)
    finally:
        os.seteuid(user)
    error = caught.value
    assert (error.kind, error.data["path"]) == ("export_failed", str(path))
    assert "may write" in error.data["remedy"]


@pytest.mark.parametrize("params", [{"outputDir": "a\0b"}, {"name": "n" * 300}])
def test_names_that_the_system_rejects_are_refused(
    worker: Session, tmp_path: Path, params: dict[str, str]
) -> None:
    assert refusal(worker, **{"outputDir": str(tmp_path), **params}).kind == "export_failed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_full_disk_leaves_only_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    old = tmp_path / "a.srt"
    old.write_text("old")
    if failing == "fsync":
        done = iter([None])

        def fsync(fd: int) -> None:
            if next(done, 1):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)
    else:
        real = Path.open

        def open_(path: Path, mode: str) -> Any:
            return (
                real(Path("/dev/full"), "wb") if list(tmp_path.glob("*.tmp")) else real(path, mode)
            )

        monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(RpcError) as caught:
        files.write_all([(old, "new"), (tmp_path / "b.txt", "new")], overwrite=True)
    monkeypatch.undo()
    assert caught.value.kind == "export_failed"
    assert "space" in caught.value.data["remedy"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.srt"]
    assert old.read_text() == "old"
