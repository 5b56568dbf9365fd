"""The audio engine: decodes a recording once for all stages that work on it; detects speech."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from protocol.detection import DetectSpeechResult, SpeechSpan
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker import audio
from worker.engines.common import speech
from worker.engines.common.recording import (
    END_SUFFIX,
    open_recording,
    reading_of,
    write_expected_duration,
)
from worker.engines.contract import DecodeParams, DecodeResult, EngineDetectSpeechParams, raw_path
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from worker.session.job import Job

_ALIKE: Final = 0.98
"""Correlation above which two channels count as copies. The two sides of a call have about 0, a
room in stereo rarely more than 0.9; a lossy codec leaves copies of a channel above 0.99."""


class AudioEngine:
    """The methods of the engine's process, which needs no `load`."""

    def decode(self, job: Job, params: DecodeParams) -> DecodeResult:
        """Decode to files of mono float32 samples at 16 kHz, which other engines read meanwhile.

        Memory is bounded by one block. An empty file beside each marks it as complete.
        """
        source = params.source
        if params.split and source.channel is not None:
            raise RpcError("invalid_params", "Give either channel or split.", path="$")
        audio.check_file(source.path)
        whole = audio.estimated_duration(source.path) or source.end
        total = min(whole, source.end or whole) - source.start if whole else None
        count = 0
        likeness = _Likeness()
        paths: list[Path] = []
        job.report(ProgressReport(stage="decode"))
        try:
            with ExitStack() as stack:
                files: list[IO[bytes]] = []
                reading = reading_of(source, split=params.split)
                for block in reading:
                    job.yield_to_others()
                    if not files:
                        paths = [raw_path(params.directory, i) for i in range(len(block))]
                        if total:
                            for path in paths:
                                write_expected_duration(str(path), total)
                        files = [stack.enter_context(path.open("xb")) for path in paths]
                    for file, row in zip(files, block, strict=True):
                        file.write(audio.to_float(row).data)
                    likeness.add(block)
                    count += block.shape[1]
                    _report(job, count / audio.SAMPLE_RATE, total)
            for path in paths:
                Path(f"{path}{END_SUFFIX}").touch()
        except OSError as error:
            raise RpcError(
                "storage_failed",
                f"The decoded audio cannot be stored in {params.directory}: {error.strerror}.",
                path=params.directory,
            ) from None
        return DecodeResult(
            paths=list(map(str, paths)),
            duration=count / audio.SAMPLE_RATE,
            alike=likeness.alike,
            loudest=likeness.loudest,
            warnings=reading.notices,
        )

    def detect_speech(self, job: Job, params: EngineDetectSpeechParams) -> DetectSpeechResult:
        """Find where somebody speaks in a recording."""
        clock = StageClock(params.queue_seconds, params.load_seconds)
        start = params.source.start
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = open_recording(stack, params.source, job.raise_if_cancelled)
            with clock.stage("speechDetection"):
                found = speech.detect_speech(job, recording, params.parameters)
            duration = recording.duration
            warnings = recording.notices
        return DetectSpeechResult(
            speech=[
                SpeechSpan(
                    start=speech.time_of(span.start, start),
                    end=speech.time_of(span.end, start),
                    probability=round(span.probability, 4),
                )
                for span in found
            ],
            speech_duration=speech.total_seconds(found),
            duration=duration,
            warnings=warnings,
            timings=clock.timings({"decode": duration, "speechDetection": duration}),
        )


def _report(job: Job, done: float, total: float | None) -> None:
    percentage = round(100 * min(1.0, done / total), 2) if total and total > 0 else None
    job.report(
        ProgressReport(stage="decode", percentage=percentage, audio_done=done, audio_total=total)
    )


class _Likeness:
    """Correlates the channels, block by block, to find copies of one channel."""

    def __init__(self) -> None:
        self._products: npt.NDArray[np.float64] | None = None

    def add(self, block: npt.NDArray[np.int16]) -> None:
        """Take the next samples, (channels, n)."""
        import numpy as np

        rows = block.astype(np.float64)
        products = rows @ rows.T
        self._products = products if self._products is None else self._products + products

    @property
    def loudest(self) -> int:
        """The channel with the most energy."""
        return 0 if self._products is None else int(self._products.diagonal().argmax())

    @property
    def alike(self) -> bool:
        """Whether there are several channels, all copies of the loudest; a silent one counts."""
        if self._products is None or len(self._products) < 2:
            return False
        energies = self._products.diagonal()
        products = abs(self._products[self.loudest])
        return bool((products >= _ALIKE * (energies * energies[self.loudest]) ** 0.5).all())
