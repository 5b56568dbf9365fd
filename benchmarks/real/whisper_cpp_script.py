"""Serves whisper.cpp, built by the pywhispercpp package. Arguments: model, threads, and perhaps the
model of its speech detection; runs in `.venv-benchmark`.

Beams of 5, as with the others; PyAV decodes, so that no ffmpeg is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import _pywhispercpp as native
from pywhispercpp.model import Model

from benchmarks.real.serving import Segment, Transcribe, serve
from worker.audio import decode


def load() -> Transcribe:
    """Load the model."""
    path, threads, *detection = sys.argv[1:]
    options: dict[str, Any] = {"print_progress": False, "print_realtime": False}
    if detection:
        options |= {"vad": True, "vad_model_path": detection[0]}
    model = Model(
        path,
        params_sampling_strategy=1,
        beam_search={"beam_size": 5, "patience": -1.0},
        n_threads=int(threads),
        language="",  # detect it
        **options,
    )

    def transcribe(audio: str, first: Callable[[], None]) -> tuple[str | None, list[Segment]]:
        seen: list[object] = []

        def see(segment: object) -> None:
            if not seen:
                first()
            seen.append(segment)

        found = model.transcribe(decode(audio), new_segment_callback=see)
        language = native.whisper_lang_str(native.whisper_full_lang_id(model._ctx))
        return language, [(each.t0 / 100, each.t1 / 100, each.text) for each in found]

    return transcribe


serve(load)
