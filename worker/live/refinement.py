"""What is learnt of a segment once it is final: exact times of its words, and whose voice it is.

Each is a stage on a thread of its own, which hears the segment in the stream's recording.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.alignment import AlignmentOptions, AlignResult, SegmentText
from protocol.diarization import DiarizeResult, SpeakerOptions
from protocol.errors import RpcError
from worker.engines.contract import EngineAlignParams, EngineDiarizeParams, EngineParams, Source
from worker.managers.callers import CallbackCaller
from worker.managers.resolve import alignment_model, diarization_model
from worker.pipeline import voices
from worker.pipeline.diarization import engine_options
from worker.pipeline.stage import stage_failed
from worker.session.lane import failure

if TYPE_CHECKING:
    from protocol.live import LiveSegment
    from worker.live.recorder import Recorder
    from worker.live.stream import Stream
    from worker.managers.lease import Lease
    from worker.managers.model import Model
    from worker.managers.pool import ModelPool
    from worker.session.job import Json
    from worker.system.log import Log

_WRITTEN_SECONDS: Final = 10.0
"""How long to wait for the recording."""
_AROUND: Final = 0.5
"""Seconds of audio around a segment that is aligned."""
_CONTEXT: Final = 12.0
"""Seconds of audio in which a voice is recognised: the pipeline fills up what is less than ten with
silence, which changes the embedding."""
_SHORTEST: Final = 1.0
"""Seconds of a segment whose voice can be recognised."""


class Refinement(ABC):
    """A stage. If it fails, the segments stay as they are, and the result has a warning."""

    def __init__(self, stream: Stream, recorder: Recorder, pool: ModelPool, log: Log) -> None:
        self.stream = stream
        self._recorder = recorder
        self._pool = pool
        self._log = log
        self._caller = CallbackCaller(lambda report: None)
        self._leases: dict[bytes, Lease] = {}
        self._queue: queue.SimpleQueue[LiveSegment | None] = queue.SimpleQueue()
        stream.on_final.append(self._queue.put)
        self._thread = threading.Thread(target=self._run, name="refinement", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all final segments are done."""
        self._queue.put(None)
        self._thread.join()

    def stop(self) -> None:
        """Stop, whatever is left; from any thread."""
        self._caller.stop("stage")
        self._queue.put(None)

    @abstractmethod
    def refine(self, segment: LiveSegment) -> None:
        """Learn about a segment, and tell the stream. Raises `RpcError`."""

    @abstractmethod
    def warn(self, segment: LiveSegment, error: RpcError) -> None:
        """Warn that it failed; do not try segments like this one again."""

    def ask(self, model: Model, method: str, request: EngineParams) -> bytes:
        """The answer of a model's engine. The model stays leased while the stream is open."""
        params = self.stream.params
        lease = self._leases.get(model.key)
        if lease is None:
            lease = self._leases[model.key] = self._stack.enter_context(
                self._pool.lease(model, priority=params.priority, keep_alive=params.keep_alive)
            )
        caller = self._caller
        reply: Json = lease.run(caller, lambda: lease.perform(caller, method, request))
        return b"".join(reply)

    def source(self, start: float, end: float) -> Source:
        """A part of the stream, once it is recorded. Raises `RpcError`."""
        start, end = max(0.0, start), min(end, self.stream.duration)
        if not self._recorder.wait(end, _WRITTEN_SECONDS):
            raise self._recorder.failure or RpcError("storage_failed")
        return Source(path=str(self._recorder.path), start=start, end=end)

    def _run(self) -> None:
        with ExitStack() as self._stack:
            for segment in iter(self._queue.get, None):
                try:
                    if not self._caller.cancelled:
                        self.refine(segment)
                except BaseException as error:
                    reported = failure(error, "live/transcribe", self._log)
                    if reported.kind != "cancelled":
                        self.warn(segment, reported)


class Alignment(Refinement):
    """Times the words exactly, with the model of each language."""

    def __init__(
        self,
        stream: Stream,
        options: AlignmentOptions,
        recorder: Recorder,
        pool: ModelPool,
        log: Log,
    ) -> None:
        self._options = options
        self._unaligned: set[str] = set()
        """Languages that cannot be aligned."""
        super().__init__(stream, recorder, pool, log)

    def refine(self, segment: LiveSegment) -> None:
        if segment.language in self._unaligned:
            return
        model = alignment_model(self._options, segment.language, self.stream.params.download)
        text = SegmentText(id=segment.id, text=segment.text, start=segment.start, end=segment.end)
        request = EngineAlignParams(
            source=self.source(segment.start - _AROUND, segment.end + _AROUND),
            segments=[text],
            language=segment.language,
            options=self._options,
        )
        result = msgspec.json.decode(self.ask(model, "align", request), type=AlignResult)
        self.stream.note(result.warnings)
        for aligned in result.segments:
            if aligned.words:
                self.stream.align(aligned)

    def warn(self, segment: LiveSegment, error: RpcError) -> None:
        self._unaligned.add(segment.language)
        message = f"Segments in {segment.language} keep the decoder's times. {error.message}"
        self.stream.note([stage_failed("align", error, message)])


class Naming(Refinement):
    """Gives segments the names of known voices."""

    def __init__(
        self, stream: Stream, options: SpeakerOptions, recorder: Recorder, pool: ModelPool, log: Log
    ) -> None:
        self._options = options
        self._known = voices.known(options)
        self._given_up = False
        super().__init__(stream, recorder, pool, log)

    def refine(self, segment: LiveSegment) -> None:
        if self._given_up or segment.end - segment.start < _SHORTEST:
            return
        model = diarization_model(self._options, self.stream.params.download)
        options = engine_options(self._options)
        options.num_speakers = options.min_speakers = options.max_speakers = None
        start = min(segment.start, segment.end - _CONTEXT)
        request = EngineDiarizeParams(source=self.source(start, segment.end), options=options)
        found = msgspec.json.decode(self.ask(model, "diarize", request), type=DiarizeResult)
        voices.name_speakers(found, self._known, self._options.voice_threshold)
        if not found.voices:
            return
        own = [turn for turn in found.exclusive_turns if turn.end > segment.start]
        for turn in own:
            turn.start = max(turn.start, segment.start)
        longest = max(found.speakers, key=lambda each: voices.seconds_of(own, each))
        if longest in {each.name for each in found.voices}:
            self.stream.name(segment.id, longest)

    def warn(self, segment: LiveSegment, error: RpcError) -> None:
        self._given_up = True
        message = f"Speakers are not named while they speak. {error.message}"
        self.stream.note([stage_failed("diarize", error, message)])
