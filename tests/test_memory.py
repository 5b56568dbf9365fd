"""How much memory there is, who holds it, and what a model is expected to need."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from worker.managers import memory
from worker.system import cgroups

MB = 1_000_000


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of control groups in the place of the system's."""
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    return tmp_path


def test_resident_memory_is_that_of_the_process() -> None:
    held = bytearray(os.urandom(1 << 20) * 30)
    assert memory.own() > len(held)
    assert memory.resident(os.getpid()) == pytest.approx(memory.own(), rel=0.1)
    assert memory.resident(2**22 + 1) == 0


def test_a_container_has_what_its_group_allows(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "limits", lambda: [(500 * MB, 200 * MB)])
    assert memory.system() == (500 * MB, 300 * MB)
    monkeypatch.setattr(cgroups, "limits", list)
    assert memory.system().total == psutil.virtual_memory().total


def test_page_cache_does_not_count_as_used_memory(groups: Path) -> None:
    (groups / "memory").mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text("1000\n")
    (groups / "memory" / "memory.usage_in_bytes").write_text("700\n")
    (groups / "memory" / "memory.stat").write_text("total_inactive_file 300\nother 1\n")
    (groups / "memory.max").write_text("900\n")
    (groups / "memory.current").write_text("500\n")
    (groups / "memory.stat").write_text("inactive_file 100\n")
    assert (1000, 400) in cgroups.limits()
    assert (900, 400) in cgroups.limits()


def test_a_group_without_a_limit_is_none(groups: Path) -> None:
    (groups / "memory.max").write_text("max\n")
    assert cgroups.limits() == []


def test_expectations_follow_the_weights_and_the_precision() -> None:
    weights = 500 * MB
    small, large = (
        memory.estimate("faster-whisper", weights, precision, False, None).system
        for precision in ("int8", "float32")
    )
    assert weights < small < large
    unknown = memory.estimate("faster-whisper", None, "default", False, None)
    assert unknown.system > 500 * MB
    on_device = memory.estimate("faster-whisper", weights, "float16", True, None)
    assert on_device.device > weights
    assert on_device.system < large


def test_what_one_model_took_is_known_of_others_of_its_kind() -> None:
    base = memory.base_of("faster-whisper", 10 * MB, "int8", 150 * MB)
    assert memory.estimate("faster-whisper", 100 * MB, "int8", False, base).system == 240 * MB


def test_devices_are_those_that_the_driver_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '*query-gpu*) printf "81559, 80000\\n40960, 1024\\n";;\n'
        '*) printf "42, 500\\n42, 12\\n77, 1\\n";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(memory, "_nvidia_smi", lambda: str(program))
    devices = memory.Devices()
    assert [each.free >> 20 for each in devices.memory()] == [80000, 1024]
    assert devices.held() == {42: 512 << 20, 77: 1 << 20}
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\n")
    assert memory.Devices().memory() == []
    monkeypatch.setattr(memory, "_nvidia_smi", lambda: "")
    assert memory.Devices().held() == {}
