"""The diarization engine: finds who speaks when, with one pyannote.audio pipeline.

A recording of up to ten minutes goes through the pipeline as it is. Of longer ones a pipeline would
keep the scores and embeddings of all windows in memory, and the distances between all pairs. So its
models run on one stretch at a time (`windows`), its clustering on the embeddings of all windows
together (`clustering`), and turns are put together by stretches again (`reconstruction`). That
gives what the pipeline gives for the whole recording; only of more than about an hour of speech,
windows that are alike are merged before the clustering (`linkage`).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from protocol.diarization import DiarizeResult, Turn
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice, option_ignored
from worker.audio import SAMPLE_RATE
from worker.engines.common import torch_device
from worker.engines.common.batch_threads import BatchThreads
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.notices import memory_saved
from worker.engines.common.recording import open_recording
from worker.engines.contract import EngineDiarizeParams, LoadDiarizationParams, LoadResult
from worker.engines.diarization import model as diarization_model
from worker.engines.diarization.clustering import cluster
from worker.engines.diarization.identity import embedding_model
from worker.engines.diarization.reconstruction import reconstruct
from worker.engines.diarization.speakers import Speakers, read_output
from worker.engines.diarization.windows import (
    Store,
    Windows,
    analyse,
    stretches,
    waveform,
)
from worker.stage_clock import StageClock
from worker.system.cpu import available_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from protocol.diarization import DiarizationOptions
    from worker.engines.common.recording import Piece, Recording
    from worker.engines.diarization.speakers import NumberedTurn
    from worker.session.job import Job

# For each step of pyannote's that reports progress: the share of the work done before and after it.
_STEPS: Final = {"segmentation": (0.0, 0.5), "embeddings": (0.5, 0.98)}

_Result = TypeVar("_Result", Speakers, Windows)

_PACKAGES: Final = ("torch", "pyannote.audio", "onnxruntime")
"""Packages whose versions results depend on; pyannote imports the last only if it needs it."""


class DiarizationEngine:
    """The methods of the engine's process, which its lane calls one at a time."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._name = self._fingerprint = ""
        self._batch_sizes: dict[str, int] = {}
        self._threads: list[BatchThreads] = []

    def load(self, job: Job, params: LoadDiarizationParams) -> LoadResult:
        """Load the pipeline; this process never loads another one."""
        if self._pipeline is not None:
            raise RpcError("invalid_request", "This engine has already loaded its model.")
        self._pipeline = diarization_model.load(params)
        self._name = params.model
        packages = [sys.modules[name] for name in _PACKAGES if name in sys.modules]
        sources = diarization_model.sources(params)
        self._fingerprint = "|".join(fingerprint(path, *packages) for path in sources)
        self._batch_sizes = {
            name: getattr(self._pipeline, name)
            for name in ("segmentation_batch_size", "embedding_batch_size")
        }
        self._threads = diarization_model.batch_threads(self._pipeline)
        return LoadResult(device=str(self._pipeline.device), compute_type="float32")

    def diarize(self, job: Job, params: EngineDiarizeParams) -> DiarizeResult:
        """Find who speaks when."""
        options = params.options
        clock = StageClock(params.queue_seconds, params.load_seconds)
        self._use_threads(options.threads or available_threads())
        for name, default in self._batch_sizes.items():
            setattr(self._pipeline, name, options.batch_size or default)
        notices: list[Notice] = []
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = open_recording(stack, params.source, job.raise_if_cancelled)
                pieces = stretches(recording, self._pipeline)
                first = next(pieces)
            with clock.stage("diarization"):
                checkpoint = Checkpoint(
                    params.checkpoint, "diarization", self._fingerprint, notices.append
                )
                stack.callback(checkpoint.close)
                progress = _ProgressReporter(job, recording, clock)
                work = _Diarization(options, params.source.start, progress, checkpoint, notices)
                found = (
                    self._diarize_whole(first, work)
                    if first.is_whole
                    else self._diarize_stretches(chain([first], pieces), work, Store(stack))
                )
            notices += checkpoint.notices() + recording.notices
            duration = recording.duration
            clock.waited("diarization", "decode", recording.waited, busy=True)
        result = self._result(found, options, duration, notices, clock)
        end = params.source.start + duration  # pyannote's last frame may reach beyond it
        result.turns = _until(end, result.turns)
        result.exclusive_turns = _until(end, result.exclusive_turns)
        return result

    def _diarize_whole(self, piece: Piece, work: _Diarization) -> Speakers:
        """Diarize a whole recording as pyannote.audio does."""
        options = work.options
        numbers = [options.num_speakers, options.min_speakers, options.max_speakers]

        def run() -> Speakers:
            output = self._pipeline(
                waveform(piece),
                num_speakers=options.num_speakers,
                min_speakers=options.min_speakers,
                max_speakers=options.max_speakers,
                hook=work.progress.hook,
            )
            return read_output(output, work.offset)

        return self._kept(piece, numbers, work, run, Speakers)

    def _diarize_stretches(
        self, pieces: Iterator[Piece], work: _Diarization, store: Store
    ) -> Speakers:
        """Diarize a long recording: find its windows by stretches, cluster them together."""
        hook, options = work.progress.hook, work.options
        for piece in pieces:

            def run(piece: Piece = piece) -> Windows:
                return analyse(self._pipeline, piece, hook)

            store.append(self._kept(piece, [], work, run, Windows))
        number, least, most = self._pipeline.set_num_speakers(
            options.num_speakers, options.min_speakers, options.max_speakers
        )
        with self._errors():
            voices = cluster(self._pipeline, store, number, least, most)
            check = work.progress.check
            return reconstruct(self._pipeline, store, voices, most, work.offset, check)

    def _kept(
        self,
        piece: Piece,
        options: list[int | None],
        work: _Diarization,
        run: Callable[[], _Result],
        type_: type[_Result],
    ) -> _Result:
        """Run the pipeline's models on a piece, or reuse the result of the checkpoint.

        Runs again in smaller batches if memory runs out.
        """
        work.progress.begin(piece)
        key = work.checkpoint.key(
            piece.samples.view("u1").data,
            piece.first + round(work.offset * SAMPLE_RATE),
            piece.is_whole,
            options,
        )
        found: _Result | None = work.checkpoint.get(key, type_)
        if found is None:
            try:
                with self._errors():
                    found = run()
            except RpcError as error:
                if error.kind != "out_of_memory" or not self._halve_batches(work.notices):
                    raise
                with self._errors():
                    found = run()
            work.checkpoint.put(key, found)
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise `RpcError` for what the pipeline raises."""
        try:
            yield
        except Exception as error:
            if torch_device.lacks_memory(error, self._pipeline.device):
                raise RpcError("out_of_memory") from None
            # More speakers than the clustering, or its array of counts, can hold.
            clusters = isinstance(error, ValueError) and "clusters" in str(error)
            if clusters or isinstance(error, OverflowError):
                raise RpcError("speakers_unsatisfiable") from None
            raise

    def _use_threads(self, threads: int) -> None:
        for each in self._threads:
            each.use(threads)
        # A model without `BatchThreads` needs torch's own threads.
        torch_device.use_threads(1 if len(self._threads) > 1 else threads)

    def _halve_batches(self, notices: list[Notice]) -> bool:
        """Halve the batch sizes; return False if they are 1 already."""
        sizes = {name: getattr(self._pipeline, name) for name in self._batch_sizes}
        if max(sizes.values(), default=1) < 2:
            return False
        for name, size in sizes.items():
            setattr(self._pipeline, name, max(1, size // 2))
        notice = memory_saved("batchSize", "diarized in batches of half the size")
        if notice not in notices:
            notices.append(notice)
        return True

    def _result(
        self,
        found: Speakers,
        options: DiarizationOptions,
        duration: float,
        notices: list[Notice],
        clock: StageClock,
    ) -> DiarizeResult:
        names = _names_by_appearance(found.turns)
        result = DiarizeResult(
            turns=_named(found.turns, names),
            exclusive_turns=_named(found.exclusive_turns, names),
            speakers=list(names.values()),
            model=self._name,
            device=str(self._pipeline.device),
            duration=duration,
            warnings=[*notices, *_too_few(len(names), options)],
            timings=clock.timings({"decode": duration, "diarization": duration}),
        )
        if options.embeddings:
            result.embeddings = self._embeddings(found, names, result.warnings)
            result.embedding_model = embedding_model(self._pipeline)
        return result

    def _embeddings(
        self, found: Speakers, names: dict[int, str], notices: list[Notice]
    ) -> dict[str, list[float]]:
        vectors = dict(enumerate(found.embeddings))
        if not any(vectors.values()) and self._pipeline.legacy:
            notices.append(option_ignored("embeddings", "the pipeline does not return any"))
            return {}
        given = {name: vectors.get(number) for number, name in names.items()}
        notices += [
            Notice(kind="no_embedding", message=f"{name} speaks too little for an embedding.")
            for name, vector in given.items()
            if vector is None
        ]
        return {name: vector for name, vector in given.items() if vector is not None}


class _Diarization(NamedTuple):
    """One request in progress: what its pieces have in common."""

    options: DiarizationOptions
    offset: float
    """Seconds of the file before the recording."""
    progress: _ProgressReporter
    checkpoint: Checkpoint
    notices: list[Notice]


class _ProgressReporter:
    """Reports progress over all pieces; no percentage while the recording's length is unknown."""

    def __init__(self, job: Job, recording: Recording, clock: StageClock) -> None:
        self._job = job
        self._recording = recording
        self._clock = clock
        self._first = self._length = 0
        self._last = False
        self._share = 0.0
        self._highest = 0.0

    def begin(self, piece: Piece) -> None:
        """Start on a piece."""
        self._job.raise_if_cancelled()
        self._first, self._length, self._last = piece.first, len(piece.samples), piece.last
        self._share = 0.0

    def hook(self, step: str, *_: object, total: int = 0, completed: int = 0, **__: object) -> None:
        """Receive pyannote's progress on a step; other requests may use the pipeline first."""
        self._clock.waited("diarization", "queue", self._job.yield_to_others(), busy=True)
        begin, end = _STEPS.get(step, (self._share, self._share))
        share = min(1.0, float(completed / total)) if total else 0.0
        self._share = max(self._share, begin + share * (end - begin))
        self._job.report(ProgressReport(stage="diarization", percentage=self._percentage()))

    def check(self) -> None:
        """Stop if the job is cancelled; let other requests use the pipeline first."""
        self._job.raise_if_cancelled()
        self._clock.waited("diarization", "queue", self._job.yield_to_others(), busy=True)

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


def _names_by_appearance(turns: Sequence[NumberedTurn]) -> dict[int, str]:
    """Name the speakers SPEAKER_00, … in the order of their first turns; keys are numbers."""
    speakers = dict.fromkeys(turn.speaker for turn in turns)
    return {speaker: f"SPEAKER_{number:02}" for number, speaker in enumerate(speakers)}


def _named(turns: Sequence[NumberedTurn], names: dict[int, str]) -> list[Turn]:
    return [Turn(start=turn.start, end=turn.end, speaker=names[turn.speaker]) for turn in turns]


def _until(end: float, turns: Sequence[Turn]) -> list[Turn]:
    """The turns up to `end`."""
    return [
        Turn(start=turn.start, end=min(turn.end, end), speaker=turn.speaker)
        for turn in turns
        if turn.start < end
    ]


def _too_few(found: int, options: DiarizationOptions) -> list[Notice]:
    wanted = options.num_speakers or options.min_speakers or 0
    if found >= wanted:
        return []
    return [
        Notice(
            kind="fewer_speakers",
            message=f"The request expects {wanted} speakers, but only {found} could be told "
            "apart: there is too little speech.",
        )
    ]
