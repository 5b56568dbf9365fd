"""Params and results of `models/…` and `hub/…`. Sizes are in bytes, times in UTC (ISO 8601)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.control import Result
from protocol.transcription import ComputeType, Engine
from protocol.values import (
    JobParams,
    KeepAlive,
    NonEmptyStr,
    NonNegativeInt,
    Notice,
    TorchDevice,
)

Task = Literal["recognition", "alignment", "diarization"]

LanguageCode = Annotated[str, Meta(min_length=2)]


class ModelChoice(JobParams, kw_only=True):
    """Names a model; without `model`, the default model of the task's method."""

    task: Task = "recognition"
    """What the model is for."""
    model: NonEmptyStr | None = None
    """A known name, a hub id (`owner/name`) or, for `models/load`, a directory."""
    language: LanguageCode | None = None
    """Selects the default alignment model of this language, if `model` is not set."""
    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""


class LoadModelParams(ModelChoice, kw_only=True):
    """Params of `models/load`. Options that do not apply to the task are refused.

    The loaded model serves requests with the same `model`, `revision`, `device`, `deviceIndex`, and
    for recognition the same `engine`, `computeType` and `threads`.
    """

    download: bool = False
    """Download the model if it is not cached."""
    device: TorchDevice = "auto"
    """`auto` chooses a usable CUDA device, or else the CPU."""
    device_index: NonNegativeInt = 0
    """Index of the device, from 0."""
    engine: Engine | Literal["live"] | None = None
    """For recognition; defaults to `whisper`. `live` is the engine of streams."""
    compute_type: ComputeType | None = None
    """For recognition; defaults to `auto`."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 uses every CPU that this process may use."""
    allow_pickle: bool = False
    """Load pickled weights, which can run code when loaded. Only for authors whom you trust."""
    keep_alive: KeepAlive | None = None


class LoadedModel(Result, kw_only=True):
    """A model in memory, in its own engine process."""

    task: str
    """`audio` or `hub` for a helper."""
    model: str
    engine: str
    device: str | None
    """Null while the model is loading."""
    compute_type: str | None
    state: Literal["loading", "idle", "busy"]
    process_id: int | None
    jobs: int
    """Jobs that use the model or wait for it."""
    idle_since: str | None
    expires_at: str | None
    """When an unused model will be unloaded; null while it is busy or is kept forever."""
    memory: int | None
    """Resident memory of its process."""
    device_memory: int | None
    """CUDA memory that its process holds."""
    loads: int
    """How often the model was loaded."""


class LoadModelResult(Result, kw_only=True):
    """Result of `models/load`."""

    model: LoadedModel
    load_seconds: float
    warnings: list[Notice] = field(default_factory=list)


class UnloadModelParams(JobParams, kw_only=True):
    """Params of `models/unload`; without `task` and `model`, all models are unloaded."""

    task: Task | None = None
    """Only models for this task."""
    model: NonEmptyStr | None = None
    """Only this model: its name, hub id or directory."""
    when_busy: Literal["refuse", "wait", "skip"] = "refuse"
    """If a model is in use: fail and unload nothing, wait until it is free, or leave it loaded."""


class UnloadModelResult(Result, kw_only=True):
    """Result of `models/unload`: the unloaded models, as they were just before."""

    unloaded: list[LoadedModel]
    freed_memory: int
    """Resident memory of the ended processes, including idle helpers."""


class ListModelsParams(JobParams, kw_only=True):
    """Params of `models/list`."""

    task: Task | None = None
    """Only models for this task."""
    cached_only: bool = False
    """Omit models that are neither cached nor loaded."""


class ModelRow(Result, kw_only=True):
    """A model that is known, cached or loaded."""

    task: str | None
    """Null for a cached model that the catalogue does not contain."""
    name: str
    repository: str | None
    """Null for a directory."""
    languages: list[str]
    """Empty if the model does not depend on the language, or its languages are unknown."""
    size_on_disk: int | None
    """Size of the cached files, or else of the published weights, rounded."""
    size_in_memory: int | None
    """Measured at the last load, or else the size expected on a CPU."""
    licence: str | None
    gated: bool | None
    cached: bool
    incomplete: int
    """Bytes of incomplete downloads; the next download resumes them."""
    revisions: list[str]
    """Commits in the cache."""
    loaded: list[LoadedModel]


class MemoryInfo(Result, kw_only=True):
    """Memory of the machine or of its container, and the worker's share of it."""

    total: int
    available: int
    used: int
    """Used by the worker and its engines."""
    budget: int | None


class ListModelsResult(Result, kw_only=True):
    """Result of `models/list`."""

    models: list[ModelRow]
    helpers: list[LoadedModel]
    """Processes that decode audio or talk to the hub; they end when they are no longer needed."""
    cache_directory: str
    free_disk: int
    memory: MemoryInfo


class DownloadModelParams(ModelChoice, kw_only=True):
    """Params of `models/download`, which verifies cached files and replaces damaged ones."""


class DownloadModelResult(Result, kw_only=True):
    """Result of `models/download`."""

    model: str
    repository: str
    revision: str | None
    """The commit hash."""
    path: str
    files: int
    bytes: int
    downloaded: int
    """How many of those bytes this request downloaded."""
    mended: list[str]
    """Damaged files that were downloaded again."""
    licence: str | None = None
    warnings: list[Notice] = field(default_factory=list)


class RemoveModelParams(ModelChoice, kw_only=True):
    """Params of `models/remove`; without `revision`, every revision is removed."""


class RemoveModelResult(Result, kw_only=True):
    """Result of `models/remove`."""

    repository: str
    freed: int


class WhoAmIParams(JobParams, kw_only=True):
    """Params of `hub/whoami`."""


class WhoAmIResult(Result, kw_only=True):
    """Result of `hub/whoami`: the owner of the worker's token, and where the token comes from."""

    name: str
    source: Literal["initialize", "environment", "login"]
    endpoint: str
