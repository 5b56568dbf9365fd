"""Decodes windows, with Whisper's rules of when to try again and what is silence.

The rules are faster-whisper's sequential ones (`generate_with_fallback`, `generate_segments`;
version 1.2.1). `options` may be any object with its thresholds, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Attempt(NamedTuple):
    """What a window was decoded to at one temperature."""

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    steps: int
    """Tokens of the longest hypothesis, for which the decoder ran."""

    def repeats(self, options: Any) -> bool:
        """Whether the text loops: it compresses too well."""
        threshold = options.compression_ratio_threshold
        return threshold is not None and self.compression_ratio > threshold

    def misses(self, options: Any) -> bool:
        """Whether to decode again: the text loops, or is improbable though not silence."""
        if options.log_prob_threshold is None or self.avg_logprob >= options.log_prob_threshold:
            return self.repeats(options)
        silent = options.no_speech_threshold
        return silent is None or self.no_speech_prob <= silent

    def is_silence(self, options: Any) -> bool:
        """Whether nobody speaks: silence is probable, and the decoded text is not."""
        silent = options.no_speech_threshold
        if silent is None or self.no_speech_prob <= silent:
            return False
        return options.log_prob_threshold is None or self.avg_logprob <= options.log_prob_threshold


def try_temperatures(
    temperatures: Sequence[float],
    encoded: Any,
    count: int,
    encode: Callable[[list[int]], Any],
    generate: Callable[[Any, list[int], float], list[Attempt]],
    options: Any,
    affordable: Callable[[int, list[Attempt]], bool] = lambda row, attempts: True,
) -> list[Attempt]:
    """The best attempt at each of `count` windows, of which `encoded` is the encoder's output.

    `generate` decodes some rows, at a temperature; a row that misses a threshold is decoded at the
    next one, if that is `affordable` after its attempts so far. `encode` encodes rows again.
    """
    attempts: list[list[Attempt]] = [[] for _ in range(count)]
    rows = encoded_rows = list(range(count))
    for temperature in temperatures:
        if rows != encoded_rows:
            # Selecting rows of the encoder's output would mean moving it to the CPU.
            encoded, encoded_rows = encode(rows), rows
        for row, attempt in zip(rows, generate(encoded, rows, temperature), strict=True):
            attempts[row].append(attempt)
        rows = [
            row
            for row in rows
            if attempts[row][-1].misses(options) and affordable(row, attempts[row])
        ]
        if not rows:
            break
    return [_best(of_window, options) for of_window in attempts]


def generate(
    model: Any,
    encoded: Any,
    prompts: list[list[int]],
    temperature: float,
    tokenizer: Any,
    options: Any,
    *,
    most_tokens: int,
    suppress_tokens: Sequence[int] | None,
    max_initial_timestamp: float,
) -> list[Attempt]:
    """Decode windows with faster-whisper's `model`: beam search at temperature 0, else samples."""
    search = (
        {
            "beam_size": 1,
            "num_hypotheses": options.best_of,
            "sampling_topk": 0,
            "sampling_temperature": temperature,
        }
        if temperature > 0
        else {"beam_size": options.beam_size, "patience": options.patience}
    )
    results = model.model.generate(
        encoded,
        prompts,
        length_penalty=options.length_penalty,
        repetition_penalty=options.repetition_penalty,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        max_length=len(prompts[0]) + most_tokens,
        return_scores=True,
        return_no_speech_prob=True,
        suppress_blank=options.suppress_blank,
        suppress_tokens=suppress_tokens,
        max_initial_timestamp_index=round(max_initial_timestamp / model.time_precision),
        **search,
    )
    return [_attempt(result, temperature, tokenizer, options.length_penalty) for result in results]


def room_for_tokens(model: Any, prompt: int, wanted: int | None) -> int:
    """How many tokens to write after a prompt, which `PromptBudget` has left room for."""
    room: int = model.max_length - prompt
    return room if wanted is None else min(room, wanted)


def _attempt(result: Any, temperature: float, tokenizer: Any, length_penalty: float) -> Attempt:
    """The measures of a `WhisperGenerationResult` of CTranslate2."""
    from faster_whisper.transcribe import get_compression_ratio

    tokens = result.sequences_ids[0]
    total = result.scores[0] * len(tokens) ** length_penalty
    return Attempt(
        tokens=tokens,
        avg_logprob=total / (len(tokens) + 1),
        no_speech_prob=result.no_speech_prob,
        compression_ratio=get_compression_ratio(tokenizer.decode(tokens).strip()),
        temperature=temperature,
        steps=max(map(len, result.sequences_ids)),
    )


def _best(attempts: list[Attempt], options: Any) -> Attempt:
    """The last if it passes, else the most probable; those that loop only if all do."""
    if not attempts[-1].misses(options):
        return attempts[-1]
    passable = [attempt for attempt in attempts if not attempt.repeats(options)]
    return max(passable or attempts, key=lambda attempt: attempt.avg_logprob)
