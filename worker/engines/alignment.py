"""The alignment engine: one wav2vec2 model, and the times of words by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from protocol.alignment import AlignedSegment, AlignResult, PartialAlignment, Word
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice
from worker import audio
from worker.engines import (
    alignment_batched,
    alignment_model,
    alignment_whisperx,
    torch_device,
)
from worker.engines.alignment_batched import Stretch
from worker.engines.alignment_placement import Unit, place
from worker.engines.alignment_text import TimedWord, fill_times, split
from worker.engines.contract import EngineAlignParams, LoadAlignmentParams, LoadResult
from worker.engines.stages import StageClock

if TYPE_CHECKING:
    from worker.jobs import Job

_WITHOUT_SPACES: Final = frozenset({"ja", "zh", "th", "lo", "my", "km", "yue"})

_MARGIN: Final = 0.2
"""Seconds around a segment in which its words are looked for: Whisper's times are rough."""


class AlignmentEngine:
    """Methods of the engine's process, called one at a time."""

    def __init__(self) -> None:
        self._model: alignment_model.AlignmentModel | None = None

    def load(self, job: Job, params: LoadAlignmentParams) -> LoadResult:
        """Load the model, for good: another one is for another process."""
        if self._model is not None:
            raise RpcError("invalid_request", "This engine has its model already.")
        self._model = alignment_model.load(params)
        return LoadResult(device=str(self._model.device), compute_type="float32")

    def align(self, job: Job, params: EngineAlignParams) -> AlignResult:
        """Find when each word is said; segments go out as they are done."""
        if self._model is None:
            raise RpcError("invalid_request", "This engine has no model yet.")
        clock = StageClock(params.queue_seconds, params.load_seconds)
        torch_device.use_threads(params.options.threads)
        with clock.stage("decode"):
            samples = audio.read(params.source, job.raise_if_cancelled)
        work = _Alignment(job, self._model, samples, params)
        with clock.stage("alignment"):
            segments = work.run()
        return AlignResult(
            language=params.language,
            segments=segments,
            model=self._model.name,
            aligner=params.options.aligner,
            device=str(self._model.device),
            duration=len(samples) / audio.SAMPLE_RATE,
            warnings=work.notices,
            timings=clock.timings(),
        )


class _Alignment:
    """One request. Times here are seconds of the recording, unless said otherwise."""

    def __init__(
        self,
        job: Job,
        model: alignment_model.AlignmentModel,
        samples: audio.Samples,
        params: EngineAlignParams,
    ) -> None:
        self._job = job
        self._model = model
        self._samples = samples
        self._language = params.language
        self._segments = params.segments
        self._options = params.options
        self._offset = params.source.start
        self._end = self._offset + len(samples) / audio.SAMPLE_RATE
        if params.options.aligner == "whisperx":
            self._spaced = alignment_whisperx.writes_spaces(params.language)
        else:
            self._spaced = params.language not in _WITHOUT_SPACES
        self._words = [split(each.text, self._spaced, model.dictionary) for each in params.segments]
        self._units, self.notices = place(params.segments, self._offset, self._end)
        if not self._units:
            message = "There is no text to align."
            self.notices.append(Notice(kind="transcript_empty", message=message))

    def run(self) -> list[AlignedSegment]:
        """Align everything; return the segments in their order."""
        done: dict[int, AlignedSegment] = {}
        failed: list[int] = []
        seconds = 0.0
        for number, aligned in self._align():
            unit = self._units[number]
            self._complete(unit)
            if not aligned:
                failed += [self._id(index) for index in unit.indices]
            found = {index: self._aligned(index, unit) for index in unit.indices}
            done |= found
            self._job.partial(PartialAlignment(segments=list(found.values())))
            seconds += unit.end - unit.start
            self._report(seconds)
        if failed:
            self.notices.append(_not_aligned(failed))
        for index, segment in enumerate(self._segments):
            if index not in done:  # without text
                start = self._offset if segment.start is None else segment.start
                end = start if segment.end is None else segment.end
                done[index] = self._segment(index, max(0.0, start), max(0.0, start, end), [])
        return [done[index] for index in range(len(self._segments))]

    def _align(self) -> Iterable[tuple[int, bool]]:
        """Set the words' times; yield the number of each unit that is done, and how it went."""
        if self._options.aligner == "whisperx":
            return self._align_by_whisperx()
        stretches = [
            Stretch(
                self._sample(unit.start - _MARGIN),
                self._sample(unit.end + _MARGIN),
                self._words_of(unit),
                self._spaced,
            )
            for unit in self._units
        ]
        return alignment_batched.align(
            self._model,
            self._samples,
            stretches,
            self._options.batch_size,
            self._job.raise_if_cancelled,
            self.notices.append,
        )

    def _align_by_whisperx(self) -> Iterator[tuple[int, bool]]:
        for number, unit in enumerate(self._units):
            aligned = True
            # It knows segments with times alone: those without share theirs by their length.
            total = sum(len(self._segments[index].text) for index in unit.indices)
            start = unit.start
            for index in unit.indices:
                self._job.raise_if_cancelled()
                text = self._segments[index].text
                end = start + (unit.end - unit.start) * len(text) / total
                aligned &= alignment_whisperx.align(
                    self._model,
                    self._language,
                    self._samples,
                    text,
                    self._words[index],
                    start - self._offset,
                    end - self._offset,
                    self._options.interpolation,
                )
                start = end
            yield number, aligned

    def _complete(self, unit: Unit) -> None:
        """Times of the recording, for every word."""
        words = self._words_of(unit)
        for word in words:
            word.starts = [None if time is None else time + self._offset for time in word.starts]
            word.ends = [None if time is None else time + self._offset for time in word.ends]
            if word.start is not None and word.end is not None:
                word.start, word.end = word.start + self._offset, word.end + self._offset
        fill_times(words, unit.start, unit.end, self._options.interpolation)

    def _aligned(self, index: int, unit: Unit) -> AlignedSegment:
        words = [word.to_word(self._options.characters) for word in self._words[index]]
        if not words:
            return self._segment(index, unit.start, unit.start, words)
        return self._segment(index, words[0].start, max(word.end for word in words), words)

    def _segment(self, index: int, start: float, end: float, words: list[Word]) -> AlignedSegment:
        return AlignedSegment(
            id=self._id(index),
            start=round(start, 3),
            end=round(end, 3),
            text=self._segments[index].text.strip(),
            words=words,
        )

    def _words_of(self, unit: Unit) -> list[TimedWord]:
        """The words of a unit's segments."""
        words: list[TimedWord] = []
        for index in unit.indices:
            words += self._words[index]
        return words

    def _sample(self, time: float) -> int:
        return min(len(self._samples), max(0, round((time - self._offset) * audio.SAMPLE_RATE)))

    def _id(self, index: int) -> int:
        given = self._segments[index].id
        return index if given is None else given

    def _report(self, done: float) -> None:
        """Tell how many seconds of all segments are done."""
        total = sum(unit.end - unit.start for unit in self._units)
        self._job.report(
            ProgressReport(
                stage="alignment",
                percentage=round(100 * done / total, 2) if total else 100.0,
                audio_done=round(done, 3),
                audio_total=round(total, 3),
            )
        )


def _not_aligned(ids: Sequence[int]) -> Notice:
    which = ", ".join(map(str, ids[:10])) + (" …" if len(ids) > 10 else "")
    return Notice(
        kind="not_aligned",
        message=f"Segments that could not be aligned have estimated times: {which}.",
    )
