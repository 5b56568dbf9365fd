"""Params and results of `environment/probe` and `environment/devices`. Sizes are in bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.control import Result
from protocol.values import JobParams

Severity = Literal["error", "warning", "info"]
"""An error breaks something, a warning makes it worse, an info needs no action."""

Flavour = Literal["full", "lite"]
"""`full` includes alignment, diarization and whisperx, which need torch; `lite` does not."""

PackageState = Literal["ok", "absent", "import_failed", "use_failed", "crashed", "timed_out"]

EnvironmentStatus = Literal["ready", "degraded", "failed", "missing"]
"""`missing` is not a fault: this flavour does not include it."""

TimeLimit = Annotated[float, Meta(gt=0)]


class ProbeParams(JobParams, kw_only=True):
    """Params of `environment/probe`."""

    online: bool = False
    """Also contact the hub and check the token; otherwise the probe sends nothing."""
    timeout: TimeLimit = 120.0
    """Seconds after which the probe gives up on a package that hangs."""


class DevicesParams(JobParams, kw_only=True):
    """Params of `environment/devices`."""

    timeout: TimeLimit = 60.0
    """Seconds after which the worker gives up on a library that hangs."""


class Finding(Result, kw_only=True):
    """A problem or limitation, and what to do about it."""

    id: str
    """Kind of the finding; it never changes, so clients can program against it."""
    severity: Severity
    message: str
    remedy: str
    package: str | None = None
    detail: str | None = None
    """The error with its causes, or the end of the process's stderr."""


class PackageInfo(Result, kw_only=True):
    """A package, tested in its own process."""

    name: str
    available: bool
    """True if it can be imported and, where the probe tried that, works."""
    state: PackageState
    required: bool
    """True if this flavour needs it."""
    version: str | None
    location: str | None
    import_seconds: float | None
    error: str | None


class EnvironmentInfo(Result, kw_only=True):
    """The packages that one capability of the worker depends on."""

    status: EnvironmentStatus
    packages: list[PackageInfo]
    errors: list[str]


class HealthMetrics(Result, kw_only=True):
    """`overallScore` ranges from 0 to 100; 100 means neither errors nor warnings."""

    overall_score: int
    errors: int
    warnings: int
    seconds: float
    """Duration of the probe."""


class Cpu(Result, kw_only=True):
    """The processor."""

    model: str | None
    architecture: str
    features: list[str]
    """Instruction sets, by numpy's names; empty if numpy does not list them."""
    cores: int | None
    threads: int | None
    usable_threads: int
    """Threads that this process may run on."""
    compute_types: list[str]
    """Compute types that recognition can use."""


class SystemMemory(Result, kw_only=True):
    """Memory of the machine, and the limit of the worker's container."""

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
    """Compute types that recognition can use on this device."""


class Devices(Result, kw_only=True):
    """The machine's compute devices."""

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
    """`sys._MEIPASS` in a frozen program, else null."""
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
    """Number of entries in PATH."""


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
    """Bytes of incomplete downloads."""
    revisions: list[str]


class CacheInfo(Storage, kw_only=True):
    """The hub's cache."""

    source: str
    """The environment variable that sets its folder, or `default`."""
    exists: bool
    size: int
    models: list[CachedRepository]


class HubInfo(Result, kw_only=True):
    """The hub that models come from. Without `online`, its answers are null."""

    endpoint: str
    offline: bool
    """True if HF_HUB_OFFLINE is set."""
    token_source: Literal["initialize", "environment", "login"] | None
    reachable: bool | None = None
    seconds: float | None = None
    """How long its answer took."""
    token_valid: bool | None = None
    user: str | None = None


class ProbeResult(Result, kw_only=True):
    """Result of `environment/probe`, with all secrets redacted."""

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
