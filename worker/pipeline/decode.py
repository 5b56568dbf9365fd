"""The decode stage: the audio engine writes the recording's samples to files, once for all
engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from worker.engines.contract import DecodeParams, DecodeResult, Source, raw_path
from worker.managers.model import AUDIO
from worker.pipeline.stage import EngineStage, Shared
from worker.pipeline.tracks import Track, tracks_of_channels

if TYPE_CHECKING:
    from protocol.progress import ProgressReport
    from worker.session.job import Json


class Decode(EngineStage):
    """Publishes the tracks: a mix before it decodes, channels afterwards."""

    name = "decode"

    def __init__(self, shared: Shared, directory: Path) -> None:
        super().__init__(shared)
        self._directory = str(directory)

    def run(self) -> None:
        """Decode."""
        params, tracks = self.shared.params, self.shared.tracks
        request = DecodeParams(
            source=Source.of(params),
            split=bool(params.channel_speakers),
            directory=self._directory,
        )

        def decode() -> Json:
            lease.load(self.caller)
            if not params.channel_speakers:
                tracks.publish([Track(self._source(raw_path(self._directory, 0)))])
            with self.shared.clock.stage("decode"):
                return lease.perform(self.caller, "decode", request)

        with self.lease(AUDIO) as lease:
            reply = lease.run(self.caller, decode)
        decoded = msgspec.json.decode(b"".join(reply), type=DecodeResult)
        tracks.duration = decoded.duration
        self.shared.note(decoded.warnings)
        if wanted := params.channel_speakers:
            sources = [self._source(path) for path in decoded.paths]
            names = wanted if isinstance(wanted, list) else None
            channels, notices = tracks_of_channels(sources, decoded, names)
            self.shared.note(notices)
            tracks.publish(channels)
        self.shared.progress.finish("decode")

    def on_report(self, report: ProgressReport) -> None:
        """Also take the duration that the container names."""
        tracks = self.shared.tracks
        tracks.duration = report.audio_total or tracks.duration
        super().on_report(report)

    def _source(self, path: Path | str) -> Source:
        return Source(path=str(path), raw=True, start=self.shared.params.start)
