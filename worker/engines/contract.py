"""What the front and a whisper engine say to each other: the same JSON-RPC, on private pipes."""

from __future__ import annotations

from protocol.control import Params, Result
from protocol.transcription import ModelParams, Notice, Token, TranscribeParams


class LoadParams(ModelParams, kw_only=True):
    """Params of `load`; a `model` that is a directory is absolute."""

    progress_token: Token | None = None


class LoadResult(Result, kw_only=True):
    """Where the model ended up, and what the caller should know of it."""

    device: str
    compute_type: str
    warnings: list[Notice]


class EngineTranscribeParams(Params, kw_only=True):
    """Params of the engine's `transcribe`: the client's own, and what the front knows."""

    request: TranscribeParams
    given: list[str]
    """Names of the params that the client wrote."""
    queue_seconds: float
    load_seconds: float
    progress_token: Token | None = None
    partial_result_token: Token | None = None
