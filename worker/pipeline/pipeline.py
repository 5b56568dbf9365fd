"""One `transcribe` with alignment, speakers or files: its stages, side by side.

Each stage runs in the engine process of its manager, and waits for it on a thread here:

- decode: once, to a file that all engines read, meanwhile already (one a channel for
  `channelSpeakers`, which have to be compared first);
- recognition: the segments go out as they come, and on to
- alignment, which follows recognition some segments behind;
- diarization, beside both;
- assignment of speakers to words and segments, then the files.

Models are loaded while the audio is decoded.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from protocol.alignment import AlignmentOptions, AlignResult, SegmentText
from protocol.diarization import DiarizationOptions, DiarizeResult, SpeakerOptions
from protocol.errors import CancelledBy, RpcError, cancelled
from protocol.params import given_names
from protocol.progress import ProgressReport, Stage
from protocol.transcription import PartialTranscript, Segment, TranscribeResult
from protocol.values import Notice, Timings
from worker.engines.contract import (
    DecodeParams,
    DecodeResult,
    EngineAlignParams,
    EngineDiarizeParams,
    Source,
    raw_path,
)
from worker.managers.callers import TOKENS, Part
from worker.managers.model import AUDIO, Model
from worker.managers.resolve import alignment_model, diarization_model, recognition_model
from worker.pipeline import exports as files
from worker.pipeline import speakers
from worker.pipeline.draft import Draft, order_of_appearance
from worker.pipeline.progress import Progress
from worker.session.job import Json
from worker.session.lane import failure
from worker.stage_clock import StageClock
from worker.system.scratch import Scratch

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.managers.manager import Lease
    from worker.managers.pool import ModelPool
    from worker.session.job import Job
    from worker.system.log import Log

_SEGMENTS_A_CALL: Final = 64
"""How many segments alignment takes at once, when it has fallen behind that far."""


class _Timed(Protocol):
    """What an engine answers."""

    timings: Timings


T = TypeVar("T", bound=_Timed)


class _Recognition(msgspec.Struct, rename="camel"):
    """What is kept of the recognition engine's result; its segments have come before."""

    text: str
    language: str
    language_probability: float
    duration_after_vad: float
    model: str
    engine: str
    device: str
    compute_type: str
    warnings: list[Notice]
    timings: Timings


class _Track:
    """Audio that is recognised by itself: the mix, or a channel."""

    def __init__(self, source: Source, speaker: str | None) -> None:
        self.source = source
        self.speaker = speaker
        self.recognition: _Recognition


