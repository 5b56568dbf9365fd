"""The diarization stage: runs beside recognition and alignment."""

from __future__ import annotations

from protocol.diarization import DiarizationOptions, DiarizeResult, SpeakerOptions
from worker.engines.contract import EngineDiarizeParams
from worker.managers.resolve import diarization_model
from worker.pipeline.stage import EngineStage, Shared


class Diarization(EngineStage):
    """Finds the speakers' turns."""

    name = "diarization"
    option = "diarize"

    def __init__(self, shared: Shared, options: SpeakerOptions) -> None:
        super().__init__(shared)
        self.options = options
        self.result: DiarizeResult | None = None
        """None until the stage has succeeded."""

    def run(self) -> None:
        """Diarize the recording."""
        params = self.shared.params
        with self.lease(diarization_model(self.options, params.download)) as lease:
            self.preload(lease)
            request = EngineDiarizeParams(
                source=self.shared.tracks.wait("diarization")[0].source,
                options=engine_options(self.options),
                checkpoint=params.checkpoint,
            )
            self.result = self.call(lease, "diarize", request, DiarizeResult)
        self.shared.note(self.result.warnings)
        self.shared.progress.finish("diarization")


def engine_options(options: SpeakerOptions) -> DiarizationOptions:
    """Leave out what only the assignment of speakers uses."""
    names = DiarizationOptions.__struct_fields__
    return DiarizationOptions(**{name: getattr(options, name) for name in names})
