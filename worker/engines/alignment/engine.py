"""The alignment engine: finds the times of words with one wav2vec2 model.

It groups the segments by the times given for them (`placement`), splits them into words
(`text`), aligns each group within its stretch of audio (`batched`, or `whisperx` on request), and
interpolates the times of words that could not be aligned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from protocol.alignment import AlignedSegment, AlignResult, PartialAlignment, Word
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.values import Notice
from worker import audio
from worker.engines.alignment import batched as alignment_batched
from worker.engines.alignment import model as alignment_model
from worker.engines.alignment import whisperx as alignment_whisperx
from worker.engines.alignment.batched import Passage
from worker.engines.alignment.placement import SegmentGroup, group_segments
from worker.engines.alignment.text import WordAlignment, fill_times, split
from worker.engines.common import torch_device
from worker.engines.common.checkpoint import Checkpoint, fingerprint
from worker.engines.common.notices import listed
from worker.engines.common.recording import Recording, open_recording
from worker.engines.contract import EngineAlignParams, LoadAlignmentParams, LoadResult
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from worker.session.job import Job

_WITHOUT_SPACES: Final = frozenset({"ja", "zh", "th", "lo", "my", "km", "yue"})

_MARGIN: Final = 0.2
"""Seconds around a segment in which to search for its words: Whisper's times are rough."""


class _Kept(msgspec.Struct):
    """A group in a checkpoint; its times count from the first sample."""

    words: list[WordAlignment]
    aligned: bool


class AlignmentEngine:
    """The methods of the engine's process, which its lane calls one at a time."""

    def __init__(self) -> None:
        self._model: alignment_model.AlignmentModel | None = None

    def load(self, job: Job, params: LoadAlignmentParams) -> LoadResult:
        """Load the model; this process never loads another one."""
        if self._model is not None:
            raise RpcError("invalid_request", "This engine has already loaded its model.")
        self._model = alignment_model.load(params)
        return LoadResult(device=str(self._model.device), compute_type="float32")

    def align(self, job: Job, params: EngineAlignParams) -> AlignResult:
        """Find when each word is said; send segments as they are aligned."""
        if self._model is None:
            raise RpcError("invalid_request", "This engine has not loaded its model.")
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
            warnings = work.notices + recording.notices
        return AlignResult(
            language=params.language,
            segments=segments,
            model=self._model.name,
            aligner=params.options.aligner,
            device=str(self._model.device),
            duration=work.duration,
            warnings=warnings,
            timings=clock.timings({"decode": work.duration, "alignment": work.duration}),
        )


