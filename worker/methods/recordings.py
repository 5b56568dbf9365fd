"""The work methods on recordings: what each asks of the model managers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from protocol import methods
from protocol.errors import RpcError
from worker.managers.pool import ModelPool
from worker.session.lane import Method, typed

if TYPE_CHECKING:
    from protocol.alignment import AlignParams
    from protocol.diarization import DiarizeParams
    from protocol.transcript import ExportParams, ExportResult
    from protocol.transcription import TranscribeParams
    from worker.engines.contract import Source
    from worker.managers.model import Model
    from worker.pipeline.queue import Pipelines
    from worker.session.job import Job, Json, Later
    from worker.system.log import Log

# Any of these makes `transcribe` more than one engine's work.
_PIPELINE_PARAMS = frozenset(
    {"align", "diarize", "channelSpeakers", "formats"}
    | {"outputDir", "name", "overwrite", "formatOptions"}
)


class Work:
    """Serves requests that take long. Each method looks at its params and leaves the rest to a
    manager's thread, so that none stands behind another's work."""

    def __init__(self, managers: ModelPool, log: Log) -> None:
        self._managers = managers
        self._log = log
        self._pipelines: dict[int | None, Pipelines] = {}
        """By CUDA device, or None for the CPU: each runs a few jobs side by side."""
        self._lock = threading.Lock()

    def engine_methods(self) -> dict[str, Method]:
        """For a lane that they leave at once: engines do the work."""
        return {
            "transcribe": work_method("transcribe", self.transcribe),
            "align": work_method("align", self.align),
            "diarize": work_method("diarize", self.diarize),
        }

    def export_methods(self) -> dict[str, Method]:
        """For a lane of their own, because they work on it."""
        return {"export": work_method("export", _export)}

    def transcribe(self, job: Job, params: TranscribeParams) -> Later:
        """Serve `transcribe`: by the engine alone, or by a pipeline of several."""
        from protocol.params import given_names
        from worker.audio import check_file
        from worker.managers.resolve import recognition_model

        check_file(params.audio)
        given = given_names(job.params)
        if given & _PIPELINE_PARAMS:
            _refuse_contradictions(params)
            return self._start_pipeline(job, params)

        request = {"request": msgspec.Raw(job.params), "given": sorted(given)}
        model = recognition_model(params, params.engine, params.download)
        return self._ask(job, params, model, "Transcribing", request)

    def align(self, job: Job, params: AlignParams) -> Later:
        """Serve `align`."""
        from protocol.alignment import AlignmentOptions, SegmentText
        from worker.audio import check_file
        from worker.managers.resolve import alignment_model

        check_file(params.audio)
        if (params.segments is None) == (params.text is None):
            raise RpcError("invalid_params", "Give either segments or text.", path="$.segments")
        options = _narrowed(params, AlignmentOptions)
        language = params.language.lower()
        segments = params.segments
        if segments is None:
            segments = [SegmentText(text=params.text or "")]

        request = {
            "source": _source(params),
            "segments": segments,
            "language": language,
            "options": options,
        }
        model = alignment_model(options, language, download=False)
        return self._ask(job, params, model, "Aligning", request)

    def diarize(self, job: Job, params: DiarizeParams) -> Later:
        """Serve `diarize`."""
        from protocol.diarization import DiarizationOptions
        from worker.audio import check_file
        from worker.managers.resolve import diarization_model

        check_file(params.audio)
        options = _narrowed(params, DiarizationOptions)

        request = {"source": _source(params), "options": options}
        model = diarization_model(options, download=False)
        return self._ask(job, params, model, "Diarizing", request)

    def close(self) -> None:
        """End the engines."""
        self._managers.close()

    def _ask(
        self,
        job: Job,
        params: TranscribeParams | AlignParams | DiarizeParams,
        model: Model,
        doing: str,
        request: dict[str, Any],
    ) -> Later:
        """Have the engine of `model` answer."""
        lease = self._managers.lease(model, priority=params.priority, keep_alive=params.keep_alive)

        def work() -> Json:
            queued = time.monotonic() - job.accepted_at
            job.begin(f"{doing} {os.path.basename(params.audio)}")
            asked = {
                **request,
                "loadSeconds": lease.load(job),
                "queueSeconds": queued,
                "progressToken": msgspec.Raw(job.progress_token or b"null"),
                "partialResultToken": msgspec.Raw(job.partial_token or b"null"),
            }
            return lease.call(job, job.method, msgspec.json.encode(asked))

        return lease.answer(job, work)

    def _start_pipeline(self, job: Job, params: TranscribeParams) -> Later:
        from worker.pipeline.queue import Pipelines

        device = self._managers.cuda_device(params.device, params.device_index)
        with self._lock:
            pipelines = self._pipelines.setdefault(device, Pipelines(self._managers, self._log))
        return pipelines.start(job, params)


def work_method(name: str, function: Callable[[Job, Any], Any]) -> Method:
    """A method of a lane, with the params that the contract has under its name."""
    return typed(function, lambda: methods.REQUESTS[name].params_type)


def _export(job: Job, params: ExportParams) -> ExportResult:
    """Serve `export`, which needs no engine."""
    from worker.formats.export import export  # with the first of them

    job.begin("Exporting")
    return export(job, params)


def _refuse_contradictions(params: TranscribeParams) -> None:
    if not params.channel_speakers:
        return
    for name, given in (("diarize", params.diarize), ("channel", params.channel is not None)):
        if given:
            raise RpcError(
                "invalid_params",
                f"channelSpeakers takes each channel for a speaker: it cannot go with {name}.",
                path=f"$.{name}",
            )


def _narrowed(params: Any, type_: Any) -> Any:
    """The fields of `params` that `type_` has, as such."""
    return type_(**{name: getattr(params, name) for name in type_.__struct_fields__})


def _source(params: AlignParams | DiarizeParams) -> Source:
    from worker.engines.contract import Source

    return Source(path=params.audio, channel=params.channel, start=params.start, end=params.end)
