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

from worker.engines.recognition.attempts import Attempt, attempt_of, best_of, search


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
        attempts: list[list[Attempt]] = [[] for _ in prompts]
        rows = encoded_rows = list(range(len(prompts)))
        for temperature in self._temperatures:
            if rows != encoded_rows:
                # Selecting rows of the encoder's output would mean moving it to the CPU.
                encoded, encoded_rows = self.model.encode(features[rows]), rows
            results = self._generate(encoded, [prompts[row] for row in rows], temperature, options)
            for row, result in zip(rows, results, strict=True):
                attempts[row].append(
                    attempt_of(result, temperature, tokenizer, options.length_penalty)
                )
            rows = [row for row in rows if attempts[row][-1].misses(options)]
            if not rows:
                break
        return [best_of(of_window, options) for of_window in attempts]

    def _generate(
        self, encoded: Any, prompts: list[list[int]], temperature: float, options: Any
    ) -> Any:
        max_length = self.model.max_length
        if options.max_new_tokens is not None:
            max_length = len(prompts[0]) + options.max_new_tokens
        if max_length > self.model.max_length:
            raise ValueError(
                f"The prompt of {len(prompts[0])} tokens and maxNewTokens together exceed the "
                f"model's {self.model.max_length} tokens; shorten one of them"
            )
        return self.model.model.generate(
            encoded,
            prompts,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            max_length=max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
            max_initial_timestamp_index=round(
                self._max_initial_timestamp / self.model.time_precision
            ),
            **search(temperature, options),
        )
