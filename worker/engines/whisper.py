"""The whisper engine: one faster-whisper model, and recordings transcribed with it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import (
    Notice,
    PartialTranscript,
    Segment,
    Timings,
    TranscribeResult,
    Word,
)
from worker import audio
from worker.engines import whisper_model, whisper_options
from worker.engines.contract import EngineTranscribeParams, LoadParams, LoadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protocol.transcription import TranscribeParams
    from worker.jobs import Job


class WhisperEngine:
    """Methods of the engine's process, called one at a time."""

    def __init__(self) -> None:
        self._model: Any = None  # faster_whisper.WhisperModel, which has no types
        self._warnings: list[Notice] = []

    def load(self, job: Job, params: LoadParams) -> LoadResult:
        """Load the model, for good: another model is for another process."""
        if self._model is not None:
            raise RpcError("invalid_request", "This engine has its model already.")
        self._model, self._warnings = whisper_model.load(params)
        return LoadResult(
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings,
        )

    def transcribe(self, job: Job, params: EngineTranscribeParams) -> TranscribeResult:
        """Transcribe a recording; segments go out as they are decoded."""
        request = params.request
        began = time.monotonic()
        job.report(ProgressReport(stage="decode"))
        samples = audio.decode(
            request.audio,
            channel=request.channel,
            start=request.start,
            end=request.end,
            check=job.raise_if_cancelled,
        )
        decoded = time.monotonic()
        duration = len(samples) / audio.SAMPLE_RATE
        language, warnings = self._language(request)
        warnings += whisper_options.ignored(request, params.given, language is not None)
        kwargs = whisper_options.arguments(request, language, duration)
        segments: list[Segment] = []
        texts: list[str] = []
        try:
            found, info = self._start(job, request, samples, kwargs)
            for each in found:
                job.raise_if_cancelled()
                segment = _segment(len(segments), each, request.start)
                segments.append(segment)
                texts.append(each.text)
                job.partial(PartialTranscript(segments=[segment]))
        except ValueError as error:  # what only faster-whisper knows, such as too long a prompt
            raise RpcError("invalid_params", f"{str(error).rstrip('.')}.", path="$") from None
        except RuntimeError as error:
            raise whisper_model.native_error(
                error, "internal_error", "Recognition failed"
            ) from None
        ended = time.monotonic()
        return TranscribeResult(
            text="".join(texts).strip(),
            language=info.language,
            language_probability=info.language_probability,
            duration=duration,
            duration_after_vad=info.duration_after_vad,
            segments=segments,
            model=request.model,
            engine=request.engine,
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings + warnings,
            timings=Timings(
                queue=params.queue_seconds,
                load=params.load_seconds,
                decode=decoded - began,
                recognition=ended - decoded,
                total=params.queue_seconds + params.load_seconds + ended - began,
            ),
            real_time_factor=(ended - began) / duration,
        )

    def _start(
        self, job: Job, request: TranscribeParams, samples: audio.Samples, kwargs: dict[str, Any]
    ) -> tuple[Iterable[Any], Any]:
        """Begin to decode: faster-whisper's lazy segments, and its `TranscriptionInfo`."""
        import faster_whisper.transcribe

        total = len(samples) / audio.SAMPLE_RATE

        def window_done(fraction: float) -> None:
            job.raise_if_cancelled()
            job.report(
                ProgressReport(
                    stage="recognition",
                    percentage=round(100 * fraction, 2),
                    audio_done=round(fraction * total, 3),
                    audio_total=total,
                )
            )

        window_done(0.0)
        # The library tells of windows without speech to its progress bar alone.
        faster_whisper.transcribe.tqdm = partial(_Meter, window_done)
        pipeline = self._model
        if request.batch_size is not None:
            pipeline = faster_whisper.transcribe.BatchedInferencePipeline(self._model)
        segments, info = pipeline.transcribe(samples, **kwargs)
        return segments, info

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
            return "en", [
                Notice(
                    kind="option_ignored",
                    option=name,
                    message=f"{name} changes nothing here: {reason}.",
                )
                for name, given in ignored.items()
                if given
            ]
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


class _Meter:
    """Stands in for tqdm inside faster-whisper: what share of the work is done."""

    def __init__(self, window_done: Callable[[float], None], *, total: float, **_: object) -> None:
        self._window_done = window_done
        self._total = total
        self._done = 0.0

    def update(self, amount: float) -> None:
        """Count `amount` more, in the unit of `total`."""
        self._done += amount
        self._window_done(min(1.0, self._done / self._total) if self._total else 1.0)

    def close(self) -> None:
        """Nothing is left to draw."""


def _segment(id_: int, segment: Any, offset: float) -> Segment:
    """Our segment from faster-whisper's, whose times count from the start of the clip."""
    words = segment.words and [
        Word(
            start=round(float(word.start) + offset, 3),
            end=round(float(word.end) + offset, 3),
            word=word.word,
            probability=float(word.probability),
        )
        for word in segment.words
    ]
    return Segment(
        id=id_,
        start=round(float(segment.start) + offset, 3),
        end=round(float(segment.end) + offset, 3),
        text=segment.text.strip(),
        avg_logprob=float(segment.avg_logprob),
        compression_ratio=float(segment.compression_ratio),
        no_speech_prob=float(segment.no_speech_prob),
        temperature=float(segment.temperature or 0),
        words=words,
    )
