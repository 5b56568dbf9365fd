"""The common part of the recognition engines: a request and its audio become a `TranscribeResult`.

The recording is cut into pieces where it is quiet (`Recording.pieces`); each is decoded on its own,
with the text before it as a prompt. Segments go out as they are decoded. When memory runs out, a
piece is decoded again: first in smaller batches, then with the model loaded as int8.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import PartialTranscript, Segment, TranscribeResult
from protocol.values import Notice, TimeSpan, option_ignored
from worker import audio
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.notices import memory_saved
from worker.engines.common.recording import Piece, Recording, open_recording
from worker.engines.contract import (
    EngineDetectLanguageParams,
    EngineTranscribeParams,
    LoadParams,
    LoadResult,
    Source,
)
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.checkpointed_model import CheckpointedModel
from worker.engines.recognition.findings import Findings
from worker.engines.recognition.language import detect_language
from worker.engines.recognition.pieces import continue_prompt, request_for
from worker.engines.recognition.prompts import PromptBudget
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from protocol.alignment import Word
    from protocol.detection import DetectLanguageResult
    from protocol.transcription import TranscribeParams
    from worker.session.job import Job


_FIRST_PIECE: Final = 120
"""Length limit in seconds for the first piece of a long recording: the VAD runs over a whole piece
before any of it is decoded, so a short one brings the first segments sooner."""


@dataclass(slots=True)
class Recognition:
    """What a model finds in a piece; iterating over `segments` decodes them.

    The `text` of a segment keeps its leading space; times count from the start of the piece.
    """

    language: str
    language_probability: float
    duration_after_vad: float
    segments: Iterable[Segment]


class _Transcript:
    """The segments so far; `texts` holds the text of each as decoded, with its temperature."""

    def __init__(self, language: str | None) -> None:
        self.requested_language = language
        self.language = language or "en"
        self.language_probability = 0.0
        self.duration_after_vad = 0.0
        self.segments: list[Segment] = []
        self.texts: list[tuple[str, float | None]] = []
        self.percentage: float | None = None
        """The last one reported, below which none may fall: the duration may be estimated."""

    @property
    def language_to_decode(self) -> str | None:
        """The requested or detected language; None while it has to be detected."""
        return self.language if self.segments else self.requested_language

    def add(self, segment: Segment, text: str) -> None:
        """Append a segment, with times in the recording, and its text as decoded."""
        self.segments.append(segment)
        self.texts.append((text, segment.temperature))

    def truncate(self, count: int) -> None:
        """Keep only the first `count` segments."""
        del self.segments[count:], self.texts[count:]

    def finish_piece(self, found: Recognition, segments_before: int) -> None:
        """Take over what the model found in a piece besides segments."""
        self.duration_after_vad += found.duration_after_vad
        if not segments_before:
            self.language = found.language
            self.language_probability = found.language_probability


class Transcription:
    """One request in progress; it can pause while the engine serves another."""

    recording: Recording
    transcript: _Transcript
    budget: PromptBudget

    def __init__(self, job: Job, params: EngineTranscribeParams, model: Any) -> None:
        self.job = job
        self.params = params
        self.clock = StageClock(params.queue_seconds, params.load_seconds)
        self.model = model
        """The `faster_whisper.WhisperModel` that decodes it."""
        self.warnings: list[Notice] = []
        self.findings = Findings()

    def report(self, piece: Piece, fraction: float) -> None:
        """Report how much of a piece is decoded; other requests may use the model first."""
        self.yield_to_others()
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

    def yield_to_others(self) -> None:
        """Pause while requests that wait for the model use it."""
        self.clock.waited("recognition", "queue", self.job.yield_to_others(), busy=True)


class Recognizer(ABC):
    """An engine around one CTranslate2 Whisper model.

    The lane calls its methods one at a time, or while a transcription pauses.
    """

    default_batch_size = 1
    """How many windows to decode at once if the request does not say."""
    finds_speech = False
    """Whether the result says how much is spoken, in which languages, and how much was lost."""

    def __init__(self) -> None:
        self._model: Any = None  # faster_whisper.WhisperModel, which has no types
        self._params: LoadParams
        self._warnings: list[Notice] = []

    def load(self, job: Job, params: LoadParams) -> LoadResult:
        """Load the model; this process never loads another one.

        If it does not fit into memory, load it as int8.
        """
        if self._model is not None:
            raise RpcError("invalid_request", "This engine has already loaded its model.")
        self._params = params
        self._model, self._warnings = whisper_model.load_saving_memory(params, self._load)
        return LoadResult(
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings,
        )

    def transcribe(self, job: Job, params: EngineTranscribeParams) -> TranscribeResult:
        """Transcribe a recording; send segments as they are decoded."""
        if self._model is None:  # an earlier attempt to reload it failed
            self._load_as_int8()
        request = params.request
        work = Transcription(job, params, self._model)
        clock = work.clock
        job.report(ProgressReport(stage="decode"))
        source = params.source or Source.of(request)
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = work.recording = open_recording(stack, source, job.raise_if_cancelled)
            language, notices = self._requested_language(request)
            ignored = list(self._ignored_options(request, params.given, language))
            budget = PromptBudget(work.model, request, {each.option for each in ignored})
            work.budget, work.model = budget, budget.bound(work.model)
            work.warnings += notices + ignored + budget.notices
            transcript = work.transcript = _Transcript(language)
            stack.enter_context(self._checkpoint(work))
            with clock.stage("recognition"):
                for piece in self._pieces(recording):
                    own = request_for(piece, request, recording)
                    if own and transcript.texts:
                        self._continue_prompt(own, transcript.texts)
                    if own:
                        self._decode_piece(work, own, piece)
                    del piece  # free its samples before reading the next one
            duration = recording.duration
            work.warnings += recording.notices
            clock.waited("recognition", "decode", recording.waited, busy=True)
        findings = work.findings
        result = TranscribeResult(
            text="".join(text for text, _ in transcript.texts).strip(),
            language=findings.language or transcript.language,
            language_probability=transcript.language_probability,
            duration=duration,
            duration_after_vad=transcript.duration_after_vad,
            segments=transcript.segments,
            model=request.model,
            engine=request.engine,
            device=work.model.model.device,
            compute_type=work.model.model.compute_type,
            warnings=self._warnings + work.warnings + findings.notices(),
            timings=clock.timings(
                {"decode": duration, "speechDetection": duration, "recognition": duration}
            ),
            real_time_factor=clock.seconds("decode", "speechDetection", "recognition") / duration,
        )
        if self.finds_speech:
            result.languages = findings.by_seconds()
            result.speech_seconds = round(findings.speech, 3)
            result.lost_seconds = round(findings.lost, 3)
            result.silences = findings.silences
        return result

    def detect_language(self, job: Job, params: EngineDetectLanguageParams) -> DetectLanguageResult:
        """Tell which language is spoken in a recording."""
        if self._model is None:  # an earlier attempt to reload it failed
            self._load_as_int8()
        try:
            return detect_language(job, params, self._model, self._warnings)
        except (RuntimeError, MemoryError) as error:
            message = "Detecting the language failed"
            raise whisper_model.native_error(error, "internal_error", message) from None

    def _decode_piece(self, work: Transcription, request: TranscribeParams, piece: Piece) -> None:
        """Decode a piece; if memory runs out, again with each way of using less of it."""
        savings = self._save_memory(work)
        before = len(work.transcript.segments)
        known = copy.deepcopy(work.findings)
        while True:
            try:
                self._decode(work, request, piece)
                return
            except RpcError as error:
                if error.kind != "out_of_memory" or not next(savings, False):
                    raise
                work.transcript.truncate(before)
                work.findings = copy.deepcopy(known)
                request.batch_size = work.params.request.batch_size

    def _decode(self, work: Transcription, request: TranscribeParams, piece: Piece) -> None:
        """Recognise a piece and add its segments to the transcript."""
        transcript = work.transcript
        before = len(transcript.segments)
        try:
            found = self._recognise(work, request, piece)
            for segment in found.segments:
                work.yield_to_others()
                dropped = _cut(segment, piece.duration, request.start)
                work.findings.outside += dropped
                if dropped and not segment.text.strip():
                    continue
                text = segment.text
                id_ = work.params.first_id + len(transcript.segments)
                _complete(segment, id_, request.start, work.params.speaker)
                transcript.add(segment, text)
                language = segment.language or found.language
                work.job.partial(PartialTranscript(language=language, segments=[segment]))
        except ValueError as error:  # only the library knows some limits of its options
            message = f"{str(error).rstrip('.')}."
            raise RpcError("invalid_params", message, path="$") from None
        except (RuntimeError, MemoryError) as error:
            raise whisper_model.native_error(
                error, "internal_error", "Recognition failed"
            ) from None
        transcript.finish_piece(found, before)

    def _continue_prompt(
        self, request: TranscribeParams, before: Sequence[tuple[str, float | None]]
    ) -> None:
        """Set the prompt of a later piece; `before` has text and temperature of the segments."""
        continue_prompt(request, before)

    def _pieces(self, recording: Recording) -> Iterable[Piece]:
        """The pieces in which to recognise the recording."""
        return recording.pieces(_FIRST_PIECE)

    @contextmanager
    def _checkpoint(self, work: Transcription) -> Iterator[None]:
        """Let the model reuse the results in the job's checkpoint, and add new ones to it."""
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
        work.model = copy.copy(work.model)  # other requests keep the plain model
        work.model.model = CheckpointedModel(work.model.model, checkpoint)
        try:
            yield
            work.warnings += checkpoint.notices()
        finally:
            checkpoint.close()

    def _save_memory(self, work: Transcription) -> Iterator[bool]:
        """Before each yield, make the next attempt need less memory, and add a warning."""
        request = work.params.request
        size = request.batch_size or self.default_batch_size
        if size > 1:
            request.batch_size = size // 2
            work.warnings.append(memory_saved("batchSize", f"decoded in batches of {size // 2}"))
            yield True
        if not work.model.model.compute_type.startswith("int8"):
            work.model = None
            if self._model is None or not self._model.model.compute_type.startswith("int8"):
                self._load_as_int8()
            work.model = work.budget.bound(self._model)
            yield True

    def _load_as_int8(self) -> None:
        self._model = None  # frees the memory that loading needs
        self._model, self._warnings = whisper_model.load_as_int8(self._params, self._load)

    @abstractmethod
    def _load(self, params: LoadParams) -> tuple[Any, list[Notice]]:
        """Load the model; return it with a warning for each deviation from the params."""

    @abstractmethod
    def _recognise(
        self, work: Transcription, request: TranscribeParams, piece: Piece
    ) -> Recognition:
        """Begin to recognise a piece with `work.model`; call `work.report` as it advances."""

    @abstractmethod
    def _ignored_options(
        self, request: TranscribeParams, given: Collection[str], language: str | None
    ) -> Iterator[Notice]:
        """A warning for each option in `given` that has no effect."""

    def _requested_language(self, request: TranscribeParams) -> tuple[str | None, list[Notice]]:
        """The language to decode, or None to detect it; with warnings for options it overrides."""
        multilingual = self._model.model.is_multilingual
        language = request.language.lower() if request.language else None
        if not multilingual:
            reason = "the model only knows English"
            ignored = {
                "language": language not in (None, "en"),
                "task": request.task == "translate",
                "multilingual": request.multilingual,
            }
            return "en", [option_ignored(name, reason) for name, given in ignored.items() if given]
        if language is not None:
            whisper_model.check_language(self._model, language)
        return language, []


