"""A CTranslate2 Whisper model that encodes each window by itself, and remembers what it encoded.

On a CPU a batch of windows is encoded no faster than one after another, but its attention takes
eight times the memory. And the windows are needed more than once: to detect the language, to
decode, to decode again, to time the words. On a CUDA device a batch is faster, and the encoder's
output stays there; it is neither cut up nor kept.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ctranslate2
import numpy as np

from worker.engines.recognition.repeatable import RepeatableModel, load_repeatable
from worker.engines.recognition.whisper.word_times import alignment_heads

if TYPE_CHECKING:
    import numpy.typing as npt
    from faster_whisper import WhisperModel

_KEPT: Final = 12
"""How many windows' encodings to keep, some 3 MB each for base: a batch and what overlaps it."""

_FRAMES_PER_STEP: Final = 2

_NOT_FLOAT32: Final = ("bfloat16", "int8_bfloat16", "float16", "int8_float16")
"""Compute types whose encodings NumPy cannot hold, or not without a change."""


def load_encoding_singly(path: str, **options: Any) -> WhisperModel:
    """Load faster-whisper's model from a directory, with a `SinglyEncodingModel` in it."""
    model = load_repeatable(_with_precise_heads(path), **options)
    model.model = SinglyEncodingModel(model.model)
    return model


class SinglyEncodingModel:
    """Stands in for a `ctranslate2.models.Whisper`, such as a `RepeatableModel`."""

    def __init__(self, model: RepeatableModel) -> None:
        self._model = model
        self._kept: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        """Encode features (windows, mels, frames) to (windows, frames / 2, width)."""
        if not self._keeps:
            return self._model.encode(features, to_cpu=to_cpu)
        rows = [self._encode(row) for row in np.asarray(features)]
        return _storage(np.concatenate(rows))

    def encode_span(self, features: npt.NDArray[np.float32], first: int, stop: int) -> Any:
        """Steps `first` to `stop` of the encoder's output for one window (1, mels, frames).

        Where outputs are not kept, only these steps are encoded, by themselves.
        """
        if not self._keeps:
            frames = slice(first * _FRAMES_PER_STEP, stop * _FRAMES_PER_STEP)
            return self.encode(_storage(features[:, :, frames]))
        return _storage(self._encode(features[0])[:, first:stop])

    @property
    def _keeps(self) -> bool:
        """Whether encodings are cut up and kept."""
        return self._model.device == "cpu" and self._model.compute_type not in _NOT_FLOAT32

    def _encode(self, row: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        row = np.ascontiguousarray(row)
        key = hashlib.blake2b(row.view(np.uint8).data, digest_size=16).digest()
        kept = self._kept.get(key)
        if kept is None:
            kept = np.array(self._model.encode(_storage(row[None])), np.float32)
            if len(self._kept) >= _KEPT:
                self._kept.popitem(last=False)
        self._kept[key] = kept
        self._kept.move_to_end(key)
        return kept


def _storage(array: npt.NDArray[np.float32]) -> Any:
    """The array as CTranslate2 takes it."""
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def _with_precise_heads(path: str) -> str:
    """The model's directory, or one like it whose heads time words better.

    CTranslate2 reads from config.json by which heads to align. The other directory has links to the
    model's files, and vanishes with the engine's temporary files; where the system allows no links,
    the model keeps its heads.
    """
    directory = Path(path)
    config = json.loads((directory / "config.json").read_text("utf-8"))
    configured = config.get("alignment_heads", [])
    heads = alignment_heads(configured)
    if heads == configured:
        return path
    other = Path(tempfile.mkdtemp(prefix="model"))
    try:
        for file in directory.iterdir():
            (other / file.name).symlink_to(file.resolve())
    except OSError:
        return path
    (other / "config.json").unlink()
    config["alignment_heads"] = heads
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    return str(other)
