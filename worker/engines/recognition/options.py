"""Translates the options of `transcribe` to faster-whisper's; warns of those without effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from protocol.transcription import TranscribeParams, VadParameters
from protocol.values import Notice, option_ignored
from worker.engines.recognition.pieces import clips as clips_of

# Options of the same name in both of faster-whisper's pipelines.
_COMMON: Final = (
    "task",
    "beam_size",
    "best_of",
    "patience",
    "length_penalty",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "temperature",
    "compression_ratio_threshold",
    "log_prob_threshold",
    "no_speech_threshold",
    "condition_on_previous_text",
    "prompt_reset_on_temperature",
    "initial_prompt",
    "prefix",
    "hotwords",
    "suppress_blank",
    "suppress_tokens",
    "without_timestamps",
    "max_initial_timestamp",
    "word_timestamps",
    "prepend_punctuations",
    "append_punctuations",
    "multilingual",
    "max_new_tokens",
    "chunk_length",
    "hallucination_silence_threshold",
    "language_detection_threshold",
    "language_detection_segments",
)

# The windows of a batch are decoded independently, so these have no meaning.
_BATCHED_IGNORES: Final = {
    "conditionOnPreviousText": "the windows of a batch are independent",
    "promptResetOnTemperature": "the windows of a batch are independent",
    "prefix": "the batched mode has no prefix",
    "hallucinationSilenceThreshold": "the batched mode has no such check",
}


def arguments(request: TranscribeParams, language: str | None, duration: float) -> dict[str, Any]:
    """Keyword arguments of faster-whisper's `transcribe` for `duration` seconds of audio."""
    kwargs: dict[str, Any] = {name: getattr(request, name) for name in _COMMON}
    kwargs["language"] = language
    for name in ("without_timestamps", "multilingual"):
        kwargs[name] = bool(kwargs[name])
    batched = request.batch_size is not None
    kwargs["vad_filter"] = batched if request.vad_filter is None else request.vad_filter
    if request.vad_parameters and kwargs["vad_filter"]:
        kwargs["vad_parameters"] = _vad(request.vad_parameters, batched)
    clips = [
        (start - request.start, end - request.start) for start, end in clips_of(request, duration)
    ]
    if batched:
        kwargs["batch_size"] = request.batch_size
        if clips:
            kwargs["clip_timestamps"] = [{"start": start, "end": end} for start, end in clips]
        elif not kwargs["vad_filter"]:
            kwargs["clip_timestamps"] = _windows(duration, float(request.chunk_length or 30))
    elif clips:
        kwargs["clip_timestamps"] = [time for clip in clips for time in clip]
    return kwargs


def ignored(
    request: TranscribeParams, given: Collection[str], language_is_known: bool
) -> Iterator[Notice]:
    """A warning for each option in `given` that has no effect."""
    batched = request.batch_size is not None
    reasons: dict[str, str] = {}
    if batched:
        reasons |= _BATCHED_IGNORES
        if request.vad_parameters and request.vad_parameters.max_speech_duration is not None:
            reasons["vadParameters.maxSpeechDuration"] = "chunkLength sets it in batched mode"
    reasons |= without_effect(request)
    if not request.word_timestamps:
        reasons.setdefault("hallucinationSilenceThreshold", "it only applies with wordTimestamps")
    if request.clip_timestamps:
        reasons["vadFilter"] = reasons["vadParameters"] = "clipTimestamps takes its place"
    elif not (batched if request.vad_filter is None else request.vad_filter):
        reasons["vadParameters"] = "vadFilter is off"
    if request.prefix is not None and not batched:
        reasons["hotwords"] = "prefix takes its place"
    if language_is_known:
        for name in ("languageDetectionThreshold", "languageDetectionSegments"):
            reasons[name] = "the language is known"
    written = set(given)
    if request.vad_parameters and request.vad_parameters.max_speech_duration is not None:
        written.add("vadParameters.maxSpeechDuration")
    for name in sorted(written.intersection(reasons)):
        yield option_ignored(name, reasons[name])


def without_effect(request: TranscribeParams) -> dict[str, str]:
    """The options that other options make pointless, whatever decodes with them; and why."""
    reasons: dict[str, str] = {}
    temperatures = request.temperature
    if not any(temperatures if isinstance(temperatures, list) else [temperatures]):
        reasons["bestOf"] = "it only applies at temperatures above 0"
        reasons["promptResetOnTemperature"] = "it only applies at temperatures above 0"
    if not request.condition_on_previous_text:
        reasons["promptResetOnTemperature"] = "conditionOnPreviousText is off"
    if request.beam_size == 1:
        reasons["patience"] = "it only applies to beam search"
    if not request.word_timestamps:
        for name in ("prependPunctuations", "appendPunctuations"):
            reasons[name] = "it only applies with wordTimestamps"
    return reasons


def _vad(parameters: VadParameters, batched: bool) -> dict[str, Any]:
    """In faster-whisper's names and units; options not given keep the mode's defaults."""
    values: dict[str, Any] = {
        "threshold": parameters.threshold,
        "neg_threshold": parameters.neg_threshold,
        "min_speech_duration_ms": _milliseconds(parameters.min_speech_duration),
        "max_speech_duration_s": parameters.max_speech_duration,
        "min_silence_duration_ms": _milliseconds(parameters.min_silence_duration),
        "speech_pad_ms": _milliseconds(parameters.speech_pad),
    }
    values = {name: value for name, value in values.items() if value is not None}
    if batched:
        # Given any parameter, faster-whisper drops the batched mode's own default of 160 ms.
        values.setdefault("min_silence_duration_ms", 160)
    return values


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _windows(duration: float, length: float) -> list[dict[str, float]]:
    """The whole audio in windows of `length` seconds, which batched mode needs without VAD."""
    count = max(1, -int(-duration // length))
    return [{"start": i * length, "end": min(duration, (i + 1) * length)} for i in range(count)]
