"""The bill of materials of a bundle: valid, complete, and the same for the same build."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hooks.sbom import Entry, bill_of_materials, strays


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry]]:
    """Some files as PyInstaller collects them: of three packages, of Python, of the system."""
    contents = tmp_path_factory.mktemp("bundle")
    entries: list[Entry] = []

    def collect(source: Path, place: str, kind: str) -> None:
        entries.append((place, str(source), kind))
        if kind != "PYMODULE":
            (contents / place).parent.mkdir(parents=True, exist_ok=True)
            (contents / place).write_bytes(source.read_bytes())

    for package in ("av", "numpy", "requests"):
        files = metadata.files(package) or []
        libraries = [each for each in files if each.suffix == ".so"][:3]
        for each in libraries:
            collect(Path(str(each.locate())), str(each), "EXTENSION")
        module = next(each for each in files if each.suffix == ".py")
        collect(Path(str(module.locate())), module.stem, "PYMODULE")
    collect(Path(os.__file__), "os", "PYMODULE")
    # As without an archive: compiled by PyInstaller, in a folder of its own.
    for place in ("idna/core.pyc", "json/decoder.pyc", "worker/audio.pyc"):
        entries.append((place, f"/build/{place}", "DATA"))
    collect(Path(__file__), "worker.audio", "PYMODULE")
    collect(Path("/etc/hostname"), "libz.so.1", "BINARY")
    return contents, entries


@pytest.fixture(scope="module")
def text(bundle: tuple[Path, list[Entry]]) -> str:
    contents, entries = bundle
    return bill_of_materials(entries, contents, "1.2.3")


@pytest.fixture(scope="module")
def bill(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_it_is_valid_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_it_names_each_package_with_version_and_licence(bill: dict[str, Any]) -> None:
    found = {each["name"]: each for each in bill["components"]}
    assert set(found) == {
        *("av", "numpy", "requests", "idna"),
        *("CPython", "libraries of the building system"),
    }
    for name in ("av", "numpy", "requests"):
        version = metadata.version(name)
        assert found[name]["version"] == version
        assert found[name]["purl"] == f"pkg:pypi/{name}@{version}"
        assert found[name]["licenses"]
    assert found["CPython"]["version"] == sys.version.split()[0]
    assert bill["metadata"]["component"]["version"] == "1.2.3"


def test_native_libraries_are_listed_with_their_hash(
    bill: dict[str, Any], bundle: tuple[Path, list[Entry]]
) -> None:
    contents, entries = bundle
    told = {
        library["name"]: library["hashes"]
        for package in bill["components"]
        for library in package.get("components", ())
    }
    assert set(told) == {place for place, _, kind in entries if kind in ("EXTENSION", "BINARY")}
    for place, hashes in told.items():
        digest = hashlib.sha256((contents / place).read_bytes()).hexdigest()
        assert hashes == [{"alg": "SHA-256", "content": digest}]


def test_it_lists_the_dependencies(bill: dict[str, Any]) -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert set(needs["transcription-worker"]) == {each["bom-ref"] for each in bill["components"]}
    assert needs["requests"] == ["idna"]


def test_the_same_build_gives_the_same_bill(
    bundle: tuple[Path, list[Entry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    contents, entries = bundle
    first, second = (bill_of_materials(each, contents, "1") for each in (entries, entries[::-1]))
    assert first == second
    assert json.loads(first)["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")


def test_packages_that_nothing_requires_are_named() -> None:
    """`requests` stands for the program: it requires urllib3 and others, but not numpy."""
    needs = {"requests": ["urllib3"], "urllib3": ["deep"], "deep": ["urllib3"], "numpy": ["lone"]}
    dependencies = [{"ref": name, "dependsOn": names} for name, names in needs.items()]
    bill = json.dumps({"dependencies": [*dependencies, {"ref": "lone"}, {"ref": "CPython"}]})
    assert strays(bill, "requests") == ["lone", "numpy", "requests"]
