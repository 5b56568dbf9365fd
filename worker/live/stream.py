"""An open stream: what the client sends, what the engine hears, and what becomes known.

Three threads meet here. The session's reader brings the client's audio, and must never wait. A
feeder passes it on to the engine. The thread that reads from the engine brings what it heard. A
fourth one watches whether the others get on. The stream outlives its engine: if that is lost, the
next one goes on where the last final word ended, with the audio that was kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from protocol.errors import RpcError
from protocol.live import (
    LiveLatency,
    LiveSegment,
    LiveStreamResult,
    LiveTranscribeParams,
    PartialLive,
)
from protocol.progress import ProgressReport
from protocol.values import Notice, TimeSpan, notice_about
from worker.engines.contract import LiveInput, LivePart, SpeechChange
from worker.live.backlog import Backlog, End
from worker.live.intake import SAMPLE_BYTES, Chunk, Intake
from worker.live.latency import Latency
from worker.live.transcript import Transcript, final_word

if TYPE_CHECKING:
    from protocol.alignment import AlignedSegment
    from protocol.transcription import Segment
    from worker.live.recorder import Recorder
    from worker.session.job import Job

_LOADING_BACKLOG: Final = 600.0
"""Seconds of audio that may wait for the model to load."""
_PAUSED_SECONDS: Final = 2.0
"""Without audio amid speech, after which the utterance is ended."""
_STALLED_SECONDS: Final = 300.0
"""Without audio, after which the stream is ended."""
_HANGS_SECONDS: Final = 90.0
"""Without a word of the engine about audio that it has, after which it is killed."""
_QUIET_SECONDS: Final = 2.0
"""Of audio about which an engine may have told nothing."""
_BEHIND_SECONDS: Final = 2.0
"""Of lag that the result tells, unless audio came more than"""
_AHEAD_SECONDS: Final = 1.0
"""ahead of the time at which it can be said."""
_POLL_SECONDS: Final = 0.25
_ASLEEP_SECONDS: Final = 1.0
"""By which a wait takes too long, if the machine was asleep meanwhile."""
_SILENCE: Final = 1.0
"""Seconds without speech that the result lists."""

_decode_part = msgspec.json.Decoder(LivePart).decode


class Resumption(NamedTuple):
    """Where an engine begins to hear."""

    first_id: int
    offset: float
    prompt: str
    language: str | None


class Stream:
    """For any thread. Its job answers the request that opened it."""

    def __init__(self, job: Job, params: LiveTranscribeParams) -> None:
        self.job = job
        self.params = params
        self.language = params.language or ""
        self.language_probability = 0.0
        self.speech: list[TimeSpan] = []
        self.notices: list[Notice] = []
        self.on_final: list[Callable[[LiveSegment], None]] = []
        """Called with each final segment that has text, after it was sent."""
        self._changed = threading.Condition()
        self._rate = params.sample_rate
        self._intake = Intake(params.format, params.sample_rate)
        self._backlog = Backlog(SAMPLE_BYTES[params.format])
        self._latency = Latency()
        self._transcript = Transcript()
        self._recorder: Recorder | None = None
        self._unrecorded: list[Chunk] = []
        """Chunks that came before the recorder."""
        self._lost: list[TimeSpan] = []
        """Audio that came and was not recognised."""
        self._refused = 0
        """Notifications whose audio was refused, and why"""
        self._first_refusal = ""
        """the first was."""
        self._ready_at: float | None = None
        """When the first engine had loaded its model."""
        self._finished = False
        self._began_at = 0.0
        """When audio came first, and"""
        self._came_at = time.monotonic()
        """last."""
        self._hurried = False
        """Audio came sooner than it can be said."""
        self._fed_at: float | None = None
        """When the engine got what it has not told anything of."""
        self._heard = 0.0
        self._settled = 0.0
        self._language_is_clear = False
        self._speaking_since: float | None = None
        self._stalled = False
        self._worst_lag = 0.0

    # What the client asks for.

    def append(self, data: bytes, at: float | None, *, paced: bool) -> LiveStreamResult:
        """Take in audio. If too much waits, `paced` audio is refused, and other becomes a gap.

        Raises `RpcError` of kind live_stream_finished, live_overrun or invalid_params.
        """
        with self._changed:
            if self._finished:
                raise RpcError("live_stream_finished")
            loading = self._ready_at is None
            limit = _LOADING_BACKLOG if loading else self.params.max_backlog
            backlog = self._duration - self._heard
            full = backlog > limit
            if full and paced:
                raise RpcError("live_overrun", backlog=round(backlog, 3))
            chunk = self._intake.append(data, at)
            self._record(chunk)
            if full:
                end = self._duration
                _extend(self._lost, end - self._seconds(chunk.data), end)
                chunk = Chunk(chunk.missing + self._samples(chunk.data), b"")
            self._backlog.add(chunk)
            self._latency.arrived(self._duration)
            self._came_at = time.monotonic()
            self._began_at = self._began_at or self._came_at - self._seconds(chunk.data)
            ahead = self._duration - (self._came_at - self._began_at)
            self._hurried = self._hurried or ahead > _AHEAD_SECONDS
            self._stalled = False
            self._changed.notify_all()
            return self._status()

    def commit(self) -> LiveStreamResult:
        """End the utterance that goes on."""
        with self._changed:
            if not self._finished:
                self._add_end("utterance")
            return self._status()

    def finish(self) -> LiveStreamResult:
        """End the input."""
        with self._changed:
            if not self._finished:
                self._finished = True
                self._add_end("stream")
            return self._status()

    def refuse(self, error: RpcError) -> None:
        """Note that the audio of a notification was refused."""
        with self._changed:
            self._first_refusal = self._first_refusal or error.message
            self._refused += 1

    # What the work on the stream needs.

    @property
    def is_recorded(self) -> bool:
        """Whether the audio is kept: for the client, or for a stage that needs it."""
        params = self.params
        return bool(params.record or params.align or params.diarize)

    @property
    def duration(self) -> float:
        """Seconds that came, with gaps."""
        return self._duration

    @property
    def settled(self) -> float:
        """Seconds that no engine has to hear again."""
        return self._settled

    def record(self, recorder: Recorder) -> None:
        """Let a recorder keep all audio."""
        with self._changed:
            self._recorder = recorder
            for chunk in self._unrecorded:
                recorder.add(chunk)
            self._unrecorded.clear()

    def ready(self) -> None:
        """The model is loaded."""
        with self._changed:
            self._ready_at = self._ready_at or time.monotonic()
        self.job.announce(ProgressReport(stage="ready"))

    def feed(self, send: Callable[[LiveInput], None], call: int, ended: threading.Event) -> None:
        """Pass the input on to an engine until `ended`, which `wake` makes us notice."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._backlog.waits or ended.is_set())
                if ended.is_set():
                    return
                items = self._backlog.take()
                self._fed_at = self._fed_at or time.monotonic()
            for item in items:
                send(LiveInput(call=call, missing=item.missing, audio=item.data, end=item.end))

    def watch(self, kill: Callable[[], None], ended: threading.Event) -> None:
        """Until `ended`, notice a client that sends nothing any more, and an engine that hangs.

        `kill` ends the engine.
        """
        looked_at = time.monotonic()
        while not ended.wait(_POLL_SECONDS):
            now = time.monotonic()
            asleep, looked_at = now - looked_at - _POLL_SECONDS, now
            with self._changed:
                if asleep > _ASLEEP_SECONDS:  # the machine was, and nobody could send anything
                    self._came_at += asleep
                    self._fed_at = self._fed_at and self._fed_at + asleep
                self._watch_client()
                hangs = self._fed_at and time.monotonic() - self._fed_at > _HANGS_SECONDS
                self._fed_at = None if hangs else self._fed_at
            if hangs:
                kill()

    def wake(self) -> None:
        """Let the feeder see that its engine's call has ended."""
        with self._changed:
            self._changed.notify_all()

    def take(self, raw: bytes) -> None:
        """Take in a `LivePart` of the engine, and tell the client."""
        part = _decode_part(raw)
        with self._changed:
            self._heard = max(self._heard, part.heard)
            self._settled = max(self._settled, part.settled)
            self._backlog.settle(round(self._settled * self._rate))
            waits = self._duration - self._heard > _QUIET_SECONDS
            self._fed_at = time.monotonic() if waits else None
            self.language = part.language
            self.language_probability = part.language_probability
            self._language_is_clear = part.language_is_clear
            for change in part.speech:
                self._note_speech(change)
            self._transcript.take(part.segments)
            self._latency.told(part.segments)
            told = self._partial(part.segments)
            assert self._ready_at
            if told.lag < time.monotonic() - self._ready_at:  # the audio did not wait for the load
                self._worst_lag = max(self._worst_lag, told.lag)
            self._latency.forget(self._settled)
        for change in part.speech:
            self._announce(change)
        if part.segments:
            self._send(told)

    def resume(self) -> Resumption:
        """Where the next engine begins, the first one or one after a crash."""
        with self._changed:
            self._backlog.rewind(round(self._settled * self._rate))
            self._fed_at = None
            self._heard = self._settled
            abandoned = self._transcript.abandon()
            told = self._partial([abandoned]) if abandoned else None
            ended = None
            if self._speaking_since is not None:
                ended = SpeechChange(speech="ended", at=max(self._settled, self._speaking_since))
                self._note_speech(ended)
            language = self.language if self._language_is_clear else self.params.language
            first_id = self._transcript.next_id
        if ended:
            self._announce(ended)
        if told:
            self._send(told)
        prompt = abandoned.text if abandoned else ""
        return Resumption(first_id, self._settled, prompt, language)

    def align(self, aligned: AlignedSegment) -> None:
        """Give a segment the times of its words, and tell the client."""
        with self._changed:
            told = self._partial([self._transcript.align(aligned)])
        self.job.partial(told)

    def name(self, id_: int, speaker: str) -> None:
        """Tell the client who says a segment."""
        with self._changed:
            told = self._partial([self._transcript.name(id_, speaker)])
        self.job.partial(told)

    def send_final(self, segments: Iterable[Segment]) -> None:
        """Tell the client final segments again, with what was learnt since."""
        again = [
            LiveSegment(
                id=each.id,
                start=each.start,
                end=each.end,
                text=each.text,
                language=each.language or self.language,
                final=True,
                speaker=each.speaker,
                words=[final_word(word) for word in each.words or ()],
            )
            for each in segments
        ]
        with self._changed:
            told = self._partial(again)
        self.job.partial(told)

    def note(self, notices: Iterable[Notice]) -> None:
        """Add warnings, without duplicates."""
        with self._changed:
            self.notices += [each for each in notices if each not in self.notices]

    # What is left at the end.

    def segments(self) -> list[Segment]:
        """The final segments, as those of a recording."""
        return list(self._transcript.segments())

    def latency(self) -> LiveLatency | None:
        """How soon words came."""
        return self._latency.summary()

    def gaps(self) -> list[TimeSpan]:
        """Parts without audio, or whose audio was not recognised."""
        missing = [
            TimeSpan(start=round(gap.start, 3), end=round(gap.end, 3))
            for gap in self._intake.clock.gaps
        ]
        return sorted([*missing, *self._lost], key=lambda span: span.start)

    def silences(self) -> list[TimeSpan]:
        """Where nobody speaks for a second or longer."""
        ends = [0.0, *(span.end for span in self.speech)]
        starts = [*(span.start for span in self.speech), self._duration]
        return [
            TimeSpan(start=end, end=round(start, 3))
            for end, start in zip(ends, starts, strict=True)
            if start - end >= _SILENCE
        ]

    def losses(self) -> list[Notice]:
        """Warnings about audio that was not heard, or late."""
        found = []
        if self._intake.clock.gaps:
            message = "Audio is missing: by their times, chunks do not follow each other."
            found.append(notice_about("time_gaps", message, self.gaps(), info=True))
        if self._lost:
            message = (
                f"More than {self.params.max_backlog:g} s of audio waited, so some was not "
                "recognised: this machine is too slow for the model, or was busy."
            )
            found.append(notice_about("audio_lost", message, self._lost))
        if self._refused:
            message = (
                f"The audio of {self._refused} notifications was refused. The first reason: "
                f"{self._first_refusal}"
            )
            found.append(Notice(kind="audio_refused", message=message))
        if self._worst_lag > _BEHIND_SECONDS and not self._hurried:
            message = (
                f"Recognition was up to {self._worst_lag:.1f} s behind the audio, and showed fewer "
                "interim words meanwhile."
            )
            found.append(Notice(kind="live_behind", message=message, level="info"))
        return found

    # Under the lock.

    @property
    def _duration(self) -> float:
        return self._intake.clock.now

    def _samples(self, data: bytes) -> int:
        return len(data) // SAMPLE_BYTES[self.params.format]

    def _seconds(self, data: bytes) -> float:
        return self._samples(data) / self._rate

    def _status(self) -> LiveStreamResult:
        received, heard = self._duration, min(self._heard, self._duration)
        return LiveStreamResult(
            audio_received=round(received, 3),
            audio_decoded=round(heard, 3),
            backlog=round(received - heard, 3),
        )

    def _record(self, chunk: Chunk) -> None:
        if self._recorder:
            self._recorder.add(chunk)
        elif self.is_recorded:
            self._unrecorded.append(chunk)

    def _add_end(self, end: End) -> None:
        self._backlog.add_end(end)
        self._changed.notify_all()

    def _watch_client(self) -> None:
        """End the utterance, or the stream, if no audio comes any more."""
        quiet = time.monotonic() - self._came_at
        if self._finished:
            return
        if quiet > _STALLED_SECONDS:
            message = f"No audio came for {_STALLED_SECONDS:g} s, so the worker ended the stream."
            self.notices.append(Notice(kind="stream_stalled", message=message))
            self._finished = True
            self._add_end("stream")
        elif quiet > _PAUSED_SECONDS and self._speaking_since is not None and not self._stalled:
            self._stalled = True
            self._add_end("utterance")

    def _note_speech(self, change: SpeechChange) -> None:
        if change.speech == "started":
            self._speaking_since = change.at
        elif self._speaking_since is not None:
            self.speech.append(TimeSpan(start=self._speaking_since, end=change.at))
            self._speaking_since = None

    def _partial(self, segments: list[LiveSegment]) -> PartialLive:
        return PartialLive(
            language=self.language,
            audio_received=round(self._duration, 3),
            audio_decoded=round(self._heard, 3),
            lag=round(self._latency.since(self._heard), 3),
            segments=segments,
        )

    # Without the lock: the client may read slowly.

    def _announce(self, change: SpeechChange) -> None:
        self.job.announce(ProgressReport(stage="speech", speech=change.speech, at=change.at))

    def _send(self, told: PartialLive) -> None:
        final = [segment for segment in told.segments if segment.final]
        if final:
            self.job.partial(told)
        else:
            self.job.passing(told)
        for segment in final:
            if segment.words:
                for call in self.on_final:
                    call(segment)


def _extend(spans: list[TimeSpan], start: float, end: float) -> None:
    """Add a span, as a part of the last one if it begins where that ends."""
    if spans and start - spans[-1].end < 1e-3:
        spans[-1].end = round(end, 3)
    elif end > start:
        spans.append(TimeSpan(start=round(start, 3), end=round(end, 3)))
