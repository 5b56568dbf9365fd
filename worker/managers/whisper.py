"""The whisper manager: which engine holds which model, and transcription on it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import msgspec

from worker.handler import Json
from worker.log import Log

if TYPE_CHECKING:  # built when the first job comes, not at the start
    from protocol.transcription import TranscribeParams
    from worker.channel import Writer
    from worker.engines.process import EngineProcess
    from worker.jobs import Job

_MODEL_FIELDS = ("model", "revision", "device", "device_index", "compute_type", "threads")


class WhisperManager:
    """Keeps one model loaded in one engine process, and starts another when another is asked for.

    Calls come from one thread, the lane's.
    """

    def __init__(self, log: Log, cancel_grace: float | None = None) -> None:
        self.writer: Writer
        self._log = log
        self._cancel_grace = cancel_grace
        self._engine: EngineProcess | None = None
        self._loaded: tuple[object, ...] | None = None

    def transcribe(self, job: Job, params: TranscribeParams) -> Json:
        """Serve `transcribe`: the engine's result, forwarded as it is."""
        from protocol.params import given_names
        from protocol.progress import ProgressReport
        from worker.audio import check_file

        queued = time.monotonic() - job.accepted_at
        check_file(params.audio)
        job.begin(f"Transcribing {os.path.basename(params.audio)}")
        started = time.monotonic()
        key = tuple(getattr(params, name) for name in _MODEL_FIELDS)
        engine = self._engine_for(key)
        if self._loaded != key:
            job.report(ProgressReport(stage="load", message=params.model))
            engine.call("load", _load_params(params), job)
            self._loaded = key
        request = {
            "request": msgspec.Raw(job.params),
            "given": sorted(given_names(job.params)),
            "queueSeconds": queued,
            "loadSeconds": time.monotonic() - started,
            "progressToken": msgspec.Raw(job.progress_token or b"null"),
            "partialResultToken": msgspec.Raw(job.partial_token or b"null"),
        }
        return engine.call("transcribe", msgspec.json.encode(request), job)

    def close(self) -> None:
        """End the engine; from any thread."""
        if self._engine:
            self._engine.kill()

    def _engine_for(self, key: tuple[object, ...]) -> EngineProcess:
        """A living engine that holds no other model than `key`'s."""
        from worker.engines.process import DEFAULT_CANCEL_GRACE, EngineProcess, engine_command

        if self._engine and self._loaded not in (key, None):
            # Freed memory only returns to the system with the process.
            self._engine.stop()
        if not self._engine or not self._engine.alive:
            self._loaded = None
            grace = DEFAULT_CANCEL_GRACE if self._cancel_grace is None else self._cancel_grace
            self._engine = EngineProcess(
                "whisper", engine_command("whisper"), self.writer, self._log, cancel_grace=grace
            )
        return self._engine


def _load_params(params: TranscribeParams) -> bytes:
    """The part of the params that `load` takes."""
    from worker.engines.contract import LoadParams

    fields = {name: getattr(params, name) for name in (*_MODEL_FIELDS, "download")}
    return msgspec.json.encode(LoadParams(**fields))
