"""The recognition stage: recognises one track after another, and sends segments as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from protocol.transcription import PartialTranscript
from worker.engines.contract import EngineTranscribeParams
from worker.managers.callers import CallbackCaller
from worker.managers.resolve import recognition_model
from worker.pipeline.stage import EngineStage, Shared
from worker.pipeline.tracks import Recognised, Track

if TYPE_CHECKING:
    from protocol.progress import ProgressReport
    from protocol.transcription import TranscribeParams
    from worker.pipeline.alignment import Alignment


class Recognition(EngineStage):
    """Puts segments into the draft, and passes them to `alignment`, if any."""

    name = "recognition"

    def __init__(self, shared: Shared, alignment: Alignment | None) -> None:
        super().__init__(shared)
        self.caller = CallbackCaller(self.on_report, self._take_segments)
        self._alignment = alignment
        self._track: Track
        """The track at work."""

    def run(self) -> None:
        """Recognise every track."""
        params = self.shared.params
        try:
            with self.lease(recognition_model(params, params.engine, params.download)) as lease:
                self.preload(lease)
                for track in self.shared.tracks.wait("recognition"):
                    self._track = track
                    request = self._request(track)
                    track.recognised = self.call(lease, "transcribe", request, Recognised)
            self.shared.progress.finish("recognition")
        finally:
            if self._alignment:
                self._alignment.end_of_segments()

    def on_report(self, report: ProgressReport) -> None:
        """Convert the percentage of one track to that of all tracks."""
        tracks = self.shared.tracks
        if report.stage == self.name and report.percentage is not None:
            done = tracks.index(self._track) + report.percentage / 100
            report.percentage = 100 * done / len(tracks)
        super().on_report(report)

    def _take_segments(self, value: bytes) -> None:
        found = msgspec.json.decode(value, type=PartialTranscript)
        self.shared.draft.add(found.language, found.segments)
        if self._alignment:
            self._alignment.add(self._track, found)

    def _request(self, track: Track) -> EngineTranscribeParams:
        # The client's own bytes: the engine decodes them, so that nothing is encoded again.
        raw = self.shared.job.params
        if changes := self._changes():
            members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            raw = msgspec.json.encode({**members, **changes})
        return EngineTranscribeParams(
            request=cast("TranscribeParams", msgspec.Raw(raw)),
            given=sorted(self.shared.job.given),
            source=track.source,
            first_id=len(self.shared.draft),
            speaker=track.speaker,
        )

    def _changes(self) -> dict[str, bool]:
        """What the job needs, and the client left to default."""
        params, given = self.shared.params, self.shared.job.given
        changes: dict[str, bool] = {}
        if len(self.shared.tracks) > 1 and params.vad_filter is None:
            # One side of a call is silent for long, and Whisper invents words in silence.
            changes["vadFilter"] = True
        translates = params.task == "translate"  # the words of a translation are not in the audio
        if params.diarize and not (params.align or translates or "wordTimestamps" in given):
            changes["wordTimestamps"] = True  # speakers change between words, not segments
        return changes
