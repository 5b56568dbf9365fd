"""The build stops where the bundle would not work, and says how large what is in it is."""

from __future__ import annotations

import stat
import zipfile
from functools import partial
from pathlib import Path

import pytest

from hooks import gate, sizes, windows, zipped

WARNINGS = """
This file lists modules PyInstaller was not able to find.

missing module named msvcrt - imported by subprocess (optional), worker.session.writer (delayed)
missing module named 'faster_whisper.vad' - imported by worker.engines.recognition.options (delayed)
missing module named 'whisperx.asr' - imported by worker.engines.recognition.whisperx (delayed)
missing module named 'numpy.linalg' - imported by somebody.else (top-level)
missing module named orjson - imported by somebody.else (top-level)
missing module named json.tool - imported by somebody.else (top-level)
excluded module named matplotlib - imported by tqdm.gui (delayed)
"""
CRITICAL = ("worker", "faster_whisper", "numpy")


def problems(warnings: str = "", *log: str, **changes: object) -> list[str]:
    arguments = {
        "critical": CRITICAL,
        "excluded": ("whisperx",),
        "allowed": {},
        "importable": gate.importable,
    }
    return gate.problems(warnings, log, **(arguments | changes))  # type: ignore[arg-type]


def test_installed_dependencies_must_be_collected() -> None:
    found = problems(WARNINGS)
    assert [each.split()[2] for each in found] == ["faster_whisper.vad", "numpy.linalg"]
    assert "worker.engines.recognition.options" in found[0]


def test_packages_that_are_not_installed_are_not_collected() -> None:
    assert problems(WARNINGS, importable=lambda name: False) == []


def test_excluded_packages_may_be_missing() -> None:
    assert len(problems(WARNINGS, excluded=())) == 3
    assert problems(WARNINGS, excluded=("whisperx", "numpy", "faster_whisper")) == []


def test_allowed_modules_may_be_missing() -> None:
    assert len(problems(WARNINGS, allowed={r"numpy\..*": "a reason"})) == 1


def test_a_missing_hidden_import_stops_the_build() -> None:
    messages = ('Hidden import "gone.away" not found!', "Hidden import 'b' not found", "other")
    assert len(problems("", *messages)) == 2
    assert problems("", *messages, allowed={r"gone\.away|b": "a reason"}) == []


def test_a_missing_library_stops_the_build() -> None:
    message = "Library not found: could not resolve 'libx.so.1', dependency of '/a/_x.so'."
    (found,) = problems("", message)
    assert "libx.so.1" in found and "/a/_x.so" in found
    assert problems("", message, allowed={r"libx\.so\.1": "a reason"}) == []


def test_modules_are_found_without_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "explosive"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit")
    (package / "part.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert gate.importable("explosive.part")
    assert not gate.importable("explosive.other")
    assert not gate.importable("explosive.part.deeper")
    assert gate.importable("json.tool") and gate.importable("time")
    assert not gate.importable("no_such_module.part")


def test_sizes_are_reported_per_package(tmp_path: Path) -> None:
    for name, size in {
        "program": 10,
        "_internal/numpy/core.so": 100,
        "_internal/numpy.libs/blas.so": 1000,
        "_internal/numpy-2.4.6.dist-info/METADATA": 1,
        "_internal/nvidia/cublas/lib/libcublas.so.12": 5000,
        "_internal/python3.11/lib-dynload/math.so": 20,
        "_internal/libz.so.1": 2,
        "_internal/json/decoder.pyc": 3,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
    (tmp_path / "_internal/libcublas.so.12").symlink_to("nvidia/cublas/lib/libcublas.so.12")
    found = sizes.by_package(tmp_path)
    assert (found["numpy"], found["nvidia.cublas"]) == (1101, 5000)
    assert sorted(found.values()) == [10, 25, 1101, 5000]
    names = [line.split("  ")[-1] for line in sizes.report(found).splitlines()]
    assert names[:2] == ["nvidia.cublas", "numpy"]


def test_the_windows_version_resource_has_the_version() -> None:
    text = windows.version_resource("1.2.3rc1")
    assert "filevers=(1, 2, 3, 1)" in text
    assert "StringStruct('ProductVersion', '1.2.3rc1')" in text
    structures = {name: partial(dict, kind=name) for name in ("VSVersionInfo", "FixedFileInfo")} | {
        name: lambda *args: args
        for name in ("StringFileInfo", "StringTable", "StringStruct", "VarFileInfo", "VarStruct")
    }
    assert eval(text, structures)["ffi"]["prodvers"] == (1, 2, 3, 1)  # PyInstaller reads it so


def test_a_zipped_bundle_keeps_permissions_and_links(tmp_path: Path) -> None:
    bundle = tmp_path / "program"
    (bundle / "_internal").mkdir(parents=True)
    (bundle / "program").write_bytes(b"#!/bin/sh\necho it runs\n")
    (bundle / "program").chmod(0o755)
    (bundle / "_internal/libthing.so.1").write_bytes(bytes(5_000_000))
    (bundle / "_internal/libthing.so").symlink_to("libthing.so.1")
    archives = [tmp_path / "first.zip", tmp_path / "second.zip"]
    size, _ = (zipped.compress(bundle, each) for each in archives)
    assert size < 10_000 and archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        modes = {each.filename: each.external_attr >> 16 for each in archive.infolist()}
        link = archive.read("program/_internal/libthing.so")
        assert archive.read("program/_internal/libthing.so.1") == bytes(5_000_000)
    assert stat.S_IMODE(modes["program/program"]) == 0o755
    assert stat.S_ISLNK(modes["program/_internal/libthing.so"]) and link == b"libthing.so.1"
