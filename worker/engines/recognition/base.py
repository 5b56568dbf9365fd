"""What the recognition engines share: from a request and its audio to a `TranscribeResult`."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import PartialTranscript, Segment, TranscribeResult
from protocol.values import Notice
from worker import audio
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.recording import Recording, Stretch, open_recording
from worker.engines.common.savings import memory_saved
from worker.engines.contract import EngineTranscribeParams, LoadParams, LoadResult, Source
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.checkpointed_model import RememberedModel
from worker.engines.recognition.pieces import Piece, go_on, piece_of
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.session.job import Job


_HEAD: Final = 120
"""Seconds of a long recording after which it may be cut first: in a stretch, speech is looked for
before any is recognised."""


class Recognition(NamedTuple):
    """What is known before the first segment, and the segments, found while they are iterated.

    The `text` of a segment keeps its leading space; times count from the start of the samples.
    """

    language: str
    language_probability: float
    duration_after_vad: float
    segments: Iterable[Segment]


class _Transcript:
    """What was found so far; `texts` are those of the segments as decoded, with temperatures."""

    def __init__(self, language: str | None) -> None:
        self._given = language
        self.language = language or "en"
        self.language_probability = 0.0
        self.duration_after_vad = 0.0
        self.segments: list[Segment] = []
        self.texts: list[tuple[str, float | None]] = []
        self.percentage: float | None = None
        """As it was told last: an estimated duration may turn out too short."""

    @property
    def language_to_decode(self) -> str | None:
        """The one that was asked for or heard; None before anything was said."""
        return self.language if self.segments else self._given

    def add(self, segment: Segment, text: str) -> None:
        """Take a segment, which is in its place in the recording, and its text as decoded."""
        self.segments.append(segment)
        self.texts.append((text, segment.temperature))

    def forget_from(self, count: int) -> None:
        """Keep the first `count` segments alone."""
        del self.segments[count:], self.texts[count:]

    def finish(self, found: Recognition, before: int) -> None:
        """A stretch has ended, before which there were so many segments."""
        self.duration_after_vad += found.duration_after_vad
        if not before:
            self.language = found.language
            self.language_probability = found.language_probability


class Work:
    """A request under way; it may stand back while the engine serves another."""

    recording: Recording
    transcript: _Transcript

    def __init__(self, job: Job, params: EngineTranscribeParams, model: Any) -> None:
        self.job = job
        self.params = params
        self.clock = StageClock(params.queue_seconds, params.load_seconds)
        self.model = model
        """The faster_whisper.WhisperModel that decodes it."""
        self.warnings: list[Notice] = []

    def done(self, piece: Piece, fraction: float) -> None:
        """Tell what share of a piece is done, after which others may have the model."""
        self.give_way()
        seconds = piece.offset + fraction * len(piece.samples) / audio.SAMPLE_RATE
        total = self.recording.expected_duration
        if total:
            share = round(min(100.0, 100 * seconds / total), 2)
            self.transcript.percentage = max(share, self.transcript.percentage or 0.0)
        self.job.report(
            ProgressReport(
                stage="recognition",
                percentage=self.transcript.percentage,
                audio_done=round(seconds, 3),
                audio_total=total,
            )
        )

    def give_way(self) -> None:
        """Let others have the model, if they wait for it."""
        self.clock.waited("recognition", "queue", self.job.give_way(), busy=True)


class Recognizer(ABC):
    """An engine around one CTranslate2 Whisper model.

    Its methods are called one at a time, or while a transcription stands back.
    """

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
        work = Work(job, params, self._model)
        clock = work.clock
        job.report(ProgressReport(stage="decode"))
        source = params.source or Source(
            path=request.audio, channel=request.channel, start=request.start, end=request.end
        )
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = work.recording = open_recording(stack, source, job.raise_if_cancelled)
            language, notices = self._language(request)
            work.warnings += [*notices, *self._ignored(request, params.given, language)]
            transcript = work.transcript = _Transcript(language)
            stack.enter_context(self._remembering(work))
            with clock.stage("recognition"):
                for stretch in self._stretches(recording):
                    piece = piece_of(request, recording, stretch)
                    if piece and transcript.texts:
                        go_on(piece.request, transcript.texts)
                    if piece:
                        self._recognise_piece(work, piece)
                    del stretch, piece  # before the next one is read
            duration = recording.duration
            clock.waited("recognition", "decode", recording.waited, busy=True)
        return TranscribeResult(
            text="".join(text for text, _ in transcript.texts).strip(),
            language=transcript.language,
            language_probability=transcript.language_probability,
            duration=duration,
            duration_after_vad=transcript.duration_after_vad,
            segments=transcript.segments,
            model=request.model,
            engine=request.engine,
            device=work.model.model.device,
            compute_type=work.model.model.compute_type,
            warnings=self._warnings + work.warnings,
            timings=clock.timings(
                {"decode": duration, "speechDetection": duration, "recognition": duration}
            ),
            real_time_factor=clock.seconds("decode", "speechDetection", "recognition") / duration,
        )

    def _recognise_piece(self, work: Work, piece: Piece) -> None:
        """As `_decode`; again with less at once, as long as that helps against a lack of memory."""
        savings = self._savings(work)
        before = len(work.transcript.segments)
        while True:
            try:
                self._decode(work, piece)
                return
            except RpcError as error:
                if error.kind != "out_of_memory" or not next(savings, False):
                    raise
                work.transcript.forget_from(before)
                piece.request.batch_size = work.params.request.batch_size

    def _decode(self, work: Work, piece: Piece) -> None:
        """Recognise a stretch, and add what was found to the transcript."""
        request, transcript = piece.request, work.transcript
        before = len(transcript.segments)
        try:
            found = self._recognise(work, piece)
            for segment in found.segments:
                work.give_way()
                text = segment.text
                id_ = work.params.first_id + len(transcript.segments)
                _place(segment, id_, request.start, work.params.speaker)
                transcript.add(segment, text)
                work.job.partial(PartialTranscript(language=found.language, segments=[segment]))
        except ValueError as error:  # what only the library knows, such as too long a prompt
            message = f"{str(error).rstrip('.')}."
            raise RpcError("invalid_params", message, path="$") from None
        except (RuntimeError, MemoryError) as error:
            raise whisper_model.native_error(
                error, "internal_error", "Recognition failed"
            ) from None
        transcript.finish(found, before)

    def _stretches(self, recording: Recording) -> Iterable[Stretch]:
        """In what parts the recording is recognised."""
        return recording.stretches(_HEAD)

    @contextmanager
    def _remembering(self, work: Work) -> Iterator[None]:
        """Let the model answer from the job's checkpoint what it has answered before."""
        directory = work.params.request.checkpoint
        if directory is None:
            yield
            return
        import ctranslate2

        files = fingerprint(whisper_model.resolve(self._params), ctranslate2)
        checkpoint = Checkpoint(
            directory,
            "recognition",
            f"{files} {work.model.model.compute_type}",
            work.warnings.append,
        )
        work.model = copy.copy(work.model)  # the same model, which others do not see change
        work.model.model = RememberedModel(work.model.model, checkpoint)
        try:
            yield
            work.warnings += checkpoint.resumed()
        finally:
            checkpoint.close()

    def _savings(self, work: Work) -> Iterator[bool]:
        """Make the next attempt need less memory, each time in another way; and say so."""
        request = work.params.request
        size = request.batch_size or self.usual_batch_size
        if size > 1:
            request.batch_size = size // 2
            work.warnings.append(memory_saved("batchSize", f"batches of {size // 2} were decoded"))
            yield True
        if not work.model.model.compute_type.startswith("int8"):
            work.model = None
            if self._model is None or not self._model.model.compute_type.startswith("int8"):
                self._load_as_int8()
            work.model = self._model
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
    def _recognise(self, work: Work, piece: Piece) -> Recognition:
        """Begin to recognise a piece with the work's model; tell the work what is done of it."""

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
