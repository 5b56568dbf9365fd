"""What the recognition engines share: from a request and its audio to a `TranscribeResult`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import PartialTranscript, Segment, TranscribeResult
from protocol.values import Notice
from worker import audio
from worker.engines import whisper_model
from worker.engines.contract import EngineTranscribeParams, LoadParams, LoadResult, Source
from worker.engines.savings import memory_saved
from worker.engines.stages import StageClock

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.jobs import Job


class Recognition(NamedTuple):
    """What is known before the first segment, and the segments, found while they are iterated.

    The `text` of a segment keeps its leading space; times count from the start of the samples.
    """

    language: str
    language_probability: float
    duration_after_vad: float
    segments: Iterable[Segment]


class Recognizer(ABC):
    """An engine around one CTranslate2 Whisper model. Its methods are called one at a time."""

    usual_batch_size = 1
    """Windows that are decoded at once when the request does not say."""

    def __init__(self) -> None:
        self._model: Any = None  # faster_whisper.WhisperModel, which has no types
        self._params: LoadParams
        self._warnings: list[Notice] = []

    def load(self, job: Job, params: LoadParams) -> LoadResult:
        """Load the model, for good: another model is for another process.

        Where memory does not suffice, it is loaded as int8.
        """
        if self._model is not None:
            raise RpcError("invalid_request", "This engine has its model already.")
        self._params = params
        try:
            self._model, self._warnings = self._load(params)
        except RpcError as error:
            if error.kind != "out_of_memory" or params.compute_type.startswith("int8"):
                raise
            self._load_as_int8()
        assert self._model
        return LoadResult(
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings,
        )

    def transcribe(self, job: Job, params: EngineTranscribeParams) -> TranscribeResult:
        """Transcribe a recording; segments go out as they are decoded."""
        if self._model is None:  # it could not be loaded again
            self._load_as_int8()
        request = params.request
        clock = StageClock(params.queue_seconds, params.load_seconds)
        job.report(ProgressReport(stage="decode"))
        source = params.source or Source(
            path=request.audio, channel=request.channel, start=request.start, end=request.end
        )
        with clock.stage("decode"):
            samples = audio.read(source, job.raise_if_cancelled)
        duration = len(samples) / audio.SAMPLE_RATE
        language, warnings = self._language(request)
        warnings += self._ignored(request, params.given, language)
        with clock.stage("recognition"):
            found, text, segments = self._decode_within_memory(
                job, params, samples, language, warnings
            )
        return TranscribeResult(
            text=text,
            language=found.language,
            language_probability=found.language_probability,
            duration=duration,
            duration_after_vad=found.duration_after_vad,
            segments=segments,
            model=request.model,
            engine=request.engine,
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings + warnings,
            timings=clock.timings(),
            real_time_factor=clock.seconds("decode", "recognition") / duration,
        )

    def _decode_within_memory(
        self,
        job: Job,
        params: EngineTranscribeParams,
        samples: audio.Samples,
        language: str | None,
        warnings: list[Notice],
    ) -> tuple[Recognition, str, list[Segment]]:
        """As `_decode`; again with less at once, as long as that helps against a lack of memory."""
        savings = self._savings(params.request, warnings)
        while True:
            try:
                return self._decode(job, params, samples, language)
            except RpcError as error:
                if error.kind != "out_of_memory" or not next(savings, False):
                    raise

    def _decode(
        self,
        job: Job,
        params: EngineTranscribeParams,
        samples: audio.Samples,
        language: str | None,
    ) -> tuple[Recognition, str, list[Segment]]:
        """Recognise everything: what was found, all of its text, and the segments."""
        request = params.request
        segments: list[Segment] = []
        texts: list[str] = []
        try:
            found = self._recognise(job, request, samples, language)
            for segment in found.segments:
                job.raise_if_cancelled()
                texts.append(segment.text)
                _place(segment, params.first_id + len(segments), request.start, params.speaker)
                segments.append(segment)
                job.partial(PartialTranscript(language=found.language, segments=[segment]))
        except ValueError as error:  # what only the library knows, such as too long a prompt
            message = f"{str(error).rstrip('.')}."
            raise RpcError("invalid_params", message, path="$") from None
        except (RuntimeError, MemoryError) as error:
            raise whisper_model.native_error(
                error, "internal_error", "Recognition failed"
            ) from None
        return found, "".join(texts).strip(), segments

    def _savings(self, request: TranscribeParams, warnings: list[Notice]) -> Iterator[bool]:
        """Make the next attempt need less memory, each time in another way; and say so."""
        size = request.batch_size or self.usual_batch_size
        if size > 1:
            request.batch_size = size // 2
            warnings.append(memory_saved("batchSize", f"batches of {size // 2} were decoded"))
            yield True
        if not self._model.model.compute_type.startswith("int8"):
            self._load_as_int8()
            yield True

    def _load_as_int8(self) -> None:
        self._model = None  # its memory is needed
        self._params.compute_type = "int8"
        self._model, self._warnings = self._load(self._params)
        self._warnings.append(memory_saved("computeType", "the model was loaded as int8"))

    @abstractmethod
    def _load(self, params: LoadParams) -> tuple[Any, list[Notice]]:
        """Load the model; return it, and what was done otherwise than asked."""

    @abstractmethod
    def _recognise(
        self,
        job: Job,
        request: TranscribeParams,
        samples: audio.Samples,
        language: str | None,
    ) -> Recognition:
        """Begin to recognise; in `language`, or in the one that is heard."""

    @abstractmethod
    def _ignored(
        self, request: TranscribeParams, given: Collection[str], language: str | None
    ) -> Iterator[Notice]:
        """A warning for each option that the client wrote and that changes nothing."""

    def _language(self, request: TranscribeParams) -> tuple[str | None, list[Notice]]:
        """The language to decode, None where it is to be detected."""
        multilingual = self._model.model.is_multilingual
        language = request.language.lower() if request.language else None
        if not multilingual:
            reason = "the model knows English only"
            ignored = {
                "language": language not in (None, "en"),
                "task": request.task == "translate",
                "multilingual": request.multilingual,
            }
            return "en", [option_ignored(name, reason) for name, given in ignored.items() if given]
        if language is not None:
            known = self._languages()
            if language not in known:
                raise RpcError(
                    "language_unsupported",
                    f"The model does not know the language {request.language}.",
                    remedy="Leave language out to have it detected, or give one of those known.",
                    known=known,
                )
        return language, []

    def _languages(self) -> list[str]:
        token_of = self._model.hf_tokenizer.token_to_id
        codes = self._model.supported_languages
        return sorted(code for code in codes if token_of(f"<|{code}|>") is not None)


def report_recognition(job: Job, fraction: float, total: float) -> None:
    """Tell what share of `total` seconds is recognised, and notice a cancel."""
    job.raise_if_cancelled()
    job.report(
        ProgressReport(
            stage="recognition",
            percentage=round(100 * fraction, 2),
            audio_done=round(fraction * total, 3),
            audio_total=total,
        )
    )


def option_ignored(option: str, reason: str) -> Notice:
    """The warning for an option that changes nothing."""
    return Notice(
        kind="option_ignored", option=option, message=f"{option} changes nothing here: {reason}."
    )


def _place(segment: Segment, id_: int, offset: float, speaker: str | None) -> None:
    """Give a segment its id, its speaker, its times in the recording, and clean text."""
    segment.id = id_
    segment.text = segment.text.strip()
    for timed in (segment, *(segment.words or ())):
        timed.start = round(timed.start + offset, 3)
        timed.end = round(timed.end + offset, 3)
        if speaker is not None:
            timed.speaker = speaker
