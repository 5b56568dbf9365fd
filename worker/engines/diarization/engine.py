"""The diarization engine: one pyannote.audio pipeline, and who speaks when by it.

A pipeline keeps scores and embeddings of all windows of what it is given, and the distance between
any two of them, so that its memory grows with the square of the length: it is given one stretch of
a recording at a time, and the voices of the stretches are linked by their embeddings.
"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.diarization import DiarizeResult, Turn
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice
from worker.audio import SAMPLE_RATE
from worker.engines.common import torch_device
from worker.engines.common.batch_threads import BatchThreads
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.recording import open_recording
from worker.engines.common.savings import memory_saved
from worker.engines.contract import EngineDiarizeParams, LoadDiarizationParams, LoadResult
from worker.engines.diarization import linking as diarization_linking
from worker.engines.diarization import model as diarization_model
from worker.engines.diarization.stretch import StretchSpeakers, complete_voices, read_output
from worker.stage_clock import StageClock
from worker.system.cpu import available_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.diarization import DiarizationOptions
    from worker.engines.common.recording import Recording, Stretch
    from worker.engines.diarization.stretch import LocalTurn
    from worker.session.job import Job

# What share of the work each counted step of pyannote's is done at: begin and end.
_STEPS: Final = {"segmentation": (0.0, 0.5), "embeddings": (0.5, 0.98)}

_PACKAGES: Final = ("torch", "pyannote.audio", "onnxruntime")
"""What results depend on; the last is not everywhere, and pyannote's to import."""