def _cut(segment: Segment, duration: float, offset: float) -> list[TimeSpan]:
    """Cut a segment to the first `duration` seconds; return what was dropped: text after that."""

    def dropped(timed: Sequence[Segment | Word], text: str) -> list[TimeSpan]:
        start, end = timed[0].start, timed[-1].end
        return [TimeSpan(start=offset + start, end=offset + max(start, end), text=text.strip())]

    words = segment.words or []
    kept = [word for word in words if word.start < duration]
    if segment.start >= duration or (words and not kept):
        lost = dropped([segment], segment.text)
        segment.words, segment.text = [], ""
        return lost
    lost = []
    if len(kept) < len(words):
        rest = [word for word in words if word.start >= duration]
        lost = dropped(rest, "".join(word.word for word in rest))
        segment.words, segment.text = kept, "".join(word.word for word in kept)
    segment.end = min(segment.end, duration)
    for word in kept:
        word.end = min(word.end, duration)
    return lost


def _complete(segment: Segment, id_: int, offset: float, speaker: str | None) -> None:
    """Set a segment's id, speaker and times in the recording, and strip its text."""
    segment.id = id_
    segment.text = segment.text.strip()
    for timed in (segment, *(segment.words or ())):
        timed.start = round(timed.start + offset, 3)
        timed.end = round(timed.end + offset, 3)
        if speaker is not None:
            timed.speaker = speaker
