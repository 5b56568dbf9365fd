"""Params and results of the methods that concern the session itself."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from protocol import PROTOCOL_VERSION

LogLevel = Literal["error", "warning", "info", "debug"]


class Params(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of every params struct: camelCase on the wire; unknown names are an error."""


class Result(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=False):
    """Base of every result struct: camelCase on the wire."""


class NoParams(Params, kw_only=True):
    """For methods without params; absent, `{}` and `[]` mean the same."""


class ClientInfo(Params, kw_only=True):
    """Name and version of the client, for the log."""

    name: str
    version: str | None = None


class InitializeParams(Params, kw_only=True):
    """All of them are optional."""

    process_id: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The worker ends when this process does."""
    client_info: ClientInfo | None = None
    log_level: LogLevel | None = None
    """Send `$/logMessage` notifications of this level and above; without it, none are sent."""
    max_line_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**31)] | None = None
    """The worker skips longer lines and answers line_too_long. The default is 64 MiB; the option
    `serve --max-line` is the upper limit. The result has the value in use."""
    hf_token: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Token for gated models; without it, the worker uses HF_TOKEN or the hub's stored login."""

    def __repr__(self) -> str:
        return f"InitializeParams(process_id={self.process_id}, hf_token=<{bool(self.hf_token)}>)"


class ServerInfo(Result, kw_only=True):
    """Name and version of the worker."""

    name: str
    version: str


class EngineInfo(Result, kw_only=True):
    """Whether an engine's packages are installed, and which are missing or damaged.

    The worker does not import them for this; `environment/probe` does.
    """

    available: bool
    missing: list[str]


class Capabilities(Result, kw_only=True):
    """Methods, notifications and engines of this worker."""

    methods: list[str]
    notifications: list[str]
    engines: dict[str, EngineInfo]


class Limits(Result, kw_only=True):
    """The worker refuses what exceeds these."""

    max_line_bytes: int
    max_batch_members: int
    max_open_jobs: int
    """Work requests that wait or run; the error beyond is busy."""
    max_open_bytes: int
    """Total bytes of their params; a single request may exceed this."""
    max_audio_duration: float
    """Seconds of a recording; the error beyond is audio_too_long."""
    max_audio_bytes: int
    """Bytes of a recording's file; the error beyond is audio_too_large."""
    max_loaded_models: int
    memory_budget: int | None
    """Bytes of resident memory for the worker and its engines; null: whatever the machine has."""
    idle_exit: float | None
    """Seconds without input and open jobs after which the worker ends with exit code 0; null:
    never."""


class InitializeResult(Result, kw_only=True):
    """Result of `initialize`; `processId` is the worker's."""

    process_id: int
    server_info: ServerInfo
    capabilities: Capabilities
    limits: Limits
    protocol_version: str = PROTOCOL_VERSION


class CancelParams(Params, kw_only=True):
    """The id of the request to cancel: a string or a number."""

    id: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string"]})]


class LogMessageParams(Result, kw_only=True):
    """Params of a `$/logMessage` notification; `time` is UTC in ISO 8601."""

    level: LogLevel
    logger: str
    message: str
    time: str
