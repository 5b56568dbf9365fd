"""Whisper for short, growing stretches of audio.

Whisper's encoder pads all audio to 30 s, which takes 600 ms on one core for the smallest useful
model. It hears as well with less: 8 s take a tenth. With less than that, or without a second of
silence after the speech, the decoder repeats itself. Decoding is greedy; what it may cost is
bounded by the tokens that the audio can hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from protocol.transcription import TranscribeParams
from worker.audio import SAMPLE_RATE
from worker.engines.recognition.attempts import Attempt, generate
from worker.engines.recognition.live.plausible import plausible
from worker.engines.recognition.whisper.word_times import TimedWord, time_words

if TYPE_CHECKING:
    from worker.audio import Samples
    from worker.engines.recognition.whisper.word_times import Silence

_CONTEXTS: Final = (800, 1000, 1200, 1500, 2000, 2500, 3000)
"""Frames of 10 ms that the encoder may see."""
_LEAD: Final = 100
"""Frames of silence after the audio."""

_TOKENS_PER_SECOND: Final = 9
_MORE_TOKENS: Final = 12
_MOST_TOKENS_PER_SECOND: Final = 24
"""In languages whose characters take several tokens each."""

_PROMPT: Final = 60
"""Tokens of text before the audio; more cost more than they help."""


_WITHOUT_SPACES: Final = frozenset(("zh", "ja", "th", "lo", "my", "yue"))
"""Languages whose words are not apart; in others the first word may lack its space."""

_DOUBTFUL: Final = -0.7
"""Mean log probability of tokens below which it is tried again without a prompt."""


class Listener(Protocol):
    """Whisper, or what stands in for it."""

    def languages(self, samples: Samples) -> Mapping[str, float]:
        """How probable each language is."""

    def decode(
        self, samples: Samples, language: str, prompt: str, silences: Sequence[Silence]
    ) -> Sequence[TimedWord]:
        """The words; all times are seconds from the first sample.

        `prompt` is what was said before, and `silences` are where nobody speaks.
        """


class WhisperListener:
    """Asks faster-whisper's `WhisperModel` with a memory (`load_encoding_singly`).

    The encoder sees at least `least` frames of 10 ms.
    """

    def __init__(self, model: Any, least: int = _CONTEXTS[0]) -> None:
        self._model = model
        self._least = least
        self._options = TranscribeParams(audio="", beam_size=1)
        self._tokenizers: dict[str, Any] = {}
        self._per_second = _TOKENS_PER_SECOND

    def languages(self, samples: Samples) -> Mapping[str, float]:
        if not self._model.model.is_multilingual:
            return {"en": 1.0}
        [heard] = self._model.model.detect_language(self._encode(samples))
        return {token[2:-2]: probability for token, probability in heard}

    def decode(
        self, samples: Samples, language: str, prompt: str, silences: Sequence[Silence]
    ) -> Sequence[TimedWord]:
        tokenizer = self._tokenizer(language)
        encoded = self._encode(samples)
        attempt = self._generate(encoded, tokenizer, prompt, len(samples) / SAMPLE_RATE)
        if attempt.is_silence(self._options):
            return []
        [words] = time_words(
            self._model,
            encoded,
            tokenizer,
            [[token for token in attempt.tokens if token < tokenizer.eot]],
            [_frames(samples)],
            [silences],
            in_pieces=False,
        )
        first = words[0].word[:1] if words else ""
        if first.isalnum() and language not in _WITHOUT_SPACES:
            words[0] = words[0]._replace(word=f" {words[0].word}")
        return plausible(words, attempt.repeats(self._options))

    def _generate(self, encoded: Any, tokenizer: Any, prompt: str, seconds: float) -> Attempt:
        before = tokenizer.encode(f" {prompt.strip()}")[-_PROMPT:] if prompt.strip() else []
        attempt = self._attempt(encoded, tokenizer, before, seconds)
        if before and attempt.avg_logprob < _DOUBTFUL:
            other = self._attempt(encoded, tokenizer, [], seconds)
            attempt = max(attempt, other, key=lambda each: each.avg_logprob)
        return attempt

    def _attempt(self, encoded: Any, tokenizer: Any, before: list[int], seconds: float) -> Attempt:
        start = self._model.get_prompt(tokenizer, before, without_timestamps=True)
        while True:
            most = math.ceil(seconds * self._per_second) + _MORE_TOKENS
            [attempt] = generate(
                self._model,
                encoded,
                [start],
                0.0,
                tokenizer,
                self._options,
                most_tokens=most,
                suppress_tokens=[-1],
                max_initial_timestamp=1.0,
            )
            if len(attempt.tokens) < most or attempt.repeats(self._options):
                return attempt
            if self._per_second == _MOST_TOKENS_PER_SECOND:
                return attempt
            self._per_second = _MOST_TOKENS_PER_SECOND

    def _encode(self, samples: Samples) -> Any:
        import numpy as np

        needed = max(self._least, _frames(samples) + _LEAD)
        context = next((each for each in _CONTEXTS if each >= needed), _CONTEXTS[-1])
        features = self._model.feature_extractor(samples)[:, :context]
        padded = np.zeros((1, len(features), context), np.float32)
        padded[0, :, : features.shape[1]] = features
        return self._model.encode(padded)

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer,
                self._model.model.is_multilingual,
                task="transcribe",
                language=language,
            )
        return self._tokenizers[language]


def _frames(samples: Samples) -> int:
    return min(len(samples) * 100 // SAMPLE_RATE, _CONTEXTS[-1])
