"""A CTranslate2 Whisper model that always returns the same words for the same audio.

Whisper decodes a window that misses a threshold again at higher temperatures, sampling tokens at
random. CTranslate2 keeps one random generator per thread of a model and seeds it when the thread
first samples, never again. So each sample depends on all before it, and the same request would
give other words in another order, in another process, after a crash.

Only a new thread gets a new generator, and only a new model starts a new thread. So we reload the
model before each attempt that samples. That takes some tenths of a second for a small model, where
the attempt takes seconds: five samples of a window in which the decoder mostly loops. Samples keep
faster-whisper's distribution, and each attempt depends on its arguments alone: reusing one from a
checkpoint changes none of those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ctranslate2
from faster_whisper import WhisperModel


def load_repeatable(
    path: str,
    *,
    device: str,
    device_index: int,
    compute_type: str,
    cpu_threads: int,
    local_files_only: bool,
) -> WhisperModel:
    """Load faster-whisper's model from a directory, with a `RepeatableModel` in it."""
    where = {"device": device, "device_index": device_index, "compute_type": compute_type}
    model = WhisperModel(path, **where, cpu_threads=cpu_threads, local_files_only=local_files_only)
    reload = partial(ctranslate2.models.Whisper, path, **where, intra_threads=cpu_threads)
    model.model = RepeatableModel(model.model, reload)
    return model


class RepeatableModel:
    """Stands in for a `ctranslate2.models.Whisper`, which `load` loads again."""

    def __init__(self, model: Any, load: Callable[[], Any]) -> None:
        self._model = model
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def generate(self, features: Any, prompts: Sequence[Sequence[int]], **options: Any) -> Any:
        """Generate as a model that has never sampled before."""
        if options.get("sampling_temperature"):
            self._model = None  # free it first: two models would take twice the memory
            ctranslate2.set_random_seed(0)
        return self._loaded().generate(features, prompts, **options)

    def _loaded(self) -> Any:
        """The model; load it if an earlier attempt to do so failed."""
        if self._model is None:
            self._model = self._load()
        return self._model
