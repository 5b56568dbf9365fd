"""A CTranslate2 Whisper model that answers the same question with the same words, always.

Whisper decodes a window that misses a threshold again at higher temperatures, at which tokens are
drawn at random. CTranslate2 has a generator of random numbers for each thread of a model, which it
seeds when the thread draws first and never again: what is drawn depends on all that was drawn
before, and the same request gives other words in another order, in another process, after a crash.

Only a new thread has a new generator, and only a new model has a new thread. So the model is loaded
again before each attempt that draws. That costs some tenths of a second for a small model, where
the attempt costs seconds: five samples of a window in which the decoder mostly loops. What is drawn
stays distributed as in faster-whisper, and each attempt is a function of its arguments alone, so
that one taken from a checkpoint changes none of those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ctranslate2
from faster_whisper import WhisperModel


def make_repeatable(
    path: str,
    *,
    device: str,
    device_index: int,
    compute_type: str,
    cpu_threads: int,
    local_files_only: bool,
) -> WhisperModel:
    """Load faster-whisper's model from a directory, with a `RepeatableModel` in it."""
    placed = {"device": device, "device_index": device_index, "compute_type": compute_type}
    model = WhisperModel(path, **placed, cpu_threads=cpu_threads, local_files_only=local_files_only)
    again = partial(ctranslate2.models.Whisper, path, **placed, intra_threads=cpu_threads)
    model.model = RepeatableModel(model.model, again)
    return model


class RepeatableModel:
    """Stands in for a `ctranslate2.models.Whisper`, which `load` gives again."""

    def __init__(self, model: Any, load: Callable[[], Any]) -> None:
        self._model = model
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded(), name)

    def generate(self, features: Any, prompts: Sequence[Sequence[int]], **options: Any) -> Any:
        """As the model's, as if it had never drawn a token before."""
        if options.get("sampling_temperature"):
            self._model = None  # before the next is loaded: both would take twice the memory
            ctranslate2.set_random_seed(0)
        return self._loaded().generate(features, prompts, **options)

    def _loaded(self) -> Any:
        """The model, which is not there when loading it again has failed."""
        if self._model is None:
            self._model = self._load()
        return self._model