class Pipeline:
    """A job under way. `run` may be called once."""

    def __init__(self, job: Job, params: TranscribeParams, managers: ModelPool, log: Log) -> None:
        self._job = job
        self._params = params
        self._managers = managers
        self._log = log
        self._lock = threading.Lock()
        self._parts: list[Part] = []
        self._notices: list[Notice] = files.ignored(params, given_names(job.params))
        self._alignment = self._alignment_options()
        self._diarization: SpeakerOptions | None = _options(params.diarize, SpeakerOptions)
        self._error: RpcError | None = None
        self._clock = StageClock(time.monotonic() - job.accepted_at)
        stages: list[Stage] = ["decode", "recognition"]
        stages += ["alignment"] if self._alignment else []
        stages += ["diarization", "assignment"] if self._diarization else []
        self._progress = Progress(job.report, stages)
        self._draft = Draft(job.partial)
        self._tracks: list[_Track] = []
        self._tracks_known = threading.Event()
        self._duration: float | None = None
        self._expected: float | None = None
        """What the duration seems to be, until it is known."""
        self._recognised: queue.SimpleQueue[tuple[_Track, PartialTranscript] | None]
        self._recognised = queue.SimpleQueue()
        self._turns: DiarizeResult | None = None

    def run(self) -> Json:
        """Do it all; return the result. Raises `RpcError`."""
        self._job.on_cancel(self._cancel)
        self._job.begin(f"Transcribing {os.path.basename(self._params.audio)}")
        try:
            files.refuse_taken(self._params)
            with Scratch("job") as scratch:
                return self._transcribe(scratch.path)
        finally:
            self._job.on_cancel(None)

    def _transcribe(self, directory: Path) -> Json:
        stages: list[tuple[Stage, str | None, Callable[[], None]]] = [
            ("decode", None, lambda: self._decode(directory)),
            ("recognition", None, self._recognise),
        ]
        if self._alignment:
            stages.append(("alignment", "align", self._align))
        if self._diarization:
            stages.append(("diarization", "diarize", self._diarize))
        threads = [
            threading.Thread(target=self._guard, args=stage, name=stage[0], daemon=True)
            for stage in stages
        ]
        started = []
        try:
            for thread in threads:
                thread.start()
                started.append(thread)
        except RuntimeError as error:  # the system has no more of them, and all are needed
            self._end(failure(error, self._job.method, self._log))
        for thread in started:
            thread.join()
        self._raise_if_over()
        return Json([msgspec.json.encode(self._assemble())])

    # The stages. Each runs on a thread of its own.

    def _decode(self, directory: Path) -> None:
        params = self._params
        part = self._part(self._take_decoded)
        request = DecodeParams(
            audio=params.audio,
            channel=params.channel,
            start=params.start,
            end=params.end,
            split=bool(params.channel_speakers),
            directory=str(directory),
            progress_token=TOKENS["progressToken"],
        )

        def decode() -> Json:
            lease.load(part)
            if not params.channel_speakers:
                self._set_tracks([_Track(self._source(raw_path(str(directory), 0)), None)])
            with self._clock.stage("decode"):
                return lease.call(part, "decode", msgspec.json.encode(request))

        with self._lease(AUDIO) as lease:
            decoded = msgspec.json.decode(b"".join(lease.run(part, decode)), type=DecodeResult)
        self._duration = decoded.duration
        if params.channel_speakers:
            self._set_tracks(self._channel_tracks(decoded, params.channel_speakers))
        self._progress.finish("decode")

    def _recognise(self) -> None:
        params = self._params
        model = recognition_model(params, params.engine, params.download)
        current: list[_Track] = []
        part = self._part(
            lambda report: self._progress.take(self._share(report, len(current))),
            lambda value: self._take_segments(current[-1], value),
        )

        try:
            with self._lease(model) as lease:
                self._preload("recognition", lease, part)
                for track in self._wait_for_tracks("recognition"):
                    current.append(track)
                    request = {
                        "request": self._request(),
                        "given": sorted(given_names(self._job.params)),
                        "source": track.source,
                        "firstId": len(self._draft),
                        "speaker": track.speaker,
                        "queueSeconds": 0.0,
                        "loadSeconds": 0.0,
                        **TOKENS,
                    }
                    track.recognition = self._have_done(
                        "recognition", lease, part, "transcribe", request, _Recognition
                    )
            self._progress.finish("recognition")
        finally:
            self._recognised.put(None)

    def _align(self) -> None:
        assert self._alignment
        options = self._alignment
        part = self._part(lambda report: self._take_load(report))

        with ExitStack() as leases:

            @cache
            def lease_for(language: str) -> Lease:
                model = alignment_model(options, language, self._params.download)
                return leases.enter_context(self._lease(model))

            if self._params.language:
                self._preload("alignment", lease_for(self._params.language.lower()), part)
            for track, language, segments in self._follow_recognition():
                request = EngineAlignParams(
                    source=track.source,
                    segments=[
                        SegmentText(id=each.id, text=each.text, start=each.start, end=each.end)
                        for each in segments
                    ],
                    language=language,
                    options=options,
                    checkpoint=self._params.checkpoint,
                )
                aligned = self._have_done(
                    "alignment", lease_for(language), part, "align", request, AlignResult
                )
                self._draft.align(aligned.segments)
                self._note(aligned.warnings)
                if duration := self._duration or self._expected:
                    reached = (segments[-1].end - self._params.start) / duration
                    share = self._tracks.index(track) + min(1.0, reached)
                    percentage = 100 * share / len(self._tracks)
                    self._progress.take(ProgressReport(stage="alignment", percentage=percentage))
        self._progress.finish("alignment")

    def _diarize(self) -> None:
        assert self._diarization
        options = self._diarization
        part = self._part()

        with self._lease(diarization_model(options, self._params.download)) as lease:
            self._preload("diarization", lease, part)
            request = EngineDiarizeParams(
                source=self._wait_for_tracks("diarization")[0].source,
                options=_plain(options),
                checkpoint=self._params.checkpoint,
                progress_token=TOKENS["progressToken"],
            )
            self._turns = self._have_done(
                "diarization", lease, part, "diarize", request, DiarizeResult
            )
        self._note(self._turns.warnings)
        self._progress.finish("diarization")

    def _assemble(self) -> TranscribeResult:
        """The result, when all stages have ended."""
        assert self._duration
        tracks = self._tracks
        with self._clock.stage("assignment"):
            segments = self._draft.segments()
            if self._turns and self._diarization:
                speakers.assign(
                    segments,
                    self._turns.turns,
                    self._turns.exclusive_turns,
                    self._diarization.assignment,
                )
                self._draft.tell_all()
        if self._turns:
            self._progress.finish("assignment")
        # What most was said in stands for all.
        main = max((track.recognition for track in tracks), key=lambda each: len(each.text))
        single = len(tracks) == 1
        text = main.text if single else " ".join(segment.text for segment in segments)
        result = TranscribeResult(
            text=text,
            language=main.language,
            language_probability=main.language_probability,
            duration=self._duration,
            duration_after_vad=max(track.recognition.duration_after_vad for track in tracks),
            segments=segments,
            model=main.model,
            engine=main.engine,
            device=main.device,
            compute_type=main.compute_type,
            warnings=[],
            timings=self._clock.timings(self._audio_of_stages()),
            real_time_factor=self._clock.seconds(
                "decode", "speechDetection", "recognition", "alignment", "diarization", "assignment"
            )
            / self._duration,
        )
        if self._turns:
            result.turns = self._turns.turns
            result.speaker_embeddings = self._turns.embeddings
        if self._turns or any(track.speaker for track in tracks):
            result.speakers = order_of_appearance(segments)
        for track in tracks:
            self._note(track.recognition.warnings)
        result.warnings = self._notices
        files.add_files(
            self._job,
            self._params,
            result,
            self._log,
            lambda error: self._fail_stage(None, "formats", error),
        )
        self._raise_if_over()
        return result

    def _audio_of_stages(self) -> dict[Stage, float]:
        """Seconds of audio that each stage worked on."""
        assert self._duration
        tracks = len(self._tracks)
        spoken = sum(segment.end - segment.start for segment in self._draft.segments())
        return {
            "decode": self._duration,
            "speechDetection": self._duration * tracks,
            "recognition": self._duration * tracks,
            "alignment": spoken,
            "diarization": self._duration,
            "assignment": self._duration,
        }

    # What holds them together.

    def _lease(self, model: Model) -> Lease:
        params = self._params
        return self._managers.lease(model, priority=params.priority, keep_alive=params.keep_alive)

    def _preload(self, stage: Stage, lease: Lease, part: Part) -> None:
        """Load a model early, while others work."""
        if lease.loaded:
            return

        def preload() -> None:
            with self._clock.stage("load"):
                lease.preload(part)

        with self._clock.waiting(stage, "load"):
            lease.run(part, preload)

    def _have_done(
        self, stage: Stage, lease: Lease, part: Part, method: str, request: object, type_: type[T]
    ) -> T:
        """Have the model's engine do a stage, or a part of one, when its turn comes."""
        asked = self._clock.now()

        def call() -> tuple[float, Json]:
            self._clock.waited(stage, "queue", self._clock.now() - asked)
            if not lease.loaded:
                with self._clock.waiting(stage, "load"), self._clock.stage("load"):
                    lease.load(part)
            else:
                lease.load(part)
            return self._clock.now(), lease.call(part, method, msgspec.json.encode(request))

        began, done = lease.run(part, call)
        result = msgspec.json.decode(b"".join(done), type=type_)
        self._clock.adopt(result.timings, began, stage, "speechDetection")
        return result

    def _guard(self, stage: Stage, option: str | None, work: Callable[[], None]) -> None:
        """Run a stage; one that a param asked for by `option` may fail without the rest."""
        try:
            work()
        except BaseException as error:
            told = failure(error, self._job.method, self._log)
            if option is None:
                self._end(told)
            else:
                self._fail_stage(stage, option, told)
        finally:
            if stage == "decode":
                self._tracks_known.set()

    def _fail_stage(self, stage: Stage | None, option: str, error: RpcError) -> None:
        """A part of the job that was asked for by `option` has failed."""
        refused = error.kind in ("cancelled", "invalid_params")
        if refused or self._params.on_stage_error == "fail":
            error.data.setdefault("option", option)
            self._end(error)
            return
        self._note(
            [
                Notice(
                    kind="stage_failed",
                    option=option,
                    message=error.message,
                    error=msgspec.to_builtins(error.to_object()),
                )
            ]
        )
        if stage:
            self._progress.finish(stage)

    def _cancel(self, by: CancelledBy) -> None:
        """The job is cancelled, and so are its stages."""
        self._end(cancelled(by), by)

    def _end(self, error: RpcError, by: CancelledBy = "stage") -> None:
        """End all stages: the first error is the job's answer, and none that follows from it."""
        with self._lock:
            self._error = self._error or error
            parts = list(self._parts)
        for part in parts:
            part.stop(by)

    def _raise_if_over(self) -> None:
        if self._error:
            raise self._error

    def _part(
        self,
        on_report: Callable[[ProgressReport], None] | None = None,
        on_partial: Callable[[bytes], None] = lambda value: None,
    ) -> Part:
        part = Part(on_report or self._progress.take, on_partial)
        with self._lock:
            self._parts.append(part)
            over = self._error is not None
        if over:
            part.stop("stage")
        return part

    def _set_tracks(self, tracks: list[_Track]) -> None:
        self._tracks = tracks
        self._tracks_known.set()

    def _wait_for_tracks(self, stage: Stage) -> list[_Track]:
        with self._clock.waiting(stage, "decode"):
            self._tracks_known.wait()
        if not self._tracks:
            raise cancelled("stage")  # what was wrong with it is the job's answer by now
        return self._tracks

    def _take_segments(self, track: _Track, value: bytes) -> None:
        """Take segments that were just recognised."""
        found = msgspec.json.decode(value, type=PartialTranscript)
        self._draft.add(found.language, found.segments)
        if self._alignment:
            self._recognised.put((track, found))

    def _request(self) -> dict[str, msgspec.Raw]:
        """The client's params, as the recognition engine is to have them."""
        request = msgspec.json.decode(self._job.params, type=dict[str, msgspec.Raw])
        if len(self._tracks) > 1 and self._params.vad_filter is None:
            # Who listens is silent for long, and Whisper invents words in silence.
            request["vadFilter"] = msgspec.Raw(b"true")
        return request

    def _follow_recognition(self) -> Iterable[tuple[_Track, str, list[Segment]]]:
        """Yield recognised segments, as many at once as wait; those of one track and language."""
        waiting: tuple[_Track, PartialTranscript] | None = None
        while True:
            with self._clock.waiting("alignment", "recognition"):
                first = waiting or self._recognised.get()
            waiting = None
            if first is None:
                return
            track, found = first
            segments = list(found.segments)
            while len(segments) < _SEGMENTS_A_CALL:
                try:
                    following = self._recognised.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._recognised.put(None)
                    break
                if following[0] is not track or following[1].language != found.language:
                    waiting = following
                    break
                segments += following[1].segments
            yield track, found.language, segments

    def _share(self, report: ProgressReport, number: int) -> ProgressReport:
        """Progress of recognition over all tracks, from that of track `number` (from 1)."""
        if self._tracks and report.percentage is not None:
            done = number - 1 + report.percentage / 100
            report.percentage = 100 * done / len(self._tracks)
        return report

    def _take_decoded(self, report: ProgressReport) -> None:
        self._expected = report.audio_total or self._expected
        self._progress.take(report)

    def _take_load(self, report: ProgressReport) -> None:
        """Alignment is told of by the segments that are done; its engine sees a few at a time."""
        if report.stage == "load":
            self._progress.take(report)

    def _note(self, notices: Iterable[Notice]) -> None:
        with self._lock:
            self._notices += [each for each in notices if each not in self._notices]

    def _alignment_options(self) -> AlignmentOptions | None:
        params = self._params
        options: AlignmentOptions | None = _options(params.align, AlignmentOptions)
        if options and params.task == "translate":
            message = "align changes nothing here: a translation is not what is heard."
            self._note([Notice(kind="option_ignored", option="align", message=message)])
            return None
        return options

    def _source(self, path: Path | str) -> Source:
        return Source(path=str(path), raw=True, start=self._params.start)

    def _channel_tracks(self, decoded: DecodeResult, wanted: bool | list[str]) -> list[_Track]:
        """The channels with a speaker each, or one where they do not tell speakers apart."""
        sources = [self._source(path) for path in decoded.paths]
        names = wanted if isinstance(wanted, list) else None
        if names is not None and len(names) != len(sources):
            raise RpcError(
                "invalid_params",
                f"channelSpeakers names {len(names)} speakers; the recording has "
                f"{len(sources)} channels.",
                path="$.channelSpeakers",
                channels=len(sources),
            )
        if len(sources) == 1:
            self._note([_no_channels("mono", "The recording has one channel")])
        elif decoded.alike:
            self._note([_no_channels("dual_mono", "The channels of the recording are the same")])
        else:
            names = names or [f"CHANNEL_{number:02}" for number in range(len(sources))]
            return [_Track(*pair) for pair in zip(sources, names, strict=True)]
        return [_Track(sources[decoded.loudest], None)]


def _no_channels(kind: str, why: str) -> Notice:
    return Notice(
        kind=kind, option="channelSpeakers", message=f"{why}: it does not tell speakers apart."
    )


def _options(given: Any, type_: type) -> Any:
    """The options of a stage that is asked for with them, or with `true`."""
    return type_() if given is True else given or None


def _plain(options: SpeakerOptions) -> DiarizationOptions:
    """Without what the engine does not know."""
    names = DiarizationOptions.__struct_fields__
    return DiarizationOptions(**{name: getattr(options, name) for name in names})
