"""The diarization engine: finds who speaks when, with one pyannote.audio pipeline.

A pipeline keeps the scores and embeddings of all windows of its input, and the distances between
all pairs, so its memory grows with the square of the input's length. Therefore it gets one piece of
a recording at a time; `linking` then finds the same voice in several pieces by its embeddings.
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
from protocol.values import Notice, option_ignored
from worker.audio import SAMPLE_RATE
from worker.engines.common import torch_device
from worker.engines.common.batch_threads import BatchThreads
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.notices import memory_saved
from worker.engines.common.recording import open_recording
from worker.engines.contract import EngineDiarizeParams, LoadDiarizationParams, LoadResult
from worker.engines.diarization import linking as diarization_linking
from worker.engines.diarization import model as diarization_model
from worker.engines.diarization.piece import PieceSpeakers, complete_voices, read_output
from worker.stage_clock import StageClock
from worker.system.cpu import available_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.diarization import DiarizationOptions
    from worker.engines.common.recording import Piece, Recording
    from worker.engines.diarization.piece import NumberedTurn
    from worker.session.job import Job

# For each step of pyannote's that reports progress: the share of the work done before and after it.
_STEPS: Final = {"segmentation": (0.0, 0.5), "embeddings": (0.5, 0.98)}

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
                pieces = recording.pieces()
                pieces = chain([next(pieces)], pieces)
            with clock.stage("diarization"):
                checkpoint = Checkpoint(
                    params.checkpoint, "diarization", self._fingerprint, notices.append
                )
                stack.callback(checkpoint.close)
                progress = _ProgressReporter(job, recording, clock)
                work = _Diarization(options, params.source.start, progress, checkpoint, notices)
                found = [self._diarize_piece(piece, work) for piece in pieces]
            notices += checkpoint.notices() + recording.notices
            duration = recording.duration
            clock.waited("diarization", "decode", recording.waited, busy=True)
        result = self._result(found, options, duration, notices, clock)
        end = params.source.start + duration  # pyannote's last frame may reach beyond it
        result.turns = _until(end, result.turns)
        result.exclusive_turns = _until(end, result.exclusive_turns)
        return result

    def _diarize_piece(self, piece: Piece, work: _Diarization) -> PieceSpeakers:
        """Diarize a piece, or reuse its result; retry in smaller batches if memory runs out."""
        work.progress.begin(piece)
        options = work.options
        key = work.checkpoint.key(
            piece.samples.view("u1").data,
            piece.first + round(work.offset * SAMPLE_RATE),
            piece.is_whole,
            [options.num_speakers, options.min_speakers, options.max_speakers],
        )
        found: PieceSpeakers | None = work.checkpoint.get(key, PieceSpeakers)
        if found is None:
            try:
                found = self._run_pipeline(piece, work)
            except RpcError as error:
                if error.kind != "out_of_memory" or not self._halve_batches(work.notices):
                    raise
                found = self._run_pipeline(piece, work)
            work.checkpoint.put(key, found)
        return found

    def _use_threads(self, threads: int) -> None:
        for each in self._threads:
            each.use(threads)
        # A model without `BatchThreads` needs torch's own threads.
        torch_device.use_threads(1 if len(self._threads) > 1 else threads)

    def _set_batch_size(self, options: DiarizationOptions) -> list[Notice]:
        for name, default in self._batch_sizes.items():
            setattr(self._pipeline, name, options.batch_size or default)
        if options.batch_size is None or self._batch_sizes:
            return []
        return [option_ignored("batchSize", "the pipeline does not work in batches")]

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

    def _run_pipeline(self, piece: Piece, work: _Diarization) -> PieceSpeakers:
        import torch

        options = work.options
        whole = piece.is_whole
        number = options.num_speakers
        try:
            output = self._pipeline(
                {
                    "waveform": torch.from_numpy(piece.samples)[None],
                    "sample_rate": SAMPLE_RATE,
                    "uri": "audio",
                },
                # Not every speaker has to speak in every piece.
                num_speakers=number if whole or self._needs_number else None,
                min_speakers=options.min_speakers if whole else None,
                max_speakers=options.max_speakers if whole else number or options.max_speakers,
                hook=work.progress.hook,
            )
            found = read_output(output, piece, work.offset)
            return found if whole else complete_voices(found, piece, self._embedding_model)
        except Exception as error:
            if torch_device.lacks_memory(error, self._pipeline.device):
                raise RpcError("out_of_memory") from None
            # More speakers than the clustering, or its array of counts, can hold.
            clusters = isinstance(error, ValueError) and "clusters" in str(error)
            if clusters or isinstance(error, OverflowError):
                raise RpcError("speakers_unsatisfiable") from None
            raise

    @property
    def _needs_number(self) -> bool:
        """Whether the pipeline's clustering requires the number of speakers."""
        return bool(getattr(self._pipeline, "_expects_num_speakers", False))

    @property
    def _embedding_model(self) -> Any:
        """The pipeline's embedding model; None if it has none."""
        return getattr(self._pipeline, "_embedding", None)

    def _result(
        self,
        found: list[PieceSpeakers],
        options: DiarizationOptions,
        duration: float,
        notices: list[Notice],
        clock: StageClock,
    ) -> DiarizeResult:
        """Link the speakers of the pieces and join their turns."""
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
        found: list[PieceSpeakers],
        numbers: list[list[int]],
        names: dict[int, str],
        notices: list[Notice],
    ) -> dict[str, list[float]]:
        vectors = diarization_linking.embeddings(found, numbers)
        if not vectors and getattr(self._pipeline, "legacy", True):
            notices.append(option_ignored("embeddings", "the pipeline does not return any"))
            return {}
        notices += [
            Notice(kind="no_embedding", message=f"{name} speaks too little for an embedding.")
            for number, name in names.items()
            if number not in vectors
        ]
        return {name: vectors[number] for number, name in names.items() if number in vectors}


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


def _not_linked(found: Sequence[PieceSpeakers]) -> list[Notice]:
    voices = [each.voices for each in found if each.voices]
    if len(voices) < 2 or any(voice.embedding for voice in chain.from_iterable(voices)):
        return []
    return [
        Notice(
            kind="speakers_not_linked",
            message="The recording was diarized in pieces, and the pipeline gives no embeddings "
            "to recognise voices by: a speaker has another name in each piece.",
        )
    ]
