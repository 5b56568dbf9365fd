"""Describes the processor, memory and accelerators, and finds why a package cannot use one.

Facts come from packages examined in children, from nvidia-smi and from the system's files; nothing
native is loaded into this process.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from protocol.environment import Accelerator, Cpu, Devices, Finding, SystemMemory
from worker.probe.children import Children
from worker.probe.outcomes import Outcome
from worker.probe.signatures import Place, explain
from worker.system.cpu import available_threads

QUICK: Final = ("numpy", "psutil", "ctranslate2")
"""Packages that are always asked for facts; torch is asked only if there may be an accelerator."""

_LOW_MEMORY: Final = 1_000_000_000
"""Bytes; the model `small` takes 0.8 GB, and each stage that needs torch 1 GB and more."""
_SMI_COLUMNS: Final = "name,memory.total,memory.free,driver_version,compute_cap"
_CGROUP: Final = Path("/sys/fs/cgroup")


class Smi(NamedTuple):
    """The output of nvidia-smi: one row of `_SMI_COLUMNS` per device, or an error."""

    rows: list[list[str]]
    error: str | None = None


def ask_smi(children: Children) -> Smi:
    """Query NVIDIA's driver through its own program, so that nothing native is loaded."""
    path = shutil.which("nvidia-smi")
    if path is None:
        return Smi([])
    try:
        ended = children.run([path, f"--query-gpu={_SMI_COLUMNS}", "--format=csv,noheader,nounits"])
    except OSError as error:
        return Smi([], str(error))
    if ended.code != 0:
        said = (ended.output or ended.errors).strip().partition("\n")[0]
        return Smi([], said or "nvidia-smi gave no answer")
    rows = [[cell.strip() for cell in line.split(",")] for line in ended.output.splitlines()]
    return Smi([row for row in rows if len(row) == _SMI_COLUMNS.count(",") + 1])


