"""Params and results of `environment/probe` and `environment/devices`. Sizes are in bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.control import Result
from protocol.values import JobParams

Severity = Literal["error", "warning", "info"]
"""An error keeps something from working, a warning makes it worse; an info asks for nothing."""

Flavour = Literal["full", "lite"]
"""Whether alignment, diarization and whisperx, which need torch, are meant to be there."""

PackageState = Literal["ok", "absent", "import_failed", "use_failed", "crashed", "timed_out"]

EnvironmentStatus = Literal["ready", "degraded", "failed", "missing"]
"""`missing` is no fault: the flavour has not got it."""

TimeLimit = Annotated[float, Meta(gt=0)]


class ProbeParams(JobParams, kw_only=True):
    """Params of `environment/probe`."""

    online: bool = False
    """Also ask the hub whether it can be reached and takes the token; else nothing is sent."""
    timeout: TimeLimit = 120.0
    """Seconds after which a package that hangs is given up."""


class DevicesParams(JobParams, kw_only=True):
    """Params of `environment/devices`."""

    timeout: TimeLimit = 60.0
    """Seconds after which a library that hangs is given up."""


class Finding(Result, kw_only=True):
    """Something that is not as it should be, and what to do about it."""

    id: str
    """What kind of finding it is: stable, to program against."""
    severity: Severity
    message: str
    remedy: str
    package: str | None = None
    detail: str | None = None
    """The error with its causes, or the end of what the process wrote on stderr."""


class PackageInfo(Result, kw_only=True):
    """A package, tried in a process of its own."""

    name: str
    available: bool
    """It can be imported and, where that was tried, does its work."""
    state: PackageState
    required: bool
    """Without it something that this flavour is meant to do fails."""
    version: str | None
    location: str | None
    import_seconds: float | None
    error: str | None


class EnvironmentInfo(Result, kw_only=True):
    """The packages that one thing which the worker does rests on."""

    status: EnvironmentStatus
    packages: list[PackageInfo]
    errors: list[str]


class HealthMetrics(Result, kw_only=True):
    """`overallScore` is 100 when there is neither an error nor a warning, and 0 at the worst."""

    overall_score: int
    errors: int
    warnings: int
    seconds: float
    """That the probe took."""


class Cpu(Result, kw_only=True):
    """The processor."""

    model: str | None
    architecture: str
    features: list[str]
    """Instruction sets, by numpy's names for them; empty where it could not be asked."""
    cores: int | None
    threads: int | None
    usable_threads: int
    """That this process may run on."""
    compute_types: list[str]
    """That recognition can use."""


class SystemMemory(Result, kw_only=True):
    """Memory of the machine, and the limit of the container that the worker runs in."""

    total: int | None
    available: int | None
    limit: int | None


class Accelerator(Result, kw_only=True):
    """A graphics processor."""

    kind: Literal["cuda", "rocm", "mps"]
    index: int
    name: str | None = None
    memory_total: int | None = None
    memory_free: int | None = None
    driver: str | None = None
    compute_capability: str | None = None
    usable_by: list[Literal["ctranslate2", "torch"]] = field(default_factory=list)
    """Recognition runs on ctranslate2; alignment, diarization and whisperx's VAD on torch."""
    compute_types: list[str] = field(default_factory=list)
    """That recognition can use there."""


class Devices(Result, kw_only=True):
    """What there is to compute on."""

    cpu: Cpu
    memory: SystemMemory
    accelerators: list[Accelerator]


class DevicesResult(Devices, kw_only=True):
    """Result of `environment/devices`."""

    findings: list[Finding]


class PlatformInfo(Result, kw_only=True):
    """The program, its Python and the system."""

    frozen: bool
    bundle_directory: str | None
    """`sys._MEIPASS` of a frozen program."""
    executable: str
    sys_path: list[str]
    python: str
    system: str
    release: str
    architecture: str
    bits: int
    libc: str | None
    encoding: str
    filesystem_encoding: str
    locale: str | None
    path_entries: int
    """Of the variable PATH."""


class Storage(Result, kw_only=True):
    """A directory that the worker writes to."""

    directory: str
    writable: bool
    free_disk: int | None


class CachedRepository(Result, kw_only=True):
    """A model in the cache."""

    repository: str
    size: int
    incomplete: int
    """Bytes of files whose download was broken off."""
    revisions: list[str]


class CacheInfo(Storage, kw_only=True):
    """The hub's cache."""

    source: str
    """The variable that set it, or `default`."""
    exists: bool
    size: int
    models: list[CachedRepository]


class HubInfo(Result, kw_only=True):
    """The hub that models come from. What was not asked is null."""

    endpoint: str
    offline: bool
    """HF_HUB_OFFLINE is set."""
    token_source: Literal["initialize", "environment", "login"] | None
    reachable: bool | None = None
    seconds: float | None = None
    """Until its answer."""
    token_valid: bool | None = None
    user: str | None = None


class ProbeResult(Result, kw_only=True):
    """Result of `environment/probe`. Secrets are left out of all of it."""

    worker_version: str
    flavour: Flavour
    health_metrics: HealthMetrics
    environments: dict[str, EnvironmentInfo]
    """`worker`, `fasterWhisper`, `whisperx`, `alignment` and `pyannote`."""
    findings: list[Finding]
    """Errors first."""
    devices: Devices
    platform: PlatformInfo
    cache: CacheInfo
    temporary: Storage
    hub: HubInfo
    environment_variables: dict[str, str]
