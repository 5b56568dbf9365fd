"""Batched recognition that keeps the sequential mode's quality.

faster-whisper's `BatchedInferencePipeline` decodes each window once and accepts any outcome. This
one applies the rules of the sequential mode to many windows at a time: it decodes those that miss a
threshold again at higher temperatures (`WhisperModel.generate_with_fallback`) and drops silence
(`generate_segments`; version 1.2.1). If no window misses a threshold at temperature 0, the result
is the package's, bit for bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from faster_whisper.transcribe import BatchedInferencePipeline

from worker.engines.recognition.attempts import (
    Attempt,
    generate,
    room_for_tokens,
    try_temperatures,
)


class BatchedPipeline(BatchedInferencePipeline):  # type: ignore[misc]  # it has no types
    """The package's pipeline with fallback temperatures and `max_initial_timestamp`.

    Each segment has the temperature at which it was decoded; a window that the thresholds call
    silence yields no segments.
    """

    def transcribe(
        self,
        audio: Any,
        *,
        temperature: float | list[float],
        max_initial_timestamp: float,
        **options: Any,
    ) -> Any:
        """Recognise one recording; keep the two options that the package drops on the way."""
        self._temperatures = temperature if isinstance(temperature, list) else [temperature]
        self._max_initial_timestamp = max_initial_timestamp
        self._found: list[Attempt] = []
        self._segment_temperatures: deque[float] = deque()
        return super().transcribe(audio, temperature=temperature, **options)

    def _batched_segments_generator(self, *arguments: Any) -> Iterator[Any]:
        for segment in super()._batched_segments_generator(*arguments):
            segment.temperature = self._segment_temperatures.popleft()
            yield segment

    def forward(
        self, features: Any, tokenizer: Any, chunks_metadata: Any, options: Any
    ) -> list[list[Any]]:
        """The segments of each window."""
        windows: list[list[Any]] = super().forward(features, tokenizer, chunks_metadata, options)
        for window, found in zip(windows, self._found, strict=True):
            if found.is_silence(options):
                window.clear()
            self._segment_temperatures.extend([found.temperature] * len(window))
        return windows

    def generate_segment_batched(
        self, features: Any, tokenizer: Any, options: Any
    ) -> tuple[Any, list[dict[str, Any]]]:
        """The encoder's output and the decoded tokens of each window: none for silence."""
        encoded = self.model.encode(features)
        prompts = self._prompts(encoded, len(features), tokenizer, options)
        self._found = self._decode(features, encoded, prompts, tokenizer, options)
        return encoded, [
            {
                "tokens": [] if found.is_silence(options) else found.tokens,
                "avg_logprob": found.avg_logprob,
                "no_speech_prob": found.no_speech_prob,
            }
            for found in self._found
        ]

    def _prompts(self, encoded: Any, count: int, tokenizer: Any, options: Any) -> list[list[int]]:
        """The prompt tokens of each window, as in the package."""
        initial = options.initial_prompt or []
        prompt = self.model.get_prompt(
            tokenizer,
            previous_tokens=tokenizer.encode(initial) if isinstance(initial, str) else initial,
            without_timestamps=options.without_timestamps,
            hotwords=options.hotwords,
        )
        prompts = [list(prompt) for _ in range(count)]
        if options.multilingual:
            place = prompt.index(tokenizer.language)
            languages = self.model.model.detect_language(encoded)
            for own, ((token, _), *_) in zip(prompts, languages, strict=True):
                own[place] = tokenizer.tokenizer.token_to_id(token)
        return prompts

    def _decode(
        self, features: Any, encoded: Any, prompts: list[list[int]], tokenizer: Any, options: Any
    ) -> list[Attempt]:
        """The best attempt at each window."""

        def generate_rows(encoded: Any, rows: list[int], temperature: float) -> list[Attempt]:
            own = [prompts[row] for row in rows]
            return generate(
                self.model,
                encoded,
                own,
                temperature,
                tokenizer,
                options,
                most_tokens=room_for_tokens(self.model, len(own[0]), options.max_new_tokens),
                suppress_tokens=options.suppress_tokens,
                max_initial_timestamp=self._max_initial_timestamp,
            )

        return try_temperatures(
            self._temperatures,
            encoded,
            len(prompts),
            lambda rows: self.model.encode(features[rows]),
            generate_rows,
            options,
        )
