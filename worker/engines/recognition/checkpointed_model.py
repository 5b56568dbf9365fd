"""A CTranslate2 model whose results are kept in a checkpoint and reused from it.

Encoding is put off until a result is missing, so that a resumed job does not run the encoder over
what it has done already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import msgspec

from worker.engines.common.checkpoint import Checkpoint


class _Generated(msgspec.Struct):
    """The fields of `ctranslate2.models.WhisperGenerationResult` that callers use."""

    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


class _Aligned(msgspec.Struct):
    """The fields of `ctranslate2.models.WhisperAlignmentResult` that callers use."""

    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


_Languages = list[tuple[str, float]]


class _Encoded:
    """The output of the encoder, encoded when it is first read."""

    def __init__(
        self, features: Any, encode: Callable[[], Any], span: tuple[int, ...] = ()
    ) -> None:
        import numpy as np

        self.content = np.ascontiguousarray(features).view(np.uint8).data
        self.span = span
        """The first step and the one after the last; none means all steps."""
        self._encode = encode

    @cached_property
    def output(self) -> Any:
        return self._encode()


class CheckpointedModel:
    """Stands in for a `ctranslate2.models.Whisper`; its methods return what the model's do."""

    def __init__(self, model: Any, checkpoint: Checkpoint) -> None:
        self.actual = model
        self._checkpoint = checkpoint

    def __getattr__(self, name: str) -> Any:
        return getattr(self.actual, name)

    def encode(self, features: Any, to_cpu: bool = False) -> _Encoded:
        """Defer encoding."""
        return _Encoded(features, partial(self.actual.encode, features, to_cpu=to_cpu))

    def encode_span(self, features: Any, first: int, stop: int) -> _Encoded:
        """Defer encoding a part, as `SinglyEncodingModel` does it."""
        encode = partial(self.actual.encode_span, features, first, stop)
        return _Encoded(features, encode, (first, stop))

    def generate(self, encoded: _Encoded, prompts: Sequence[Sequence[int]], **options: Any) -> Any:
        """Generate, or reuse the result."""
        return self._result(list[_Generated], "generate", encoded, prompts, **options)

    def detect_language(self, encoded: _Encoded) -> Any:
        """Detect the language, or reuse the result."""
        return self._result(list[_Languages], "detect_language", encoded)

    def align(
        self,
        encoded: _Encoded,
        start_sequence: Sequence[int],
        text_tokens: Sequence[Sequence[int]],
        num_frames: int | Sequence[int],
        **options: Any,
    ) -> Any:
        """Align, or reuse the result."""
        return self._result(
            list[_Aligned], "align", encoded, start_sequence, text_tokens, num_frames, **options
        )

    def _result(self, type_: Any, method: str, encoded: _Encoded, *args: Any, **kwargs: Any) -> Any:
        key = self._checkpoint.key(encoded.content, method, (*encoded.span, *args), kwargs)
        result = self._checkpoint.get(key, type_)
        if result is None:
            result = getattr(self.actual, method)(encoded.output, *args, **kwargs)
            kept = msgspec.convert(result, type_, from_attributes=True)
            self._checkpoint.put(key, kept)
        return result
