"""Every platform that we claim finds a wheel for each package of its locks, and no other does.

uv resolves a lock as pip would on that platform. It downloads nothing but metadata.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE_ONLY = ("jsonrpcserver", "oslash")
"""Pure Python, of which the index has no wheels for the locked versions."""

CLAIMED = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "x86_64-pc-windows-msvc",
    "aarch64-apple-darwin",
)
INTEL_MAC = "x86_64-apple-darwin"
WINDOWS_ON_ARM = "aarch64-pc-windows-msvc"


def resolve(
    lock: str, platform: str, python: str, target: Path
) -> subprocess.CompletedProcess[str]:
    """Resolve a lock as for another platform, and verify that wheels with its hashes exist."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [
            *(str(uv), "pip", "install", "--dry-run", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:"),
            *(each for name in SOURCE_ONLY for each in ("--no-binary", name)),
            *("--python-platform", platform, "--python-version", python),
            *("--target", str(target), "--requirement", f"requirements/{lock}.txt"),
        ],
        cwd=ROOT,
        # uv takes macOS 13 unless told; the oldest of ours is in requirements/platforms.py.
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "13.0" if platform == INTEL_MAC else "14.0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    ("lock", "platform"),
    [
        *((lock, platform) for lock in ("lite", "bundle", "full") for platform in CLAIMED),
        *((lock, INTEL_MAC) for lock in ("lite", "bundle")),
    ],
)
def test_lock_installs(lock: str, platform: str, python: str, tmp_path: Path) -> None:
    code, messages = resolve(lock, platform, python, tmp_path)
    assert code == 0, messages
    assert "Would install" in messages


@pytest.mark.parametrize(
    ("lock", "platform"),
    [("full", INTEL_MAC), ("lite", WINDOWS_ON_ARM), ("full", WINDOWS_ON_ARM)],
)
def test_refused_platform_still_has_no_wheels(lock: str, platform: str, tmp_path: Path) -> None:
    """Once it has, requirements/platforms.py need not refuse it."""
    code, messages = resolve(lock, platform, "3.11", tmp_path)
    assert code != 0
    assert "no wheels with a matching platform tag" in messages
