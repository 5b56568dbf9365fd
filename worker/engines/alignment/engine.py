"""The alignment engine: one wav2vec2 model, and the times of words by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.alignment import AlignedSegment, AlignResult, PartialAlignment, Word
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice
from worker import audio
from worker.engines.alignment import batched as alignment_batched
from worker.engines.alignment import model as alignment_model
from worker.engines.alignment import whisperx as alignment_whisperx
from worker.engines.alignment.batched import Stretch
from worker.engines.alignment.placement import Unit, place
from worker.engines.alignment.text import TimedWord, fill_times, split
from worker.engines.common import torch_device
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.recording import Recording, open_recording
from worker.engines.contract import EngineAlignParams, LoadAlignmentParams, LoadResult
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from worker.session.job import Job

_WITHOUT_SPACES: Final = frozenset({"ja", "zh", "th", "lo", "my", "km", "yue"})

_MARGIN: Final = 0.2
"""Seconds around a segment in which its words are looked for: Whisper's times are rough."""


class _Kept(msgspec.Struct):
    """A unit as a checkpoint holds it; its times count from the first sample."""

    words: list[TimedWord]
    aligned: bool


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
        with ExitStack() as stack:
            with clock.stage("decode"):
                recording = open_recording(stack, params.source, job.raise_if_cancelled)
                work = _Alignment(job, self._model, recording, params, clock)
            stack.callback(work.checkpoint.close)
            with clock.stage("alignment"):
                try:
                    segments = work.run()
                except (RuntimeError, MemoryError) as error:
                    if torch_device.lacks_memory(error, self._model.device):
                        raise RpcError("out_of_memory") from None
                    raise
        return AlignResult(
            language=params.language,
            segments=segments,
            model=self._model.name,
            aligner=params.options.aligner,
            device=str(self._model.device),
            duration=work.duration,
            warnings=work.notices,
            timings=clock.timings({"decode": work.duration, "alignment": work.duration}),
        )


