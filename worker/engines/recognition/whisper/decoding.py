"""Decodes windows in batches: audio to tokens, and tokens to words with times.

Each window is decoded by beam search, with Whisper's thresholds applied to it alone; one that
misses them is decoded again: with a wider context, then at the next temperatures. What a window may
cost is bounded: by the tokens that its seconds of speech can hold, and by a few times as many for
all attempts, since a decoder that loops goes on until it is stopped. The attempts depend on the
window, the request and the windows of its batch, which are always the same (see
`worker.engines.recognition.repeatable`).

Whisper hears 30 s at once; its encoder needs a fifth of the time for half of that, and mostly hears
as well. So short windows get a short context first, of no less than 15 s. Where Whisper is unsure
then, it may have stopped before the end: such a window gets the context that Whisper was trained
with, too, and the more probable outcome counts. Windows of a batch have the same language and
context.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.audio import SAMPLE_RATE
from worker.engines.recognition.attempts import (
    Attempt,
    generate,
    room_for_tokens,
    try_temperatures,
)
from worker.engines.recognition.whisper.windows import Stretch, Window
from worker.engines.recognition.whisper.word_times import TimedWord, time_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from protocol.transcription import TranscribeParams
    from worker.audio import Samples
    from worker.engines.recognition.whisper.word_times import Silence

_CONTEXTS: Final = (1500, 2000, 2500, 3000)
"""Frames that the encoder may see."""
_STEPS_PER_SECOND: Final = 50  # of the encoder's output
_LEAD: Final = 100  # frames of silence after the speech; without any, the decoder stops early

_DOUBTFUL: Final = -0.35
"""Mean log probability of tokens below which the outcome of a short context is not trusted."""

_TOKENS_PER_SECOND: Final = 24
"""CTranslate2 writes half as many: more than anybody says, in a language whose characters take
several tokens each, too."""
_MORE_TOKENS: Final = 24
_ATTEMPTS: Final = 3
"""All attempts at a window together may take as many times the tokens that it can hold."""


class Decoded(NamedTuple):
    """What is said in a window. Times count from the start of the piece of the recording."""

    window: Window
    attempt: Attempt
    words: list[TimedWord]
    loops: Sequence[TimedWord] = ()
    """Words that were dropped, because they repeat those before them."""
    unspoken: Sequence[TimedWord] = ()
    """Words that were dropped, because nobody speaks there."""

    def fails(self, options: Any) -> bool:
        """Whether no attempt passed the thresholds."""
        return self.attempt.misses(options)


class Decoder:
    """Decodes the windows of a piece, with the options of a request."""

    def __init__(self, model: Any, request: TranscribeParams, samples: Samples) -> None:
        self._model = model
        self._request = request
        self._samples = samples
        self._duration = len(samples) / SAMPLE_RATE
        self._tokenizers: dict[str, Any] = {}

    def languages(self, speech: tuple[Stretch, ...], window: Window) -> dict[str, float]:
        """How probable each language is, by what is heard in a part of a window's speech."""
        features = self._features([window])
        if speech == window.speech:
            encoded = self._model.encode(features)
        else:
            part = Window(speech)
            first, stop = (
                int((time - window.start) * _STEPS_PER_SECOND)
                for time in (part.start, self._end(part))
            )
            encoded = self._model.model.encode_span(features, first, stop)
        [heard] = self._model.model.detect_language(encoded)
        return {token[2:-2]: probability for token, probability in heard}

    def together(self, windows: Sequence[Window], wide: bool = False) -> list[list[Window]]:
        """The windows, grouped into batches that `decode` takes; `wide` as there."""
        batches: dict[tuple[str | None, int], list[Window]] = {}
        for window in windows:
            context = _CONTEXTS[-1] if wide else self._context(window)
            batches.setdefault((window.language, context), []).append(window)
        return list(batches.values())

    def is_doubtful(self, decoded: Decoded) -> bool:
        """Whether a wider context may lead to more, or other words."""
        unsure = decoded.attempt.avg_logprob < _DOUBTFUL or decoded.fails(self._request)
        return unsure and self._context(decoded.window) < _CONTEXTS[-1]

    def decode(
        self,
        windows: Sequence[Window],
        silences: Sequence[list[Silence]],
        prompt: Sequence[int] = (),
        prefix: str | None = None,
        wide: bool = False,
    ) -> list[Decoded]:
        """Decode windows of one language and context; `wide` gives them all that there is.

        `silences` are those in each window, `prompt` has the tokens of what was said before them,
        `prefix` is the text that they begin with.
        """
        language = windows[0].language
        assert language
        tokenizer = self._tokenizer(language)
        features = self._features(windows, _CONTEXTS[-1] if wide else None)
        encoded = self._model.encode(features)
        start = self._model.get_prompt(
            tokenizer,
            list(prompt),
            without_timestamps=self._request.without_timestamps is not False,
            prefix=prefix,
            hotwords=self._request.hotwords,
        )
        attempts = self._attempts(windows, features, encoded, tokenizer, start)
        frames = [int((self._end(window) - window.start) * 100) for window in windows]
        texts = [[t for t in attempt.tokens if t < tokenizer.eot] for attempt in attempts]
        timed = time_words(
            self._model,
            encoded,
            tokenizer,
            texts,
            frames,
            silences,
            prepended=self._request.prepend_punctuations,
            appended=self._request.append_punctuations,
        )
        return [
            Decoded(window, attempt, [_later(word, window.start) for word in words])
            for window, attempt, words in zip(windows, attempts, timed, strict=True)
        ]

    def text_tokens(self, language: str, text: str) -> list[int]:
        """The tokens of a prompt."""
        tokens: list[int] = self._tokenizer(language).encode(f" {text.strip()}")
        return tokens

    def _attempts(
        self,
        windows: Sequence[Window],
        features: npt.NDArray[np.float32],
        encoded: Any,
        tokenizer: Any,
        prompt: list[int],
    ) -> list[Attempt]:
        """The best attempt at each window."""
        request = self._request
        wanted = request.max_new_tokens
        if wanted is not None:  # CTranslate2 writes no more than half of the maximum length
            wanted = max(wanted, 2 * wanted - len(prompt))
        room = room_for_tokens(self._model, len(prompt), wanted)
        limits = [min(room, _speakable(window)) for window in windows]

        def generate_rows(encoded: Any, rows: list[int], temperature: float) -> list[Attempt]:
            return generate(
                self._model,
                encoded,
                [prompt] * len(rows),
                temperature,
                tokenizer,
                request,
                most_tokens=max(limits[row] for row in rows),
                suppress_tokens=self._suppressed(tokenizer),
                max_initial_timestamp=request.max_initial_timestamp,
            )

        def affordable(row: int, attempts: list[Attempt]) -> bool:
            spent = sum(attempt.steps for attempt in attempts)
            return spent < (_ATTEMPTS - 1) * limits[row]

        given = request.temperature
        temperatures = given if isinstance(given, list) else [given]
        if features.shape[-1] < _CONTEXTS[-1]:  # a wider context is better than another temperature
            temperatures = temperatures[:1]
        return try_temperatures(
            temperatures,
            encoded,
            len(windows),
            lambda rows: self._model.encode(features[rows]),
            generate_rows,
            request,
            affordable,
        )

    def _suppressed(self, tokenizer: Any) -> list[int]:
        from faster_whisper.transcribe import get_suppressed_tokens

        wanted = self._request.suppress_tokens
        tokens: list[int] = get_suppressed_tokens(tokenizer, wanted) if wanted else []
        return tokens

    def _features(
        self, windows: Sequence[Window], context: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Features (windows, mels, frames), with as many frames as the longest window needs."""
        import numpy as np
        from faster_whisper.audio import pad_or_trim

        context = context or max(map(self._context, windows))
        found = []
        for window in windows:
            first, stop = (round(t * SAMPLE_RATE) for t in (window.start, self._end(window)))
            features = self._model.feature_extractor(self._samples[first:stop])
            found.append(pad_or_trim(features)[:, :context])
        return np.ascontiguousarray(np.stack(found), np.float32)

    def _context(self, window: Window) -> int:
        """Frames that the encoder has to see."""
        needed = (self._end(window) - window.start) * 100 + _LEAD
        return next((each for each in _CONTEXTS if each >= needed), _CONTEXTS[-1])

    def _end(self, window: Window) -> float:
        return min(window.end, self._duration)

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer,
                self._model.model.is_multilingual,
                task=self._request.task,
                language=language,
            )
        return self._tokenizers[language]


def _later(word: TimedWord, seconds: float) -> TimedWord:
    return word._replace(start=word.start + seconds, end=word.end + seconds)


def _speakable(window: Window) -> int:
    """How many tokens the speech of a window can hold."""
    return math.ceil(window.seconds * _TOKENS_PER_SECOND) + _MORE_TOKENS