class _Alignment:
    """One request in progress. Times are seconds of the file unless stated otherwise."""

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
        groups, self.notices = group_segments(params.segments, self._offset, end)
        self._groups = [each for each in groups if self._is_own(each.indices[0])]
        self.checkpoint = Checkpoint(
            params.checkpoint, "alignment", fingerprint(model.path, torch), self.notices.append
        )
        if not self._groups:
            message = "The segments contain no text to align."
            self.notices.append(Notice(kind="transcript_empty", message=message))

    @property
    def duration(self) -> float:
        """Seconds of audio that alignment uses."""
        return self._length / audio.SAMPLE_RATE

    def run(self) -> list[AlignedSegment]:
        """Align all groups; return the segments of the language in their order."""
        done: dict[int, AlignedSegment] = {}
        failed: list[int] = []
        seconds = 0.0
        for number, aligned in self._align_or_reuse():
            group = self._groups[number]
            self._complete(group)
            if not aligned:
                failed += [self._id(index) for index in group.indices]
            found = {index: self._aligned(index, group) for index in group.indices}
            done |= found
            self._job.partial(PartialAlignment(segments=list(found.values())))
            seconds += group.end - group.start
            self._report(seconds)
        self.notices += self.checkpoint.notices()
        if failed:
            message = f"Segments that could not be aligned have estimated times: {listed(failed)}."
            self.notices.append(Notice(kind="not_aligned", message=message))
        for index, segment in enumerate(self._segments):
            if index not in done and self._is_own(index):  # it has no text
                start = self._offset if segment.start is None else segment.start
                end = start if segment.end is None else segment.end
                done[index] = self._segment(index, max(0.0, start), max(0.0, start, end), [])
        return [done[index] for index in sorted(done)]

    def _align_or_reuse(self) -> Iterator[tuple[int, bool]]:
        """Do as `_align` for all groups, but reuse the results in the checkpoint."""
        keys: dict[int, str] = {}
        for number, group in enumerate(self._groups):
            if not self.checkpoint:
                continue
            first, stop = self._samples_of(group)
            texts = [self._segments[index].text for index in group.indices]
            samples = self._recording.read(first, stop).view("u1").data
            key = self.checkpoint.key(samples, first, texts, self._language, self._options)
            kept: _Kept | None = self.checkpoint.get(key, _Kept)
            if kept is None:
                keys[number] = key
                continue
            for word, known in zip(self._words_of(group), kept.words, strict=True):
                word.__dict__.update(known.__dict__)
            yield number, kept.aligned
        missing = list(keys) if self.checkpoint else list(range(len(self._groups)))
        for number, aligned in self._align(missing):
            if key := keys.get(number, ""):
                self.checkpoint.put(key, _Kept(self._words_of(self._groups[number]), aligned))
            yield number, aligned

    def _align(self, numbers: Sequence[int]) -> Iterator[tuple[int, bool]]:
        """Set the words' times in some groups; yield each number, and whether that succeeded."""
        if self._options.aligner == "whisperx":
            yield from self._align_by_whisperx(numbers)
            return
        passages = [
            Passage(*self._samples_of(group), self._words_of(group), self._spaced)
            for group in (self._groups[number] for number in numbers)
        ]
        for index, aligned in alignment_batched.align(
            self._model,
            self._recording,
            self._length,
            passages,
            self._options.batch_size,
            self._yield_to_others,
            self.notices.append,
        ):
            yield numbers[index], aligned

    def _align_by_whisperx(self, numbers: Iterable[int]) -> Iterator[tuple[int, bool]]:
        samples = self._recording.whole()
        for number in numbers:
            group = self._groups[number]
            aligned = True
            # whisperx needs times for each segment: split the group's by the length of their text.
            total = sum(len(self._segments[index].text) for index in group.indices)
            start = group.start
            for index in group.indices:
                self._yield_to_others()
                text = self._segments[index].text
                end = start + (group.end - group.start) * len(text) / total
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

    def _yield_to_others(self) -> None:
        """Pause while requests that wait for the model use it."""
        self._clock.waited("alignment", "queue", self._job.yield_to_others(), busy=True)

    def _complete(self, group: SegmentGroup) -> None:
        """Convert the words' times to times of the file, and interpolate those missing."""
        words = self._words_of(group)
        for word in words:
            word.starts = [None if time is None else time + self._offset for time in word.starts]
            word.ends = [None if time is None else time + self._offset for time in word.ends]
            if word.start is not None and word.end is not None:
                word.start, word.end = word.start + self._offset, word.end + self._offset
        fill_times(words, group.start, group.end, self._options.interpolation)

    def _aligned(self, index: int, group: SegmentGroup) -> AlignedSegment:
        words = [word.to_word(self._options.characters) for word in self._words[index]]
        if not words:
            return self._segment(index, group.start, group.start, words)
        return self._segment(index, words[0].start, max(word.end for word in words), words)

    def _segment(self, index: int, start: float, end: float, words: list[Word]) -> AlignedSegment:
        return AlignedSegment(
            id=self._id(index),
            start=round(start, 3),
            end=round(end, 3),
            text=self._segments[index].text.strip(),
            language=self._segments[index].language or UNSET,
            words=words,
        )

    def _is_own(self, index: int) -> bool:
        """Whether a segment has the language to align, rather than one of another request."""
        return self._segments[index].language in (None, self._language)

    def _words_of(self, group: SegmentGroup) -> list[WordAlignment]:
        """The words of a group's segments."""
        words: list[WordAlignment] = []
        for index in group.indices:
            words += self._words[index]
        return words

    def _samples_of(self, group: SegmentGroup) -> tuple[int, int]:
        """First and last sample of the audio in which to search for a group's words."""
        return self._sample(group.start - _MARGIN), self._sample(group.end + _MARGIN)

    def _sample(self, time: float) -> int:
        return min(self._length, max(0, round((time - self._offset) * audio.SAMPLE_RATE)))

    def _id(self, index: int) -> int:
        given = self._segments[index].id
        return index if given is None else given

    def _report(self, done: float) -> None:
        """Report how many seconds of all segments are aligned."""
        total = sum(group.end - group.start for group in self._groups)
        self._job.report(
            ProgressReport(
                stage="alignment",
                percentage=round(100 * done / total, 2) if total else 100.0,
                audio_done=round(done, 3),
                audio_total=round(total, 3),
            )
        )


def _needed(params: EngineAlignParams) -> int | None:
    """How many samples to wait for, with some after the last segment; None: for all."""
    ends = [segment.end for segment in params.segments]
    if not params.source.raw or None in ends:
        return None
    last = max((end for end in ends if end is not None), default=0.0)
    seconds = max(0.0, last - params.source.start)
    return round(seconds * audio.SAMPLE_RATE) + alignment_batched.LONGEST
