"""The work on an open stream, from its model's load to the reply.

An engine that is lost is replaced, as long as the one before got further; the stream knows where to
go on. Alignment and names of known voices follow beside recognition, diarization when the input has
ended. If one of these fails, the transcript has a warning instead.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.alignment import AlignmentOptions
from protocol.diarization import DiarizeResult, SpeakerOptions
from protocol.errors import CancelledBy, RpcError
from protocol.live import LiveTranscribeResult, LiveVadParameters
from protocol.values import Notice, notice_about
from worker.engines.contract import (
    EngineDiarizeParams,
    EngineLiveParams,
    EngineLiveResult,
    LiveInput,
    Source,
)
from worker.live.recorder import Recorder
from worker.live.refinement import Alignment, Naming, Refinement
from worker.managers.callers import CallbackCaller
from worker.managers.resolve import diarization_model
from worker.pipeline import speakers, voices
from worker.pipeline.diarization import engine_options, finish
from worker.pipeline.draft import Draft
from worker.pipeline.stage import options_of, stage_failed
from worker.session.job import Json
from worker.session.lane import failure
from worker.stage_clock import StageClock
from worker.system.paths import from_wire
from worker.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from protocol.transcription import Segment
    from protocol.values import TimeSpan
    from worker.live.stream import Stream
    from worker.managers.lease import Lease
    from worker.managers.model import Model
    from worker.managers.pool import ModelPool
    from worker.system.log import Log

_ATTEMPTS: Final = 3
"""Engines that may be lost in a row without one that got further."""
_SHORT_SPEECH: Final = 1.0
"""Seconds of what sounds like speech and may be none, such as a cough."""
_RESUMABLE: Final = ("engine_crashed", "internal_error")

_calls: Final = itertools.count(1)
"""Numbers each call of an engine, so that it ignores input for an earlier one."""


class LiveWork:
    """The work on one stream. Call `run` once."""

    def __init__(self, stream: Stream, model: Model, pool: ModelPool, log: Log) -> None:
        self._stream = stream
        self._params = stream.params
        self._job = stream.job
        self._model = model
        self._pool = pool
        self._log = log
        self._caller = CallbackCaller(self._job.report, stream.take)
        self._clock = StageClock(time.monotonic() - self._job.accepted_at)
        self._diarizer = CallbackCaller(self._job.report)
        self._refinements: list[Refinement] = []

    def run(self) -> Json:
        """Serve the stream until its input has ended; return the result. Raises `RpcError`."""
        align = options_of(self._params.align, AlignmentOptions)
        diarize = options_of(self._params.diarize, SpeakerOptions)
        with ExitStack() as stack:
            recorder = self._record(stack)
            for each in self._refine(recorder, align, diarize) if recorder else ():
                self._refinements.append(each)
                stack.callback(each.stop)
            self._job.on_cancel(self._cancel)
            stack.callback(self._job.on_cancel, None)
            stack.enter_context(self._pool.stepping_back())
            heard = self._hear_all()
            for each in self._refinements:
                each.finish()
            result = self._result(heard)
            if recorder:
                recorder.close()
                if recorder.failure:
                    self._stream.note([_recording_failed(recorder.failure)])
            if diarize and recorder:
                self._diarize(result, diarize, recorder.path)
            result.warnings = self._stream.losses() + self._stream.notices
            result.timings = self._clock.timings({"recognition": result.duration})
            return Json([msgspec.json.encode(result)])

    def _record(self, stack: ExitStack) -> Recorder | None:
        """Begin to record, if the audio is needed."""
        params = self._params
        if not self._stream.is_recorded:
            return None
        if params.record:
            path = Path(from_wire(params.record)).absolute()
        else:
            path = stack.enter_context(Scratch("live")).path / "stream.wav"
        recorder = Recorder(path, params.format, params.sample_rate, overwrite=params.overwrite)
        stack.callback(recorder.close)
        self._stream.record(recorder)
        return recorder

    def _refine(
        self,
        recorder: Recorder,
        align: AlignmentOptions | None,
        diarize: SpeakerOptions | None,
    ) -> Iterator[Refinement]:
        """Begin what follows for each final segment."""
        if align:
            yield Alignment(self._stream, align, recorder, self._pool, self._log)
        if diarize and diarize.voices:
            yield Naming(self._stream, diarize, recorder, self._pool, self._log)

    def _hear_all(self) -> EngineLiveResult:
        """Let engines hear the stream, one after another if they are lost, to its end."""
        params = self._params
        lost, reached = 0, -1.0
        lease = self._pool.lease(
            self._model, priority=params.priority, keep_alive=params.keep_alive
        )
        with lease:
            while True:
                try:
                    reply = lease.run(self._caller, lambda: self._hear(lease))
                    return msgspec.json.decode(b"".join(reply), type=EngineLiveResult)
                except RpcError as error:
                    if error.kind not in _RESUMABLE:
                        raise
                    self._job.raise_if_cancelled()
                    lost = 1 if self._stream.settled > reached else lost + 1
                    reached = self._stream.settled
                    if lost > _ATTEMPTS:
                        raise
                    self._stream.note([_restarted(error)])

    def _hear(self, lease: Lease) -> Json:
        """Let an engine hear the stream, from where the one before was lost. On its manager's
        thread."""
        with self._clock.stage("load"):
            lease.load(self._caller)
        params, stream = self._params, self._stream
        resumption = stream.resume()
        call = next(_calls)
        request = EngineLiveParams(
            call=call,
            format=params.format,
            sample_rate=params.sample_rate,
            language=resumption.language,
            interim=params.interim,
            interval=params.interval,
            end_silence=params.end_silence,
            max_utterance=params.max_utterance,
            encoder_context=params.encoder_context,
            vad=params.vad_parameters or LiveVadParameters(),
            first_id=resumption.first_id,
            offset=resumption.offset,
            prompt=resumption.prompt,
        )
        ended = threading.Event()

        def send(given: LiveInput) -> None:
            lease.notify("$/live", msgspec.json.encode(given))

        helpers = [
            threading.Thread(target=stream.feed, args=[send, call, ended], daemon=True),
            threading.Thread(target=stream.watch, args=[lease.kill, ended], daemon=True),
        ]
        stream.ready()
        for helper in helpers:
            helper.start()
        try:
            with self._clock.stage("recognition"):
                return lease.call(self._caller, "live", msgspec.json.encode(request))
        finally:
            ended.set()
            stream.wake()
            for helper in helpers:
                helper.join()

    def _result(self, heard: EngineLiveResult) -> LiveTranscribeResult:
        stream, params = self._stream, self._params
        stream.note(heard.warnings)
        segments = stream.segments()
        duration = round(stream.duration, 3)
        speech = round(sum(span.end - span.start for span in stream.speech), 3)
        lost = [span for span in stream.speech if not _has_text(span, segments)]
        if lost:
            message = "What sounds like speech has no text: the decoder found none."
            stream.note([notice_about("speech_without_text", message, lost)])
        result = LiveTranscribeResult(
            text=" ".join(segment.text for segment in segments),
            language=stream.language,
            language_probability=stream.language_probability,
            duration=duration,
            duration_after_vad=speech,
            segments=segments,
            model=params.model,
            engine="live",
            device=heard.device,
            compute_type=heard.compute_type,
            warnings=[],
            timings=self._clock.timings({}),
            real_time_factor=heard.busy / duration if duration else 0.0,
            speech_seconds=speech,
            lost_seconds=round(sum(span.end - span.start for span in lost), 3),
            silences=stream.silences(),
            gaps=stream.gaps(),
            latency=stream.latency(),
        )
        if params.record:
            result.recording = params.record
        return result

    def _diarize(
        self, result: LiveTranscribeResult, options: SpeakerOptions, recording: Path
    ) -> None:
        """Assign speakers, and send all segments again; warn if that fails."""
        params = self._params
        try:
            known = voices.known(options)
            lease = self._pool.lease(
                diarization_model(options, params.download),
                priority=params.priority,
                keep_alive=params.keep_alive,
            )
            request = EngineDiarizeParams(
                source=Source(path=str(recording)), options=engine_options(options)
            )
            with lease, self._clock.stage("diarization"):
                caller = self._diarizer
                reply = lease.run(caller, lambda: lease.perform(caller, "diarize", request))
            found = msgspec.json.decode(b"".join(reply), type=DiarizeResult)
            finish(found, options, known)
        except Exception as error:
            reported = failure(error, self._job.method, self._log)
            if reported.kind == "cancelled":
                raise
            self._stream.note([stage_failed("diarize", reported)])
            return
        self._stream.note(found.warnings)
        draft = Draft(lambda part: self._stream.send_final(part.segments))
        speakers.assign(result.segments, found.turns, found.exclusive_turns, options.assignment)
        draft.add(result.language, result.segments)
        draft.divide(speakers.parts)
        draft.send_all()
        result.segments = draft.segments()
        result.turns = found.turns
        result.speaker_embeddings = found.embeddings
        result.voices = found.voices
        result.speakers = speakers.order_of_appearance(result.segments)

    def _cancel(self, by: CancelledBy) -> None:
        self._caller.stop(by)
        self._diarizer.stop(by)
        for each in self._refinements:
            each.stop()


def _has_text(span: TimeSpan, segments: Sequence[Segment]) -> bool:
    """Whether a span of speech has words, or is too short to need any."""
    if span.end - span.start < _SHORT_SPEECH:
        return True
    return any(each.start < span.end and span.start < each.end for each in segments)


def _restarted(error: RpcError) -> Notice:
    message = (
        "The engine was lost and started again. The audio that was kept since the last final word "
        f"was recognised anew. {error.message}"
    )
    return Notice(kind="engine_restarted", message=message)


def _recording_failed(error: RpcError) -> Notice:
    return Notice(
        kind="recording_failed",
        option="record",
        message=error.message,
        error=msgspec.to_builtins(error.to_object()),
    )
