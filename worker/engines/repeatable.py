"""A CTranslate2 Whisper model that answers the same question with the same words, always.

Whisper decodes a window that misses a threshold again at higher temperatures, at which tokens are
drawn at random. CTranslate2 seeds its generator once per thread, so that what is drawn depends on
all that the process has drawn before: the same request gives other words in another order, in
another process, after a crash.

Nothing is drawn here. At a temperature above 0 each next token is the most probable one that
repeats nothing, and the penalty for tokens that came before grows with the temperature. Windows
that miss a threshold are mostly loops, and a search that may not repeat itself leaves the loop; on
noise it soon finds nothing but improbable words, which the thresholds then take for silence. On
`benchmarks/real`'s recordings it makes fewer errors than drawing does, and costs less. A longer
sequence or a beam search do worse: both count on through noise ("5.0-12, 5.0-13") with confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_NGRAM: Final = 3
"""A sequence of so many tokens may not come twice."""
_PENALTY: Final = 0.5
"""A temperature of 1 makes tokens that came before less likely by a factor of 1 + this."""


class RepeatableModel:
    """Stands in for a `ctranslate2.models.Whisper`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, features: Any, prompts: Sequence[Sequence[int]], **options: Any) -> Any:
        """As the model's, with one search in place of `num_hypotheses` random samples."""
        if temperature := options.pop("sampling_temperature", 0):
            del options["sampling_topk"], options["num_hypotheses"]
            options["repetition_penalty"] *= 1 + _PENALTY * temperature
            ngram = options["no_repeat_ngram_size"] or _NGRAM
            options["no_repeat_ngram_size"] = min(ngram, _NGRAM)
        return self._model.generate(features, prompts, **options)
