"""What people install: the wheel works away from the checkout, with only what it declares.

The wheel goes into an empty environment. Instead of an index, links to the packages of the running
environment provide its dependencies: those that its metadata names, those of these, and no others.
"""

from __future__ import annotations

import email
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, get_args

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from protocol.conformance.vectors import load_vectors
from protocol.transcript import Format
from tests.support import ALIGNMENT_MODEL, DIARIZATION_MODEL, MIXTURES, MODEL, RECORDINGS
from worker import __version__

ROOT = Path(__file__).parent.parent
TYPESCRIPT = ROOT / "protocol" / "typescript"
ELECTRON = ROOT / "examples" / "electron"


def build(checkout: Path, target: str, folder: Path) -> Path:
    """Build an sdist or wheel; return the archive."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def declared(wheel: Path) -> list[Requirement]:
    """What the wheel's metadata requires, that of its extras too."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    return [Requirement(each) for each in metadata.get_all("Requires-Dist", [])]


def needed(requirements: Iterable[Requirement], extra: str) -> dict[str, Distribution]:
    """The packages that requirements need, and that these need, from the running environment."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(each, wanted) for each in requirements for wanted in {"", extra}]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found[name] = package = distribution(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(each), wanted) for each in package.requires or ()]
    return found


def provide(packages: Iterable[Distribution], site: Path) -> None:
    """Link the files of packages into another environment."""
    for package in packages:
        for part in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (site / part).exists():
                (site / part).symlink_to(str(package.locate_file(part)))


class Installed:
    """An environment with the wheel and what that and an extra need; an empty folder to work in."""

    def __init__(
        self, home: Path, wheel: Path, declared: list[Requirement], extra: str = ""
    ) -> None:
        venv.create(home / "env", symlinks=True)
        paths = sysconfig.get_paths("venv", {"base": str(home / "env")})
        self.programs = Path(paths["scripts"])
        self.python = self.programs / "python"
        self.folder = home / "folder"
        self.folder.mkdir()
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        subprocess.run([*pip, "install", *options, str(wheel)], check=True)
        provide(needed(declared, extra).values(), Path(paths["purelib"]))

    def run(self, *command: str | Path, send: str = "") -> str:
        """Run a program of the environment with no variable set; return what it prints."""
        program, *arguments = map(str, command)
        done = subprocess.run(
            [self.programs / program, *arguments],
            input=send,
            cwd=self.folder,
            env={},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, wheel: Path, declared: list[Requirement]
) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel, declared)


def test_versions_agree() -> None:
    def read(path: Path) -> Any:
        return json.loads(path.read_text("utf-8"))

    lock, example = read(TYPESCRIPT / "package-lock.json"), read(ELECTRON / "package-lock.json")
    versions = {
        "package.json": read(TYPESCRIPT / "package.json")["version"],
        "package-lock.json": lock["version"],
        "package-lock.json, itself": lock["packages"][""]["version"],
        "example": read(ELECTRON / "package.json")["version"],
        "example's lock": example["version"],
        "example's lock, itself": example["packages"][""]["version"],
        "example's lock, client": example["packages"]["../../protocol/typescript"]["version"],
    }
    for document in (TYPESCRIPT / "README.md", ELECTRON / "README.md"):
        text = document.read_text("utf-8")
        (versions[str(document)],) = re.findall(r"transcription-worker-client-(.*?)\.tgz", text)
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    released = [each for each in headings if each != "Unreleased"]
    if released:
        versions["CHANGELOG.md"] = released[0].split()[0]
    assert versions == dict.fromkeys(versions, __version__)


def test_wheel_has_every_file_of_the_two_packages(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for room in ("protocol", "worker")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and TYPESCRIPT not in path.parents
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.startswith(f"transcription_worker-{__version__}.dist-info/")
        }
    assert packed == sources


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        parts = {part for name in archive.getnames() for part in name.split("/")}
        archive.extractall(tmp_path, filter="data")
    assert not parts & {"node_modules", "__pycache__", "build", "dist", ".git"}
    checkout = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert (checkout / "LICENSE").exists()
    again = build(checkout, "wheel", tmp_path / "wheel")
    assert sha256(again.read_bytes()).digest() == sha256(wheel.read_bytes()).digest()


@pytest.mark.parametrize("extra", ["", "full", "captions"])
def test_what_is_locked_is_what_the_wheel_asks_for(declared: list[Requirement], extra: str) -> None:
    lock = (ROOT / "requirements" / "full.txt").read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==([\w.+-]+)(?: *; *([^\\]*))? *\\$", lock, re.MULTILINE)
    locked = {
        canonicalize_name(name): version
        for name, version, marker in pins
        if not marker or Marker(marker).evaluate()
    }
    asked = [
        each for each in declared if each.marker is None or each.marker.evaluate({"extra": extra})
    ]
    assert asked
    for each in asked:
        assert each.specifier.contains(locked[canonicalize_name(each.name)]), each


def test_installed_program_is_the_wheel_s(installed: Installed) -> None:
    assert installed.run("transcription-worker", "--version") == (
        f"transcription-worker {__version__}\n"
    )
    script = "import worker, protocol; print(worker.__file__); print(protocol.__file__)"
    for line in installed.run("python", "-c", script).splitlines():
        assert Path(line).is_relative_to(installed.programs.parent)


def test_installed_module_describes_itself(installed: Installed) -> None:
    request = '{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'
    reply = json.loads(installed.run("python", "-m", "worker", send=request))
    assert reply["result"] == json.loads((ROOT / "protocol" / "openrpc.json").read_bytes())


def test_installed_program_transcribes_into_every_format(installed: Installed) -> None:
    formats = get_args(Format)
    installed.run(
        *("transcription-worker", "transcribe", RECORDINGS / "en-01.flac", "--model", MODEL),
        *("--formats", ",".join(formats), "--output-dir", "out"),
    )
    written = sorted((installed.folder / "out").iterdir())
    assert len(written) == len(formats)
    for file in written:
        if file.suffix != ".rttm":  # nobody asked for speakers
            assert "white" in file.read_text("utf-8"), file


@pytest.mark.slow
def test_extra_has_all_that_the_whole_job_needs(
    tmp_path: Path, wheel: Path, declared: list[Requirement]
) -> None:
    installed = Installed(tmp_path, wheel, declared, "full")
    for engine in ("whisper", "whisperx"):
        done = installed.run(
            *("transcription-worker", "transcribe", MIXTURES / "call-1.flac", "--model", MODEL),
            *("--engine", engine, "--language", "en", "--json"),
            *("--align", "--align-model", ALIGNMENT_MODEL),
            *("--diarize", "--diarize-model", DIARIZATION_MODEL),
        )
        segments = json.loads(done)["segments"]
        assert {segment["speaker"] for segment in segments} == {"SPEAKER_00", "SPEAKER_01"}


CONSUMER = """
from typing import assert_type

from protocol.transcription import TranscribeParams
from worker.client import Client

params = TranscribeParams(audio="a.wav", beam_size=5)
assert_type(params.audio, str)
TranscribeParams(audio=5)  # type: ignore[arg-type]
TranscribeParams(audio="a.wav", beamsize=5)  # type: ignore[call-arg]


def ping(client: Client) -> int:
    assert_type(client.close(), int)
    client.send(5)  # type: ignore[arg-type]
    return client.send("ping")
"""


@pytest.mark.slow
def test_types_reach_a_strict_consumer(installed: Installed) -> None:
    consumer = installed.folder / "consumer.py"
    consumer.write_text(CONSUMER)
    command = ["--strict", "--python-executable", str(installed.python), consumer.name]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *command],
        cwd=installed.folder,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_installed_program_conforms(installed: Installed) -> None:
    program = installed.programs / "transcription-worker"
    report = json.loads(
        installed.run(
            *("python", "-m", "protocol.conformance", "--json"),
            *("--profile", "worker", "--", program),
        )
    )
    assert report["failures"] == []
    assert report["passed"] == len(report["vectors"]) == len(load_vectors("worker"))
