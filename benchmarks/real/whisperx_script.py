"""Serves the whisperx package's recognition. Arguments: model, compute type, threads, batch size.

Its `load_audio` starts ffmpeg, which may not be installed: PyAV decodes instead. It shows nothing
before all is done.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable

from benchmarks.real.serving import Segment, Transcribe, serve


def load() -> Transcribe:
    """Load the model, and pyannote's speech detection model, which the package contains."""
    warnings.filterwarnings("ignore")
    import torch
    import whisperx

    from worker.audio import decode

    logging.disable(logging.WARNING)
    path, compute_type, threads, batch = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = whisperx.load_model(path, "cpu", compute_type=compute_type, threads=int(threads))

    def transcribe(audio: str, first: Callable[[], None]) -> tuple[str | None, list[Segment]]:
        found = model.transcribe(decode(audio), batch_size=int(batch))
        segments = [(each["start"], each["end"], each["text"]) for each in found["segments"]]
        return found["language"], segments

    return transcribe


serve(load)