class _Alignment:
    """One request. Times here are seconds of the recording, unless said otherwise."""

    def __init__(
        self,
        job: Job,
        model: alignment_model.AlignmentModel,
        recording: Recording,
        params: EngineAlignParams,
        clock: StageClock,
    ) -> None:
        import torch

        self._job = job
        self._clock = clock
        self._model = model
        self._recording = recording
        self._language = params.language
        self._segments = params.segments
        self._options = params.options
        self._offset = params.source.start
        self._length = recording.wait(_needed(params))
        if params.options.aligner == "whisperx":
            self._spaced = alignment_whisperx.writes_spaces(params.language)
        else:
            self._spaced = params.language not in _WITHOUT_SPACES
        self._words = [split(each.text, self._spaced, model.dictionary) for each in params.segments]
        end = self._offset + self.duration
        self._units, self.notices = place(params.segments, self._offset, end)
        self.checkpoint = Checkpoint(
            params.checkpoint, "alignment", fingerprint(model.path, torch), self.notices.append
        )
        if not self._units:
            message = "There is no text to align."
            self.notices.append(Notice(kind="transcript_empty", message=message))

    @property
    def duration(self) -> float:
        """Seconds of audio that are looked at."""
        return self._length / audio.SAMPLE_RATE

    def run(self) -> list[AlignedSegment]:
        """Align everything; return the segments in their order."""
        done: dict[int, AlignedSegment] = {}
        failed: list[int] = []
        seconds = 0.0
        for number, aligned in self._remember():
            unit = self._units[number]
            self._complete(unit)
            if not aligned:
                failed += [self._id(index) for index in unit.indices]
            found = {index: self._aligned(index, unit) for index in unit.indices}
            done |= found
            self._job.partial(PartialAlignment(segments=list(found.values())))
            seconds += unit.end - unit.start
            self._report(seconds)
        self.notices += self.checkpoint.resumed()
        if failed:
            self.notices.append(_not_aligned(failed))
        for index, segment in enumerate(self._segments):
            if index not in done:  # without text
                start = self._offset if segment.start is None else segment.start
                end = start if segment.end is None else segment.end
                done[index] = self._segment(index, max(0.0, start), max(0.0, start, end), [])
        return [done[index] for index in range(len(self._segments))]

    def _remember(self) -> Iterator[tuple[int, bool]]:
        """As `_align`, for all units: those that the checkpoint holds come from there."""
        keys: dict[int, str] = {}
        for number, unit in enumerate(self._units):
            if not self.checkpoint:
                continue
            first, stop = self._samples_of(unit)
            texts = [self._segments[index].text for index in unit.indices]
            samples = self._recording.read(first, stop).view("u1").data
            key = self.checkpoint.key(samples, first, texts, self._language, self._options)
            kept: _Kept | None = self.checkpoint.get(key, _Kept)
            if kept is None:
                keys[number] = key
                continue
            for word, known in zip(self._words_of(unit), kept.words, strict=True):
                word.__dict__.update(known.__dict__)
            yield number, kept.aligned
        missing = list(keys) if self.checkpoint else list(range(len(self._units)))
        for number, aligned in self._align(missing):
            if key := keys.get(number, ""):
                self.checkpoint.put(key, _Kept(self._words_of(self._units[number]), aligned))
            yield number, aligned

    def _align(self, numbers: Sequence[int]) -> Iterator[tuple[int, bool]]:
        """Set the words' times in some units; yield each that is done, and how it went."""
        if self._options.aligner == "whisperx":
            yield from self._align_by_whisperx(numbers)
            return
        stretches = [
            Stretch(*self._samples_of(unit), self._words_of(unit), self._spaced)
            for unit in (self._units[number] for number in numbers)
        ]
        for place_, aligned in alignment_batched.align(
            self._model,
            self._recording,
            self._length,
            stretches,
            self._options.batch_size,
            self._give_way,
            self.notices.append,
        ):
            yield numbers[place_], aligned

    def _align_by_whisperx(self, numbers: Iterable[int]) -> Iterator[tuple[int, bool]]:
        samples = self._recording.whole()
        for number in numbers:
            unit = self._units[number]
            aligned = True
            # It knows segments with times alone: those without share theirs by their length.
            total = sum(len(self._segments[index].text) for index in unit.indices)
            start = unit.start
            for index in unit.indices:
                self._give_way()
                text = self._segments[index].text
                end = start + (unit.end - unit.start) * len(text) / total
                aligned &= alignment_whisperx.align(
                    self._model,
                    self._language,
                    samples,
                    text,
                    self._words[index],
                    start - self._offset,
                    end - self._offset,
                    self._options.interpolation,
                )
                start = end
            yield number, aligned

    def _give_way(self) -> None:
        """Let others have the model, if they wait for it."""
        self._clock.waited("alignment", "queue", self._job.give_way(), busy=True)

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

    def _samples_of(self, unit: Unit) -> tuple[int, int]:
        """Where its words are looked for."""
        return self._sample(unit.start - _MARGIN), self._sample(unit.end + _MARGIN)

    def _sample(self, time: float) -> int:
        return min(self._length, max(0, round((time - self._offset) * audio.SAMPLE_RATE)))

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


def _needed(params: EngineAlignParams) -> int | None:
    """How many samples must be there; None: all. A segment's neighbourhood is looked at, too."""
    ends = [segment.end for segment in params.segments]
    if not params.source.raw or None in ends:
        return None
    last = max((end for end in ends if end is not None), default=0.0)
    seconds = max(0.0, last - params.source.start)
    return round(seconds * audio.SAMPLE_RATE) + alignment_batched.LONGEST


def _not_aligned(ids: Sequence[int]) -> Notice:
    which = ", ".join(map(str, ids[:10])) + (" …" if len(ids) > 10 else "")
    return Notice(
        kind="not_aligned",
        message=f"Segments that could not be aligned have estimated times: {which}.",
    )