class DiarizationEngine:
    """Methods of the engine's process, called one at a time."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._name = self._fingerprint = ""
        self._batch_sizes: dict[str, int] = {}
        self._threads: list[BatchThreads] = []

    def load(self, job: Job, params: LoadDiarizationParams) -> LoadResult:
        """Load the pipeline, for good: another one is for another process."""
        if self._pipeline is not None:
            raise RpcError("invalid_request", "This engine has its model already.")
        self._pipeline = diarization_model.load(params)
        self._name = params.model
        packages = [sys.modules[name] for name in _PACKAGES if name in sys.modules]
        sources = diarization_model.sources(params)
        self._fingerprint = "|".join(fingerprint(path, *packages) for path in sources)
        self._batch_sizes = {
            name: getattr(self._pipeline, name)
            for name in ("segmentation_batch_size", "embedding_batch_size")
            if hasattr(self._pipeline, name)
        }
        self._threads = diarization_model.batch_threads(self._pipeline)
        return LoadResult(device=str(self._pipeline.device), compute_type="float32")

    def diarize(self, job: Job, params: EngineDiarizeParams) -> DiarizeResult:
        """Find who speaks when."""
        options = params.options
        clock = StageClock(params.queue_seconds, params.load_seconds)
        self._use_threads(options.threads or available_threads())
        notices = self._set_batch_size(options)
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = open_recording(stack, params.source, job.raise_if_cancelled)
                stretches = recording.stretches()
                stretches = chain([next(stretches)], stretches)
            with clock.stage("diarization"):
                checkpoint = Checkpoint(
                    params.checkpoint, "diarization", self._fingerprint, notices.append
                )
                stack.callback(checkpoint.close)
                progress = _Progress(job, recording, clock)
                work = _Work(options, params.source.start, progress, checkpoint, notices)
                found = [self._stretch(stretch, work) for stretch in stretches]
            notices += checkpoint.resumed()
            duration = recording.duration
            clock.waited("diarization", "decode", recording.waited, busy=True)
        return self._result(found, options, duration, notices, clock)

    def _stretch(self, stretch: Stretch, work: _Work) -> StretchSpeakers:
        """Who speaks in a stretch of a recording."""
        work.progress.begin(stretch)
        options = work.options
        key = work.checkpoint.key(
            stretch.samples.view("u1").data,
            stretch.first + round(work.offset * SAMPLE_RATE),
            stretch.last and not stretch.first,
            [options.num_speakers, options.min_speakers, options.max_speakers],
        )
        found: StretchSpeakers | None = work.checkpoint.get(key, StretchSpeakers)
        if found is None:
            try:
                found = self._attempt(stretch, work)
            except RpcError as error:
                if error.kind != "out_of_memory" or not self._halve_batches(work.notices):
                    raise
                found = self._attempt(stretch, work)
            work.checkpoint.put(key, found)
        return found

    def _use_threads(self, threads: int) -> None:
        for each in self._threads:
            each.use(threads)
        # What shares no batches out has torch's own threads.
        torch_device.use_threads(1 if len(self._threads) > 1 else threads)

    def _set_batch_size(self, options: DiarizationOptions) -> list[Notice]:
        for name, usual in self._batch_sizes.items():
            setattr(self._pipeline, name, options.batch_size or usual)
        if options.batch_size is None or self._batch_sizes:
            return []
        message = "batchSize changes nothing here: the pipeline has none."
        return [Notice(kind="option_ignored", option="batchSize", message=message)]

    def _halve_batches(self, notices: list[Notice]) -> bool:
        """Need less memory; whether that is possible."""
        sizes = {name: getattr(self._pipeline, name) for name in self._batch_sizes}
        if max(sizes.values(), default=1) < 2:
            return False
        for name, size in sizes.items():
            setattr(self._pipeline, name, max(1, size // 2))
        notice = memory_saved("batchSize", "batches of half the size were taken")
        if notice not in notices:
            notices.append(notice)
        return True

    def _attempt(self, stretch: Stretch, work: _Work) -> StretchSpeakers:
        import torch

        options = work.options
        alone = stretch.last and not stretch.first
        number = options.num_speakers
        try:
            output = self._pipeline(
                {
                    "waveform": torch.from_numpy(stretch.samples)[None],
                    "sample_rate": SAMPLE_RATE,
                    "uri": "audio",
                },
                # Not everybody needs to speak in every stretch.
                num_speakers=number if alone or self._needs_number else None,
                min_speakers=options.min_speakers if alone else None,
                max_speakers=options.max_speakers if alone else number or options.max_speakers,
                hook=work.progress.hook,
            )
            found = read_output(output, stretch, work.offset)
            return found if alone else complete_voices(found, stretch, self._embedding_model)
        except (RuntimeError, MemoryError) as error:
            if torch_device.lacks_memory(error, self._pipeline.device):
                raise RpcError("out_of_memory") from None
            raise
        except (ValueError, OverflowError) as error:
            # More speakers than its clustering, or an array of counts, can hold.
            if isinstance(error, OverflowError) or "clusters" in str(error):
                raise RpcError("speakers_unsatisfiable") from None
            raise

    @property
    def _needs_number(self) -> bool:
        """The pipeline's clustering must be told how many speakers there are."""
        return bool(getattr(self._pipeline, "_expects_num_speakers", False))

    @property
    def _embedding_model(self) -> Any:
        """What the pipeline makes embeddings with; None where it has no such thing."""
        return getattr(self._pipeline, "_embedding", None)

    def _result(
        self,
        found: list[StretchSpeakers],
        options: DiarizationOptions,
        duration: float,
        notices: list[Notice],
        clock: StageClock,
    ) -> DiarizeResult:
        """Put the stretches together."""
        numbers = diarization_linking.link(
            found,
            diarization_linking.threshold_of(getattr(self._pipeline, "clustering", None)),
            least=options.num_speakers or options.min_speakers or 1,
            most=options.num_speakers or options.max_speakers or math.inf,
        )
        turns = diarization_linking.joined(found, numbers, lambda each: each.turns)
        exclusive = diarization_linking.joined(found, numbers, lambda each: each.exclusive_turns)
        names = _names_by_appearance(turns)
        result = DiarizeResult(
            turns=_named(turns, names),
            exclusive_turns=_named(exclusive, names),
            speakers=list(names.values()),
            model=self._name,
            device=str(self._pipeline.device),
            duration=duration,
            warnings=[*notices, *_too_few(len(names), options), *_not_linked(found)],
            timings=clock.timings({"decode": duration, "diarization": duration}),
        )
        if options.embeddings:
            result.embeddings = self._embeddings(found, numbers, names, result.warnings)
        return result

    def _embeddings(
        self,
        found: list[StretchSpeakers],
        numbers: list[list[int]],
        names: dict[int, str],
        notices: list[Notice],
    ) -> dict[str, list[float]]:
        vectors = diarization_linking.embeddings(found, numbers)
        if not vectors and getattr(self._pipeline, "legacy", True):
            message = "embeddings changes nothing here: the pipeline gives none."
            notices.append(Notice(kind="option_ignored", option="embeddings", message=message))
            return {}
        notices += [
            Notice(kind="no_embedding", message=f"{name} speaks too little for an embedding.")
            for number, name in names.items()
            if number not in vectors
        ]
        return {name: vectors[number] for number, name in names.items() if number in vectors}


