"""The diarization stage: runs beside recognition and alignment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET

from protocol.diarization import (
    DiarizationOptions,
    DiarizeResult,
    NamingOptions,
    SpeakerOptions,
)
from worker.engines.contract import EngineDiarizeParams
from worker.managers.resolve import diarization_model
from worker.pipeline import voices
from worker.pipeline.stage import EngineStage, Shared
from worker.system.paths import from_wire


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
        known = voices.known(self.options)
        with self.lease(diarization_model(self.options, params.download)) as lease:
            self.preload(lease)
            request = EngineDiarizeParams(
                source=self.shared.tracks.wait("diarization")[0].source,
                options=engine_options(self.options),
                checkpoint=params.checkpoint,
            )
            found = self.call(lease, "diarize", request, DiarizeResult)
        finish(found, self.options, known)
        self.result = found
        self.shared.note(found.warnings)
        self.shared.progress.finish("diarization")


def engine_options(options: NamingOptions) -> DiarizationOptions:
    """What the engine needs: voices are compared here, by the embeddings that it returns."""
    names = DiarizationOptions.__struct_fields__
    own = DiarizationOptions(**{name: getattr(options, name) for name in names})
    own.embeddings = options.embeddings or names_speakers(options)
    return own


def names_speakers(options: NamingOptions) -> bool:
    """Whether voices are to be compared."""
    return bool(options.voices or options.voice_folder)


def finish(found: DiarizeResult, options: NamingOptions, known: Sequence[voices.Voice]) -> None:
    """Name the speakers in the engine's result, and drop what only that needed."""
    if options.voice_folder:
        folder = Path(from_wire(options.voice_folder)).absolute()
        voices.name_with_folder(found, known, options.voice_threshold, folder)
    elif known:
        voices.name_speakers(found, known, options.voice_threshold)
    if not options.embeddings:
        found.embeddings = found.embedding_model = UNSET
