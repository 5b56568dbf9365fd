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
    """Names a model. Without `model` it is the one that the task's own method would take."""

    task: Task = "recognition"
    """What the model is for."""
    model: NonEmptyStr | None = None
    """A known name, a hub id (`owner/name`) or, where it makes sense, a directory."""
    language: LanguageCode | None = None
    """Of an alignment model that is not named: the usual one of this language."""
    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""


class LoadModelParams(ModelChoice, kw_only=True):
    """Params of `models/load`. What fits the task counts; other options are refused.

    The loaded model serves requests that give the same `model`, `revision`, `device`,
    `deviceIndex`, and for recognition `engine`, `computeType` and `threads`.
    """

    download: bool = False
    """Fetch the model when it is not cached."""
    device: TorchDevice = "auto"
    """`auto` is a CUDA device where there is one that can be used, else the CPU."""
    device_index: NonNegativeInt = 0
    """Which of several devices, from 0."""
    engine: Engine | None = None
    """Of a recognition model; faster-whisper without it."""
    compute_type: ComputeType | None = None
    """Of a recognition model; `auto` without it."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 takes as many as this process may run on."""
    allow_pickle: bool = False
    """Read weights that can run code while they are read. Only for makers whom you trust."""
    keep_alive: KeepAlive | None = None


class LoadedModel(Result, kw_only=True):
    """A model in the memory of an engine process of its own."""

    task: str
    """For a helper, `audio` or `hub`."""
    model: str
    engine: str
    device: str | None
    """Null while it is being loaded."""
    compute_type: str | None
    state: Literal["loading", "idle", "busy"]
    process_id: int | None
    jobs: int
    """That use it or wait for it."""
    idle_since: str | None
    expires_at: str | None
    """When it will be unloaded if nobody asks for it; null while it is busy, or for ever."""
    memory: int | None
    """Resident memory of its process."""
    device_memory: int | None
    """Memory of a CUDA device that its process holds."""
    loads: int
    """How often it was loaded."""


class LoadModelResult(Result, kw_only=True):
    """Result of `models/load`."""

    model: LoadedModel
    load_seconds: float
    warnings: list[Notice] = field(default_factory=list)


class UnloadModelParams(JobParams, kw_only=True):
    """Params of `models/unload`; without a task and a model, all models are meant."""

    task: Task | None = None
    """Only models for it."""
    model: NonEmptyStr | None = None
    """Only this one: its name, hub id or directory."""
    when_busy: Literal["refuse", "wait", "skip"] = "refuse"
    """What to do about one that is in use: fail (and unload none), wait, or leave it."""


class UnloadModelResult(Result, kw_only=True):
    """Result of `models/unload`: what was unloaded, as it was just before."""

    unloaded: list[LoadedModel]
    freed_memory: int
    """Resident memory of the processes that were ended, idle helpers among them."""


class ListModelsParams(JobParams, kw_only=True):
    """Params of `models/list`."""

    task: Task | None = None
    """Only models for it."""
    cached_only: bool = False
    """Leave out what is known but neither cached nor loaded."""


class ModelRow(Result, kw_only=True):
    """A model: known, cached, loaded, or several of these."""

    task: str | None
    """Null for what lies in the cache under a name that we do not know."""
    name: str
    repository: str | None
    """Null for a directory."""
    languages: list[str]
    """Empty for one that does not care, or that we do not know."""
    size_on_disk: int | None
    """Of what is cached; else of the published weights, rounded."""
    size_in_memory: int | None
    """Measured when it was loaded last; else what is expected on a CPU."""
    licence: str | None
    gated: bool | None
    cached: bool
    incomplete: int
    """Bytes of files whose download was broken off; a later one goes on there."""
    revisions: list[str]
    """Commits in the cache."""
    loaded: list[LoadedModel]


class MemoryInfo(Result, kw_only=True):
    """Memory of the machine, or of the container that limits it, and of the worker."""

    total: int
    available: int
    used: int
    """By the worker and its engines."""
    budget: int | None


class ListModelsResult(Result, kw_only=True):
    """Result of `models/list`."""

    models: list[ModelRow]
    helpers: list[LoadedModel]
    """Processes that decode audio, or ask the hub; they end when they are not needed."""
    cache_directory: str
    free_disk: int
    memory: MemoryInfo


class DownloadModelParams(ModelChoice, kw_only=True):
    """Params of `models/download`. What is cached is verified, and mended where it is damaged."""


class DownloadModelResult(Result, kw_only=True):
    """Result of `models/download`."""

    model: str
    repository: str
    revision: str | None
    """The commit."""
    path: str
    files: int
    bytes: int
    downloaded: int
    """How many of those bytes came over the network this time."""
    mended: list[str]
    """Files that were damaged and were fetched again."""
    licence: str | None = None
    warnings: list[Notice] = field(default_factory=list)


class RemoveModelParams(ModelChoice, kw_only=True):
    """Params of `models/remove`: every revision goes, unless one is named."""


class RemoveModelResult(Result, kw_only=True):
    """Result of `models/remove`."""

    repository: str
    freed: int


class WhoAmIParams(JobParams, kw_only=True):
    """Params of `hub/whoami`."""


class WhoAmIResult(Result, kw_only=True):
    """Result of `hub/whoami`: whose token the worker would use, and where it comes from."""

    name: str
    source: Literal["initialize", "environment", "login"]
    endpoint: str