class _Work(NamedTuple):
    """What all stretches of a recording, which begins at `offset` seconds, have in common."""

    options: DiarizationOptions
    offset: float
    progress: _Progress
    checkpoint: Checkpoint
    notices: list[Notice]


class _Progress:
    """Tells how far the work is, as far as the recording's length can be told."""

    def __init__(self, job: Job, recording: Recording, clock: StageClock) -> None:
        self._job = job
        self._recording = recording
        self._clock = clock
        self._first = self._length = 0
        self._last = False
        self._share = 0.0
        self._highest = 0.0

    def begin(self, stretch: Stretch) -> None:
        """Turn to a stretch."""
        self._job.raise_if_cancelled()
        self._first, self._length, self._last = stretch.first, len(stretch.samples), stretch.last
        self._share = 0.0

    def hook(self, step: str, *_: object, total: int = 0, completed: int = 0, **__: object) -> None:
        """Take what pyannote tells of a step, after which others may have the pipeline."""
        self._clock.waited("diarization", "queue", self._job.give_way(), busy=True)
        begin, end = _STEPS.get(step, (self._share, self._share))
        share = min(1.0, float(completed / total)) if total else 0.0
        self._share = max(self._share, begin + share * (end - begin))
        self._job.report(ProgressReport(stage="diarization", percentage=self._percentage()))

    def _percentage(self) -> float | None:
        end = self._first + self._length
        if not self._last:
            expected = self._recording.expected_duration
            if not expected:
                return None
            end = max(end, int(expected * SAMPLE_RATE))
        done = 100.0 * (self._first + self._share * self._length) / end
        self._highest = max(self._highest, round(done, 2))
        return self._highest


def _names_by_appearance(turns: Sequence[LocalTurn]) -> dict[int, str]:
    """SPEAKER_00 … in the order of first turns, by the speaker's number."""
    speakers = dict.fromkeys(turn.speaker for turn in turns)
    return {speaker: f"SPEAKER_{number:02}" for number, speaker in enumerate(speakers)}


def _named(turns: Sequence[LocalTurn], names: dict[int, str]) -> list[Turn]:
    return [Turn(start=turn.start, end=turn.end, speaker=names[turn.speaker]) for turn in turns]


def _too_few(found: int, options: DiarizationOptions) -> list[Notice]:
    wanted = options.num_speakers or options.min_speakers or 0
    if found >= wanted:
        return []
    speakers = "speaker" if found == 1 else "speakers"
    return [
        Notice(
            kind="fewer_speakers",
            message=f"{found} {speakers} were found where {wanted} were asked for: there is too "
            "little speech to tell more apart.",
        )
    ]


def _not_linked(found: Sequence[StretchSpeakers]) -> list[Notice]:
    voices = [each.voices for each in found if each.voices]
    if len(voices) < 2 or any(voice.embedding for voice in chain.from_iterable(voices)):
        return []
    return [
        Notice(
            kind="speakers_not_linked",
            message="The recording was diarized in parts, and the pipeline has no embeddings to "
            "tell voices by: whoever speaks in several parts has a name in each.",
        )
    ]
