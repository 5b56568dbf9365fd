"""The alignment stage: follows recognition, some segments behind it.

Each segment is aligned by the model of its own language. Where one language cannot be aligned, its
segments keep the decoder's times, and the others are aligned.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from protocol.alignment import AlignmentOptions, AlignResult, SegmentText
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import PartialTranscript, Segment
from worker.engines.contract import EngineAlignParams
from worker.managers.resolve import alignment_model
from worker.pipeline.stage import EngineStage, Shared, is_refusal, stage_failed

if TYPE_CHECKING:
    from worker.managers.lease import Lease
    from worker.pipeline.tracks import Track

_SEGMENTS_PER_CALL: Final = 64
"""How many segments a call to the engine takes, when alignment has fallen behind that far."""


class Alignment(EngineStage):
    """Adds words to the draft's segments. Recognition feeds it by `add` and `end_of_segments`."""

    name = "alignment"
    option = "align"

    def __init__(self, shared: Shared, options: AlignmentOptions) -> None:
        super().__init__(shared)
        self._options = options
        self._queue: queue.SimpleQueue[tuple[Track, PartialTranscript] | None]
        self._queue = queue.SimpleQueue()
        self._failed: set[str] = set()
        """Languages that cannot be aligned."""

    def add(self, track: Track, found: PartialTranscript) -> None:
        """Queue segments that were just recognised."""
        self._queue.put((track, found))

    def end_of_segments(self) -> None:
        """Let the stage end after the segments that are queued."""
        self._queue.put(None)

    def run(self) -> None:
        """Align until `end_of_segments`, with one model per language."""
        params = self.shared.params
        with ExitStack() as leases:

            @cache
            def lease_for(language: str) -> Lease:
                model = alignment_model(self._options, language, params.download)
                return leases.enter_context(self.lease(model))

            if params.language:
                language = params.language.lower()
                self._attempt(language, lambda: self.preload(lease_for(language)))
            for track, language, segments in self._batches():
                request = EngineAlignParams(
                    source=track.source,
                    segments=[
                        SegmentText(id=each.id, text=each.text, start=each.start, end=each.end)
                        for each in segments
                    ],
                    language=language,
                    options=self._options,
                    checkpoint=params.checkpoint,
                )
                self._attempt(language, partial(self._align, lease_for, request))
                self._report(track, segments[-1].end)
        self.shared.progress.finish("alignment")

    def _align(self, lease_for: Callable[[str], Lease], request: EngineAlignParams) -> None:
        aligned = self.call(lease_for(request.language), "align", request, AlignResult)
        self.shared.draft.align(aligned.segments)
        self.shared.note(aligned.warnings)

    def _attempt(self, language: str, work: Callable[[], None]) -> None:
        """Do what a language needs, unless that has failed before; warn if it fails."""
        if language in self._failed:
            return
        try:
            work()
        except RpcError as error:
            if is_refusal(error, self.shared.params):
                raise
            self._failed.add(language)
            message = f"Segments in {language} keep the decoder's times. {error.message}"
            self.shared.note([stage_failed(self.option, error, message)])

    def on_report(self, report: ProgressReport) -> None:
        """Pass on only reports of loading: the engine sees just a few segments at a time."""
        if report.stage == "load":
            super().on_report(report)

    def _report(self, track: Track, reached: float) -> None:
        """Report progress by the end of the last segment, in seconds of the recording."""
        tracks = self.shared.tracks
        if tracks.duration:
            share = min(1.0, (reached - self.shared.params.start) / tracks.duration)
            percentage = 100 * (tracks.index(track) + share) / len(tracks)
            super().on_report(ProgressReport(stage="alignment", percentage=percentage))

    def _batches(self) -> Iterable[tuple[Track, str, list[Segment]]]:
        """Yield the segments that are queued together, of one track and language each time."""
        following: tuple[Track, PartialTranscript] | None = None
        while True:
            with self.shared.clock.waiting("alignment", "recognition"):
                first = following or self._queue.get()
            following = None
            if first is None:
                return
            track, found = first
            segments = list(found.segments)
            while len(segments) < _SEGMENTS_PER_CALL:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._queue.put(None)
                    break
                if following[0] is not track or following[1].language != found.language:
                    break
                segments += following[1].segments
                following = None
            yield track, found.language, segments
