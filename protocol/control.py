"""Params and results of the methods about the session itself, not about models."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from protocol import PROTOCOL_VERSION

LogLevel = Literal["error", "warning", "info", "debug"]


class Params(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of every params struct: camelCase on the wire, unknown names refused."""


class Result(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=False):
    """Base of every result struct: camelCase on the wire."""


class NoParams(Params, kw_only=True):
    """For methods without params: absent, `{}` and `[]` are the same."""


class ClientInfo(Params, kw_only=True):
    """Who is calling; it is written to the log."""

    name: str
    version: str | None = None


class InitializeParams(Params, kw_only=True):
    """`processId` is watched: when that process ends, the worker does too."""

    process_id: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The worker ends when this process does."""
    client_info: ClientInfo | None = None
    """Written to the log."""
    log_level: LogLevel | None = None
    """Send `$/logMessage` notifications of this level and above; none are sent without it."""
    max_line_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**31)] | None = None
    """Longer lines are answered with line_too_long, and skipped; 64 MiB without it. Never more than
    `serve --max-line`, where the worker was started with that: the answer tells."""
    hf_token: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """For gated models of the hub; without it HF_TOKEN or the hub's own login is used."""

    def __repr__(self) -> str:
        return f"InitializeParams(process_id={self.process_id}, hf_token=<{bool(self.hf_token)}>)"


class ServerInfo(Result, kw_only=True):
    """Name and version of the worker."""

    name: str
    version: str


class EngineInfo(Result, kw_only=True):
    """Whether an engine's packages are there, and which are missing or damaged.

    A glance: `environment/probe` tries them.
    """

    available: bool
    missing: list[str]


class Capabilities(Result, kw_only=True):
    """What this worker can do."""

    methods: list[str]
    notifications: list[str]
    engines: dict[str, EngineInfo]


class Limits(Result, kw_only=True):
    """What the worker refuses beyond."""

    max_line_bytes: int
    max_batch_members: int
    max_open_jobs: int
    """Work requests that wait or run; more are answered with busy."""
    max_open_bytes: int
    """Bytes of the params of these together; one request alone may have more."""
    max_audio_duration: float
    """Seconds of a recording that are decoded; a longer one is answered with audio_too_long."""
    max_audio_bytes: int
    """Bytes of a recording's file; a larger one is answered with audio_too_large."""
    max_loaded_models: int
    memory_budget: int | None
    """Bytes of resident memory for the worker and its engines; null for what the machine has."""
    idle_exit: float | None
    """Seconds without input and without open jobs after which the worker ends, with exit code 0;
    null where it stays."""


class InitializeResult(Result, kw_only=True):
    """Answer to `initialize`; `processId` is the worker's own."""

    process_id: int
    server_info: ServerInfo
    capabilities: Capabilities
    limits: Limits
    protocol_version: str = PROTOCOL_VERSION


class CancelParams(Params, kw_only=True):
    """Names the request to cancel by its id: a string or a number."""

    id: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string"]})]


class LogMessageParams(Result, kw_only=True):
    """A `$/logMessage` notification; `time` is UTC in ISO 8601."""

    level: LogLevel
    logger: str
    message: str
    time: str
