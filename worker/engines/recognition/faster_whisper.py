"""The faster-whisper engine: that package, window after window or in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from protocol.alignment import Word
from protocol.transcription import Segment
from protocol.values import Notice
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition import options as whisper_options
from worker.engines.recognition.base import Recognition, Recognizer, Transcription

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.engines.common.recording import Piece
    from worker.engines.contract import LoadParams


class FasterWhisperEngine(Recognizer):
    """The methods of the engine's process."""

    def _load(self, params: LoadParams) -> tuple[Any, list[Notice]]:
        from worker.engines.recognition.repeatable import load_repeatable

        return whisper_model.load(params, load_repeatable)

    def _ignored_options(
        self, request: TranscribeParams, given: Collection[str], language: str | None
    ) -> Iterator[Notice]:
        return whisper_options.ignored(request, given, language is not None)

    def _recognise(
        self, work: Transcription, request: TranscribeParams, piece: Piece
    ) -> Recognition:
        import faster_whisper.transcribe
        from faster_whisper.vad import get_speech_timestamps

        from worker.engines.recognition.batched import BatchedPipeline

        language = work.transcript.language_to_decode
        kwargs = whisper_options.arguments(request, language, piece.duration)

        def detect_speech(*args: Any, **kwargs: Any) -> Any:
            with work.clock.stage("speechDetection"):
                return get_speech_timestamps(*args, **kwargs)

        work.report(piece, 0.0)
        # Only through its progress bar does the library report windows without speech.
        faster_whisper.transcribe.tqdm = partial(_Meter, partial(work.report, piece))
        faster_whisper.transcribe.get_speech_timestamps = detect_speech
        pipeline = work.model
        if request.batch_size is not None:
            pipeline = BatchedPipeline(work.model)
        segments, info = pipeline.transcribe(piece.samples, **kwargs)
        return Recognition(
            language=info.language,
            language_probability=info.language_probability,
            duration_after_vad=info.duration_after_vad,
            segments=_segments(segments),
        )


class _Meter:
    """Stands in for tqdm inside faster-whisper, and reports what fraction is done."""

    def __init__(self, report: Callable[[float], None], *, total: float, **_: object) -> None:
        self._report = report
        self._total = total
        self._done = 0.0

    def update(self, amount: float) -> None:
        """Advance by `amount`, in the unit of `total`."""
        self._done += amount
        self._report(min(1.0, self._done / self._total) if self._total else 1.0)

    def close(self) -> None:
        """Do nothing: there is no bar to remove."""


def _segments(found: Iterable[Any]) -> Iterator[Segment]:
    """Convert faster-whisper's segments, and drop the empty ones that its batched mode yields."""
    for segment in found:
        if not segment.text.strip():
            continue
        words = segment.words and [
            Word(
                start=float(word.start),
                end=float(word.end),
                word=word.word,
                probability=float(word.probability),
            )
            for word in segment.words
        ]
        yield Segment(
            id=0,
            start=float(segment.start),
            end=float(segment.end),
            text=segment.text,
            avg_logprob=float(segment.avg_logprob),
            compression_ratio=float(segment.compression_ratio),
            no_speech_prob=float(segment.no_speech_prob),
            temperature=float(segment.temperature or 0),
            words=words,
        )
