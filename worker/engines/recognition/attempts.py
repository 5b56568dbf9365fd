"""What a window was decoded to, and Whisper's rules of when to try again and what is silence.

The rules are faster-whisper's sequential ones (`generate_with_fallback`, `generate_segments`;
version 1.2.1). `options` may be any object with its thresholds, by the same names.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Attempt(NamedTuple):
    """What a window was decoded to at one temperature."""

    tokens: list[int]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float

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


def attempt_of(result: Any, temperature: float, tokenizer: Any, length_penalty: float) -> Attempt:
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
    )


def best_of(attempts: list[Attempt], options: Any) -> Attempt:
    """The last if it passes, else the most probable; those that loop only if all do."""
    if not attempts[-1].misses(options):
        return attempts[-1]
    passable = [attempt for attempt in attempts if not attempt.repeats(options)]
    return max(passable or attempts, key=lambda attempt: attempt.avg_logprob)


def search(temperature: float, options: Any) -> dict[str, Any]:
    """CTranslate2's options of `generate` at a temperature: beam search at 0, else samples."""
    if temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": options.best_of,
            "sampling_topk": 0,
            "sampling_temperature": temperature,
        }
    return {"beam_size": options.beam_size, "patience": options.patience}