def hints() -> set[Literal["cuda", "rocm", "mps"]]:
    """Kinds of accelerators that this machine may have, judging by its drivers."""
    found: set[Literal["cuda", "rocm", "mps"]] = set()
    system = Path(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32")
    cuda = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", str(system / "nvcuda.dll"))
    if shutil.which("nvidia-smi") or any(map(os.path.exists, cuda)):
        found.add("cuda")
    if any(map(os.path.exists, ("/dev/kfd", str(system / "amdhip64.dll")))):
        found.add("rocm")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        found.add("mps")
    return found


def describe(outcomes: Mapping[str, Outcome], smi: Smi) -> Devices:
    """Describe the devices from the facts of the packages and of the driver."""
    types = _facts(outcomes, "ctranslate2").get("computeTypes", {})
    memory = _facts(outcomes, "psutil")
    return Devices(
        cpu=Cpu(
            model=_cpu_model(),
            architecture=platform.machine(),
            features=list(_facts(outcomes, "numpy").get("cpuFeatures", ())),
            cores=memory.get("cores"),
            threads=memory.get("threads", os.cpu_count()),
            usable_threads=available_threads(),
            compute_types=types.get("cpu", []),
        ),
        memory=SystemMemory(
            total=memory.get("total"), available=memory.get("available"), limit=_memory_limit()
        ),
        accelerators=list(_accelerators(outcomes, smi)),
    )


def findings(
    devices: Devices, outcomes: Mapping[str, Outcome], smi: Smi, *, full: bool
) -> Iterator[Finding]:
    """Find what prevents the worker from using the devices."""
    yield from _of_processor(devices)
    if smi.error:
        yield Finding(
            id="driver_failed",
            severity="warning",
            message=f"NVIDIA's driver is installed but does not answer: {smi.error.rstrip('.')}.",
            remedy="Restart the machine, which a driver update requires; if that does not help, "
            "reinstall the driver. Until then the worker uses the CPU.",
        )
    yield from _of_recognition(outcomes, smi)
    if full and _works(outcomes, "torch"):
        yield from _of_torch(_facts(outcomes, "torch"), smi)


def _works(outcomes: Mapping[str, Outcome], name: str) -> bool:
    outcome = outcomes.get(name)
    return outcome is not None and outcome.failure is None


def _facts(outcomes: Mapping[str, Outcome], name: str) -> Mapping[str, Any]:
    outcome = outcomes.get(name)
    return outcome.facts if outcome else {}


def _accelerators(outcomes: Mapping[str, Outcome], smi: Smi) -> Iterator[Accelerator]:
    recognition, torch = _facts(outcomes, "ctranslate2"), _facts(outcomes, "torch")
    counted: int = recognition.get("cudaDevices", 0)
    seen: list[dict[str, Any]] = torch.get("devices", [])
    # The runtimes count the devices in CUDA_VISIBLE_DEVICES; the driver counts all of them.
    rows = smi.rows if max(counted, len(seen)) in (0, len(smi.rows)) else []
    for index in range(max(counted, len(seen), len(rows))):
        device = Accelerator(kind="rocm" if torch.get("hip") else "cuda", index=index)
        if index < len(rows):
            name, total, free, device.driver, device.compute_capability = rows[index]
            device.name, device.memory_total, device.memory_free = name, _bytes(total), _bytes(free)
        if index < len(seen):
            about = seen[index]
            device.name, device.memory_total = about["name"], about["total"]
            # The driver rounds to MiB.
            device.memory_free = min(device.memory_free or about["free"], about["total"])
            device.compute_capability = device.compute_capability or about["capability"]
            device.usable_by.append("torch")
        if index < counted and not recognition["missingLibraries"]:
            device.usable_by.insert(0, "ctranslate2")
            device.compute_types = recognition["computeTypes"].get(f"cuda:{index}", [])
        yield device
    if torch.get("mps"):
        yield Accelerator(kind="mps", index=0, name=_cpu_model(), usable_by=["torch"])


def _of_processor(devices: Devices) -> Iterator[Finding]:
    cpu, memory = devices.cpu, devices.memory
    intel = cpu.architecture.lower() in ("x86_64", "amd64")
    if intel and cpu.features and "AVX2" not in cpu.features:
        yield Finding(
            id="slow_processor",
            severity="info",
            message="The processor lacks AVX2: recognition on it is several times slower.",
            remedy="Use small models, or another machine.",
        )
    if _is_translated():
        yield Finding(
            id="translated_program",
            severity="warning",
            message="The program is built for Intel and runs slowly, translated, on Apple silicon.",
            remedy="Install the arm64 build; from source, use an arm64 Python.",
        )
    left = [size for size in (memory.available, memory.limit) if size is not None]
    if left and min(left) < _LOW_MEMORY:
        yield Finding(
            id="memory_low",
            severity="warning",
            message=f"Only {min(left) / 1e9:.1f} GB of memory are available.",
            remedy="Use the models tiny or base, close other programs, or give the machine or "
            "container more memory.",
        )


def _of_recognition(outcomes: Mapping[str, Outcome], smi: Smi) -> Iterator[Finding]:
    facts = _facts(outcomes, "ctranslate2")
    if missing := facts.get("missingLibraries"):
        explained = explain(missing[-1], Place("ctranslate2"))
        assert explained is not None
        yield Finding(
            id=explained.id,
            severity="error",
            message="Recognition cannot use the CUDA device because it does not find these "
            f"libraries: {', '.join(missing)}.",
            remedy=explained.remedy,
            package="ctranslate2",
        )
    elif smi.rows and _works(outcomes, "ctranslate2") and not facts.get("cudaDevices"):
        yield Finding(
            id="device_not_used",
            severity="warning",
            message=f"The machine has a {smi.rows[0][0]}, but recognition cannot use it.",
            remedy="Update NVIDIA's driver to one for CUDA 12, and check that CUDA_VISIBLE_DEVICES "
            "does not hide the device.",
            package="ctranslate2",
            detail=facts.get("cudaError"),
        )


def _of_torch(torch: Mapping[str, Any], smi: Smi) -> Iterator[Finding]:
    place = Place("torch")
    if smi.rows and not torch.get("cuda"):
        remedy = "Use a build of the application with CUDA, if its developers offer one."
        if not place.frozen:
            remedy = (
                "Install PyTorch with CUDA: pip install 'torch==2.8.*' "
                "'torchaudio==2.8.*' --index-url https://download.pytorch.org/whl/cu128."
            )
        yield Finding(
            id="device_not_used",
            severity="info" if place.frozen else "warning",
            message=f"The machine has a {smi.rows[0][0]}, but this PyTorch is built without CUDA: "
            "alignment and diarization run on the CPU.",
            remedy=remedy,
            package="torch",
        )
    elif (smi.rows or torch.get("hip")) and not torch.get("devices"):
        said = str(torch.get("error") or "it finds no device")
        explained = explain(said, place)
        yield Finding(
            id=explained.id if explained else "device_not_used",
            severity="warning",
            message="PyTorch cannot use the GPU: alignment and diarization run on the CPU.",
            remedy=explained.remedy
            if explained
            else "Update the driver of the GPU, and check that CUDA_VISIBLE_DEVICES "
            "(HIP_VISIBLE_DEVICES for ROCm) does not hide it.",
            package="torch",
            detail=said,
        )
    if "rocm" in hints() and not torch.get("hip"):
        yield Finding(
            id="device_not_used",
            severity="info",
            message="The machine has AMD's ROCm driver, but this PyTorch is built without ROCm.",
            remedy="For alignment and diarization on the GPU, install PyTorch with ROCm: "
            "https://pytorch.org/get-started/locally. Recognition always runs on the CPU.",
            package="torch",
        )
    if "mps" in hints() and not torch.get("mps"):
        yield Finding(
            id="device_not_used",
            severity="info",
            message="PyTorch cannot use Metal (MPS): alignment and diarization run on the CPU.",
            remedy="Use macOS 12.3 or newer, and an arm64 build of PyTorch.",
            package="torch",
            detail=torch.get("error"),
        )


def _bytes(mebibytes: str) -> int | None:
    try:
        return int(mebibytes) << 20
    except ValueError:  # "[N/A]"
        return None


if sys.platform == "darwin":

    def _sysctl(name: str) -> str | None:
        try:
            done = subprocess.run(
                ["/usr/sbin/sysctl", "-n", name], capture_output=True, timeout=5, text=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip() or None

    def _cpu_model() -> str | None:
        return _sysctl("machdep.cpu.brand_string")

    def _is_translated() -> bool:
        return _sysctl("sysctl.proc_translated") == "1"

elif sys.platform == "win32":

    def _cpu_model() -> str | None:
        import winreg

        path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
        except OSError:
            return platform.processor() or None

    def _is_translated() -> bool:
        return False

else:

    def _cpu_model() -> str | None:
        try:
            lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        except OSError:
            return None
        return next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            None,
        )

    def _is_translated() -> bool:
        return False


def _memory_limit() -> int | None:
    """The lowest limit, in bytes, of this process's control groups (version 2)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    group = _CGROUP / path.strip().lstrip("/")
    limits = []
    for folder in (group, *group.parents):
        if folder.is_relative_to(_CGROUP):
            try:
                limits.append(int((folder / "memory.max").read_text()))
            except (OSError, ValueError):  # no such group, or "max"
                continue
    return min(limits, default=None)
