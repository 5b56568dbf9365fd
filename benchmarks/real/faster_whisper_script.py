"""Serves the faster-whisper package. Arguments: model, compute type, threads, options as JSON.

With `batch_size` among the options its batched pipeline takes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.real.serving import Segment, Transcribe, serve


def load() -> Transcribe:
    """Load the model."""
    path, compute_type, threads, options = sys.argv[1:]
    given = json.loads(options)
    model = WhisperModel(path, device="cpu", compute_type=compute_type, cpu_threads=int(threads))
    recogniser = BatchedInferencePipeline(model) if "batch_size" in given else model

    def transcribe(audio: str, first: Callable[[], None]) -> tuple[str | None, list[Segment]]:
        segments, info = recogniser.transcribe(audio, **given)
        found: list[Segment] = []
        for segment in segments:
            if not found:
                first()
            found.append((segment.start, segment.end, segment.text))
        return info.language, found

    return transcribe


serve(load)
