"""The methods on recordings: `transcribe`, `align`, `diarize` and `export`."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from protocol import methods
from protocol.errors import RpcError
from worker.managers.pool import ModelPool
from worker.session.lane import Method, as_json, typed

if TYPE_CHECKING:
    from protocol.alignment import AlignParams
    from protocol.detection import DetectLanguageParams, DetectSpeechParams
    from protocol.diarization import DiarizeParams
    from protocol.speakers import EnrollParams
    from protocol.transcript import ExportParams, ExportResult
    from protocol.transcription import TranscribeParams
    from worker.engines.contract import EngineParams, Source
    from worker.managers.model import Model
    from worker.pipeline.queue import Pipelines
    from worker.session.job import Job, Json, Later
    from worker.system.log import Log

    _Audio = AlignParams | DiarizeParams | DetectSpeechParams | DetectLanguageParams
    _EngineWork = TranscribeParams | _Audio

# With any of these, `transcribe` needs more than the recognition engine.
_PIPELINE_PARAMS = frozenset(
    {"align", "diarize", "channelSpeakers", "formats"}
    | {"outputDir", "name", "overwrite", "formatOptions"}
)


class RecordingMethods:
    """Serves requests about recordings. A method checks its params and leaves the work to the
    thread of a model's manager, so that no request waits behind another's work."""

    def __init__(self, pool: ModelPool, log: Log) -> None:
        self._pool = pool
        self._log = log
        self._pipelines: dict[int | None, Pipelines] = {}
        """By CUDA device, or None for the CPU: each runs a few jobs side by side."""
        self._lock = threading.Lock()

    def engine_methods(self) -> dict[str, Method]:
        """For a lane that they leave at once, because engines do the work."""
        return work_methods(
            {
                "transcribe": self.transcribe,
                "align": self.align,
                "diarize": self.diarize,
                "speakers/enroll": self.enroll,
                "detectSpeech": self.detect_speech,
                "detectLanguage": self.detect_language,
            }
        )

    def export_methods(self) -> dict[str, Method]:
        """For a lane of their own, because they work on it."""
        return work_methods({"export": _export})

    def transcribe(self, job: Job, params: TranscribeParams) -> Later:
        """Serve `transcribe`: with one engine, or with a pipeline of several."""
        from worker.audio import check_file
        from worker.engines.contract import EngineTranscribeParams
        from worker.managers.resolve import recognition_model

        check_file(params.audio)
        if job.given & _PIPELINE_PARAMS:
            from worker.pipeline.orchestrator import Pipeline

            _refuse_contradictions(params)
            return self._start(
                job, params, lambda: Pipeline(job, params, self._pool, self._log).run()
            )

        model = recognition_model(params, params.engine, params.download)
        # The client's own bytes: the engine decodes them, so that nothing is encoded again.
        request = EngineTranscribeParams(
            request=cast("TranscribeParams", msgspec.Raw(job.params)), given=sorted(job.given)
        )
        return self._ask(job, params, model, "Transcribing", request)

    def align(self, job: Job, params: AlignParams) -> Later:
        """Serve `align`."""
        from protocol.alignment import AlignmentOptions
        from worker.engines.contract import EngineAlignParams
        from worker.managers.resolve import alignment_model
        from worker.pipeline.align import align_in_turn, languages_of, segments_of

        segments = segments_of(params)
        languages = languages_of(params, segments)
        source = _source(params)
        options = _narrowed(params, AlignmentOptions)
        requests = [
            (
                alignment_model(options, language, download=False),
                EngineAlignParams(
                    source=source, segments=segments, language=language, options=options
                ),
            )
            for language in languages
        ]
        if len(requests) == 1:
            [(model, request)] = requests
            return self._ask(job, params, model, "Aligning", request)
        return self._start(job, params, lambda: align_in_turn(job, params, requests, self._pool))

    def diarize(self, job: Job, params: DiarizeParams) -> Later:
        """Serve `diarize`."""
        from protocol.diarization import DiarizeResult
        from worker.engines.contract import EngineDiarizeParams
        from worker.managers.resolve import diarization_model
        from worker.pipeline import voices
        from worker.pipeline.diarization import engine_options, finish, names_speakers

        source = _source(params)
        known = voices.known(params)
        options = engine_options(params)
        model = diarization_model(options, download=False)
        request = EngineDiarizeParams(source=source, options=options)
        if not names_speakers(params):
            return self._ask(job, params, model, "Diarizing", request)

        def name_speakers(reply: Json) -> Json:
            found = msgspec.json.decode(b"".join(reply), type=DiarizeResult)
            finish(found, params, known)
            return as_json(found)

        return self._ask(job, params, model, "Diarizing", request, name_speakers)

    def enroll(self, job: Job, params: EnrollParams) -> Later:
        """Serve `speakers/enroll`."""
        from worker.audio import check_file
        from worker.pipeline.enroll import enroll

        for sample in params.recordings:
            check_file(sample.audio)
        return self._start(job, params, lambda: enroll(job, params, self._pool))

    def detect_speech(self, job: Job, params: DetectSpeechParams) -> Later:
        """Serve `detectSpeech`."""
        from worker.engines.contract import EngineDetectSpeechParams
        from worker.managers.model import AUDIO

        request = EngineDetectSpeechParams(source=_source(params), parameters=params.vad_parameters)
        return self._ask(job, params, AUDIO, "Detecting speech in", request)

    def detect_language(self, job: Job, params: DetectLanguageParams) -> Later:
        """Serve `detectLanguage`."""
        from worker.engines.contract import EngineDetectLanguageParams
        from worker.managers.resolve import recognition_model
        from worker.models.families import RECOGNISERS

        request = EngineDetectLanguageParams(
            source=_source(params), model=params.model, windows=params.windows
        )
        model = recognition_model(params, RECOGNISERS[0], params.download)
        return self._ask(job, params, model, "Detecting the language of", request)

    def _ask(
        self,
        job: Job,
        params: _EngineWork,
        model: Model,
        doing: str,
        request: EngineParams,
        finish: Callable[[Json], Json] = lambda reply: reply,
    ) -> Later:
        """Let the engine of `model` answer the job; its method has the job's, in snake case.

        `finish` makes the result of what the engine answers.
        """
        lease = self._pool.lease(model, priority=params.priority, keep_alive=params.keep_alive)

        def work() -> Json:
            request.queue_seconds = time.monotonic() - job.accepted_at
            job.begin(f"{doing} {os.path.basename(params.audio)}")
            method = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", job.method)
            return finish(lease.perform(job, method, request))

        return lease.answer(job, work)

    def _start(
        self,
        job: Job,
        params: TranscribeParams | AlignParams | EnrollParams,
        run: Callable[[], Json],
    ) -> Later:
        """Let several engines answer the job, from a thread of its own."""
        from worker.pipeline.queue import Pipelines

        device = self._pool.cuda_device(params.device, params.device_index)
        with self._lock:
            pipelines = self._pipelines.setdefault(device, Pipelines(self._log))
        return pipelines.start(job, params.priority, run)


def work_methods(functions: Mapping[str, Callable[[Job, Any], Any]]) -> dict[str, Method]:
    """Methods of a lane, by name; the protocol has the types of their params."""

    def method(name: str, function: Callable[[Job, Any], Any]) -> Method:
        return typed(function, lambda: methods.REQUESTS[name].params_type)

    return {name: method(name, function) for name, function in functions.items()}


def _export(job: Job, params: ExportParams) -> ExportResult:
    """Serve `export`, which needs no engine."""
    from worker.formats.export import export  # with the first request

    job.begin("Exporting")
    return export(
        job,
        params.transcript,
        params.formats,
        params.options,
        name=params.name,
        output_dir=params.output_dir,
        overwrite=params.overwrite,
    )


def _refuse_contradictions(params: TranscribeParams) -> None:
    if not params.channel_speakers:
        return
    for name, given in (("diarize", params.diarize), ("channel", params.channel is not None)):
        if given:
            raise RpcError(
                "invalid_params",
                f"channelSpeakers takes each channel for one speaker: it excludes {name}.",
                path=f"$.{name}",
            )


def _narrowed(params: Any, type_: Any) -> Any:
    """A `type_` with those fields of `params` that it has."""
    return type_(**{name: getattr(params, name) for name in type_.__struct_fields__})


def _source(params: _Audio) -> Source:
    """The part of a recording that an engine decodes. Raises `RpcError` where it cannot be read."""
    from worker.audio import check_file
    from worker.engines.contract import Source

    check_file(params.audio)
    return Source.of(params)
