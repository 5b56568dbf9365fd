"""Installing on a platform without wheels ends with the reason; the locks agree with each other."""

from __future__ import annotations

import re
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

REQUIREMENTS = Path(__file__).parents[1] / "requirements"


def load(name: str) -> ModuleType:
    spec = util.spec_from_file_location(name, REQUIREMENTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pretend(patch: pytest.MonkeyPatch, system: str, machine: str, macos: str, libc: str) -> None:
    patch.setattr("sysconfig.get_platform", lambda: system)
    patch.setattr("platform.machine", lambda: machine)
    patch.setattr("platform.mac_ver", lambda: (macos, ("", "", ""), machine))
    patch.setattr("platform.libc_ver", lambda: (libc, ""))


@pytest.mark.parametrize(
    ("system", "machine", "macos", "libc", "lite", "full"),
    [
        ("linux-x86_64", "x86_64", "", "glibc", None, None),
        ("linux-aarch64", "aarch64", "", "glibc", None, None),
        ("linux-x86_64", "x86_64", "", "", "C library", "C library"),
        ("win-amd64", "AMD64", "", "", None, None),
        ("win-amd64", "ARM64", "", "", None, None),  # Python for x64 on an ARM machine
        ("win-arm64", "ARM64", "", "", "x64", "x64"),
        ("win32", "AMD64", "", "", "x64", "x64"),
        ("macosx-11.0-arm64", "arm64", "15.1", "", None, None),
        ("macosx-10.9-universal2", "arm64", "13.7", "", "macOS 14", "macOS 14"),
        ("macosx-10.9-universal2", "x86_64", "13.7", "", None, "Intel Macs"),
        ("macosx-10.9-x86_64", "x86_64", "12.1", "", "macOS 13", "macOS 13"),
    ],
)
def test_reason(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    macos: str,
    libc: str,
    lite: str | None,
    full: str | None,
) -> None:
    pretend(monkeypatch, system, machine, macos, libc)
    refusal = load("platforms").refusal
    for flavor, expected in (("lite", lite), ("full", full)):
        reason = refusal(flavor)
        assert reason is None if expected is None else expected in reason


def test_build_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "win-arm64", "ARM64", "", "")
    monkeypatch.syspath_prepend(str(REQUIREMENTS))
    hook = load("hatch").PlatformHook(str(REQUIREMENTS.parent), {})
    with pytest.raises(SystemExit, match="Windows on ARM runs it, too"):
        hook.update({})


def pins(lock: str) -> set[str]:
    """`name==version` of each package."""
    text = (REQUIREMENTS / f"{lock}.txt").read_text("utf-8")
    return set(re.findall(r"^(\S+==\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", ["lite", "bundle"])
def test_small_lock_is_part_of_the_full_one(lock: str) -> None:
    """So one environment serves both, and what was tested is what is shipped."""
    assert pins(lock) - pins("full") == set()


def test_lite_lock_has_no_torch() -> None:
    heavy = {"torch", "torchaudio", "whisperx", "pyannote-audio", "transformers", "ray"}
    assert {pin.partition("==")[0] for pin in pins("lite")} & heavy == set()
