"""The diarization engine: one pyannote.audio pipeline, and who speaks when by it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from protocol.diarization import DiarizeResult, Turn
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice
from worker import audio
from worker.engines import diarization_model, torch_device
from worker.engines.contract import EngineDiarizeParams, LoadDiarizationParams, LoadResult
from worker.engines.savings import memory_saved
from worker.engines.stages import StageClock

if TYPE_CHECKING:
    from protocol.diarization import DiarizationOptions
    from worker.jobs import Job

# What share of the work each counted step of pyannote's is done at: begin and end.
_STEPS: Final = {"segmentation": (0.0, 50.0), "embeddings": (50.0, 98.0)}


class DiarizationEngine:
    """Methods of the engine's process, called one at a time."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._name = ""
        self._batch_sizes: dict[str, int] = {}

    def load(self, job: Job, params: LoadDiarizationParams) -> LoadResult:
        """Load the pipeline, for good: another one is for another process."""
        if self._pipeline is not None:
            raise RpcError("invalid_request", "This engine has its model already.")
        self._pipeline = diarization_model.load(params)
        self._name = params.model
        self._batch_sizes = {
            name: getattr(self._pipeline, name)
            for name in ("segmentation_batch_size", "embedding_batch_size")
            if hasattr(self._pipeline, name)
        }
        return LoadResult(device=str(self._pipeline.device), compute_type="float32")

    def diarize(self, job: Job, params: EngineDiarizeParams) -> DiarizeResult:
        """Find who speaks when."""
        options = params.options
        clock = StageClock(params.queue_seconds, params.load_seconds)
        torch_device.use_threads(options.threads)
        with clock.stage("decode"):
            samples = audio.read(params.source, job.raise_if_cancelled)
        notices = self._set_batch_size(options)
        with clock.stage("diarization"):
            try:
                output = self._apply(job, samples, options)
            except RpcError as error:
                if error.kind != "out_of_memory" or not self._halve_batches(notices):
                    raise
                output = self._apply(job, samples, options)
        # Pipelines made for version 3 and other kinds return the turns alone.
        diarization = getattr(output, "speaker_diarization", output)
        exclusive = getattr(output, "exclusive_speaker_diarization", None)
        names = _names_by_appearance(diarization)
        turns = _turns(diarization, names, params.source.start)
        exclusive_turns = (
            _turns(exclusive, names, params.source.start)
            if exclusive is not None
            else _without_overlap(turns)
        )
        result = DiarizeResult(
            turns=turns,
            exclusive_turns=exclusive_turns,
            speakers=list(names.values()),
            model=self._name,
            device=str(self._pipeline.device),
            duration=len(samples) / audio.SAMPLE_RATE,
            warnings=[*notices, *_too_few(len(names), options)],
            timings=clock.timings(),
        )
        if options.embeddings:
            result.embeddings = _embeddings(output, diarization, names, result.warnings)
        return result

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
        notices.append(memory_saved("batchSize", "batches of half the size were taken"))
        return True

    def _apply(self, job: Job, samples: audio.Samples, options: DiarizationOptions) -> Any:
        import numpy as np
        import torch

        reached = 0.0

        def hook(step: str, *_: object, total: int = 0, completed: int = 0, **__: object) -> None:
            nonlocal reached
            job.raise_if_cancelled()
            begin, end = _STEPS.get(step, (reached, reached))
            share = min(1.0, completed / total) if total else 0.0
            reached = max(reached, begin + share * (end - begin))
            job.report(ProgressReport(stage="diarization", percentage=round(float(reached), 2)))

        # Mapped samples are read-only, which torch cannot express; nothing writes to them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            waveform = torch.from_numpy(np.asarray(samples))[None]
            try:
                return self._pipeline(
                    {"waveform": waveform, "sample_rate": audio.SAMPLE_RATE, "uri": "audio"},
                    num_speakers=options.num_speakers,
                    min_speakers=options.min_speakers,
                    max_speakers=options.max_speakers,
                    hook=hook,
                )
            except (torch.OutOfMemoryError, MemoryError):
                raise RpcError("out_of_memory") from None
            except (ValueError, OverflowError) as error:
                # More speakers than its clustering, or an array of counts, can hold.
                if isinstance(error, OverflowError) or "clusters" in str(error):
                    raise RpcError("speakers_unsatisfiable") from None
                raise


def _names_by_appearance(diarization: Any) -> dict[Any, str]:
    """SPEAKER_00 … in the order of first turns, by pyannote's label."""
    labels = dict.fromkeys(
        label for _, _, label in sorted(diarization.itertracks(yield_label=True), key=_start)
    )
    return {label: f"SPEAKER_{number:02}" for number, label in enumerate(labels)}


def _start(track: tuple[Any, Any, Any]) -> tuple[float, float]:
    return track[0].start, track[0].end


def _turns(diarization: Any, names: dict[Any, str], offset: float) -> list[Turn]:
    return [
        Turn(
            start=round(segment.start + offset, 3),
            end=round(segment.end + offset, 3),
            speaker=names[label],
        )
        for segment, _, label in sorted(diarization.itertracks(yield_label=True), key=_start)
    ]


def _without_overlap(turns: Iterable[Turn]) -> list[Turn]:
    """One speaker at a time: whoever speaks goes on until the turn ends."""
    found: list[Turn] = []
    for turn in turns:
        start = max(turn.start, found[-1].end) if found else turn.start
        if turn.end > start:
            found.append(Turn(start=start, end=turn.end, speaker=turn.speaker))
    return found


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


def _embeddings(
    output: Any, diarization: Any, names: dict[Any, str], notices: list[Notice]
) -> dict[str, list[float]]:
    vectors = getattr(output, "speaker_embeddings", None)
    if vectors is None:
        notices.append(
            Notice(
                kind="option_ignored",
                option="embeddings",
                message="embeddings changes nothing here: the pipeline gives none.",
            )
        )
        return {}
    found: dict[str, list[float]] = {}
    for label, vector in zip(diarization.labels(), vectors, strict=True):
        numbers = [float(number) for number in vector]
        if all(map(math.isfinite, numbers)) and any(numbers):
            found[names[label]] = numbers
        else:
            notices.append(
                Notice(
                    kind="no_embedding",
                    message=f"{names[label]} speaks too little for an embedding.",
                )
            )
    return dict(sorted(found.items()))
