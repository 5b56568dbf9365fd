"""The live engine: one process around one model, which hears one stream at a time.

The front sends the stream's input in notifications, which the session's reader queues here while
the call `live` decodes on the lane's thread. Before each step it takes all that has come, so that
it always knows how far it is behind.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from protocol.live import LiveSegment as ToldSegment
from protocol.live import LiveWord as ToldWord
from protocol.params import decode_params
from worker.engines.contract import (
    EngineLiveParams,
    EngineLiveResult,
    LiveInput,
    LivePart,
    LoadParams,
    LoadResult,
    SpeechChange,
)
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.live.events import Event, LiveSegment, Speech
from worker.engines.recognition.live.intake import Hole, Intake

if TYPE_CHECKING:
    from protocol.values import Notice
    from worker.engines.recognition.live.recogniser import LiveRecogniser
    from worker.session.job import Job

_QUIET_SECONDS: Final = 1.0
"""Of audio in which nothing happens, after which the front is told how far we are."""


class LiveEngine:
    """The methods of the engine's process, and its notification `$/live`."""

    def __init__(self) -> None:
        self._model: Any = None  # faster_whisper.WhisperModel, which has no types
        self._warnings: list[Notice] = []
        self._inbox: queue.SimpleQueue[LiveInput | None] = queue.SimpleQueue()
        """None wakes a call that was cancelled."""
        self.notifications = {"$/live": self._take_input}

    def load(self, job: Job, params: LoadParams) -> LoadResult:
        """Load the model; this process never loads another one."""
        from worker.engines.recognition.whisper.model import load_encoding_singly

        if self._model is not None:
            raise RpcError("invalid_request", "This engine has already loaded its model.")
        self._model, self._warnings = whisper_model.load_saving_memory(
            params, lambda params: whisper_model.load(params, load_encoding_singly)
        )
        return LoadResult(
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            warnings=self._warnings,
        )

    def live(self, job: Job, params: EngineLiveParams) -> EngineLiveResult:
        """Hear a stream until its input ends; send what becomes known as partial results."""
        if self._model is None:
            raise RpcError("invalid_request", "This engine has not loaded its model.")
        job.on_cancel(lambda by: self._inbox.put(None))
        stream = _Stream(job, params, self._model)
        while not stream.finished:
            job.raise_if_cancelled()
            for each in self._arrived(wait=not stream.has_work):
                if each is not None and each.call == params.call:
                    stream.take(each)
            try:
                stream.step()
            except (RuntimeError, MemoryError) as error:
                raise whisper_model.native_error(
                    error, "internal_error", "Live recognition failed"
                ) from None
        return EngineLiveResult(
            device=self._model.model.device,
            compute_type=self._model.model.compute_type,
            busy=stream.busy,
            warnings=self._warnings + stream.notices,
        )

    def _take_input(self, params: bytes) -> bytes:
        self._inbox.put(decode_params(params, LiveInput))
        return b"null"

    def _arrived(self, *, wait: bool) -> list[LiveInput | None]:
        """What has come; `wait` for something if that is nothing."""
        found = [self._inbox.get()] if wait else []
        while True:
            try:
                found.append(self._inbox.get_nowait())
            except queue.Empty:
                return found


class _Stream:
    """One stream: from its input to what becomes known of it."""

    def __init__(self, job: Job, params: EngineLiveParams, model: Any) -> None:
        self._job = job
        self._intake = Intake(params.format, params.sample_rate)
        self._recogniser = _recogniser(params, model)
        self._told_until = 0.0
        self._input_ended = False
        self.notices: list[Notice] = []
        self.busy = 0.0
        """Seconds of work."""
        self.has_work = False
        """Whether `step` has to be called before more input is needed."""
        self.finished = False

    def take(self, given: LiveInput) -> None:
        """Take in the next input."""
        for part in self._intake.append(given.audio, given.missing):
            if isinstance(part, Hole):
                self._recogniser.skip(part.samples)
            else:
                self._recogniser.feed(part)
        if given.end == "utterance":
            self._recogniser.commit()
        elif given.end == "stream":
            self._recogniser.feed(self._intake.finish())
            self._recogniser.finish()
            self._input_ended = True
            self.notices = self._intake.notices()
        self.has_work = True

    def step(self) -> None:
        """Deal with the audio up to the next decoding."""
        began = time.monotonic()
        events = self._recogniser.step(self._recogniser.backlog)
        self.busy += time.monotonic() - began
        self.has_work = events is not None
        self.finished = self._input_ended and events is None
        quiet = self._recogniser.heard - self._told_until
        if events or quiet >= _QUIET_SECONDS or self.finished:
            self._tell(events or [])

    def _tell(self, events: Sequence[Event]) -> None:
        recogniser = self._recogniser
        self._told_until = recogniser.heard
        self._job.partial(
            LivePart(
                heard=recogniser.heard,
                settled=recogniser.settled,
                language=recogniser.language.language,
                language_probability=round(recogniser.language.probability, 4),
                language_is_clear=recogniser.language.is_clear,
                speech=[
                    SpeechChange(speech=each.change, at=each.at)
                    for each in events
                    if isinstance(each, Speech)
                ],
                segments=[_told(each) for each in events if isinstance(each, LiveSegment)],
            )
        )


def _recogniser(params: EngineLiveParams, model: Any) -> LiveRecogniser:
    from worker.engines.common.speech import Detector
    from worker.engines.recognition.live.listener import WhisperListener
    from worker.engines.recognition.live.recogniser import LiveOptions, LiveRecogniser
    from worker.engines.recognition.live.voice import VoiceOptions

    threshold = params.vad.threshold
    release = params.vad.neg_threshold
    voice = VoiceOptions(
        threshold=threshold,
        release=max(0.01, threshold - 0.15) if release is None else release,
        shortest=params.vad.min_speech_duration,
        end_silence=params.end_silence,
    )
    options = LiveOptions(
        language=_language(params.language, model),
        interim=params.interim,
        interval=params.interval,
        longest=params.max_utterance,
        voice=voice,
    )
    return LiveRecogniser(
        WhisperListener(model, least=round(100 * params.encoder_context)),
        Detector(),
        options,
        first_id=params.first_id,
        offset=params.offset,
        prompt=params.prompt,
    )


def _language(given: str | None, model: Any) -> str | None:
    """The language to decode, or None to detect it."""
    if not model.model.is_multilingual:
        return "en"
    if given is not None:
        whisper_model.check_language(model, given.lower())
        return given.lower()
    return None


def _told(segment: LiveSegment) -> ToldSegment:
    return ToldSegment(
        id=segment.id,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        language=segment.language,
        final=segment.final,
        words=[
            ToldWord(
                start=word.start,
                end=word.end,
                word=word.word,
                probability=round(word.probability, 4),
                final=word.final,
            )
            for word in segment.words
        ],
    )
