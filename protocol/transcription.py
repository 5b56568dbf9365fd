"""Params and result of `transcribe`. Times are seconds from the start of the recording."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from protocol.alignment import AlignmentOptions, Word
from protocol.control import Params, Result
from protocol.diarization import SpeakerOptions, Turn
from protocol.transcript import ExportedFile, ExportOptions, FileName, Format
from protocol.values import (
    Count,
    KeepAlive,
    NonEmptyStr,
    NonNegativeInt,
    Notice,
    Priority,
    Probability,
    Seconds,
    Timings,
    Token,
)

Engine = Literal["faster-whisper", "whisperx"]
Device = Literal["auto", "cpu", "cuda"]
ComputeType = Literal[
    "default",
    "auto",
    "int8",
    "int8_float32",
    "int8_float16",
    "int8_bfloat16",
    "int16",
    "float16",
    "bfloat16",
    "float32",
]


class VadParameters(Params, kw_only=True):
    """Silero VAD, as faster-whisper runs it; times in seconds. Absent values are its defaults."""

    threshold: Probability | None = None
    neg_threshold: Probability | None = None
    min_speech_duration: Seconds | None = None
    max_speech_duration: Annotated[float, Meta(gt=0)] | None = None
    min_silence_duration: Seconds | None = None
    speech_pad: Seconds | None = None


class ModelParams(Params, kw_only=True):
    """Which model runs where; the same everywhere that a Whisper model is named."""

    model: NonEmptyStr = "small"
    """A known name (`small`, `large-v3` …), a hub id (`owner/name`) or a model directory."""
    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""
    download: bool = False
    """Fetch the model from the hub when it is not cached. Nothing is fetched without it."""
    device: Device = "auto"
    device_index: NonNegativeInt = 0
    compute_type: ComputeType = "default"
    threads: NonNegativeInt = 0
    """CPU threads of the model; 0 takes as many as this process may run on."""


class TranscribeParams(ModelParams, kw_only=True):
    """Params of `transcribe`. Only `audio` is required.

    Decoding options are faster-whisper's, with its defaults; one that the chosen mode ignores is
    listed in the result's `warnings`.
    """

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Take this channel alone (from 0); all are mixed without it."""
    start: Seconds = 0.0
    end: Seconds | None = None
    """Only the part between `start` and `end`; times stay those of the recording."""
    engine: Engine = "faster-whisper"
    batch_size: Count | None = None
    """Use the batched pipeline with this many windows at a time; one after another without it."""

    align: bool | AlignmentOptions = False
    """Give the words the exact times of an alignment model."""
    diarize: bool | SpeakerOptions = False
    """Tell the speakers apart, and name one for each word and segment."""
    channel_speakers: bool | Annotated[list[NonEmptyStr], Meta(min_length=1)] = False
    """Take each channel of the recording for a speaker, named as listed, or CHANNEL_00 …"""
    on_stage_error: Literal["warn", "fail"] = "warn"
    """When alignment or diarization fails: give the rest with a warning, or fail the request."""

    formats: Annotated[list[Format], Meta(min_length=1)] | None = None
    """Also write the transcript in these formats: into `outputDir`, else into the result."""
    output_dir: NonEmptyStr | None = None
    name: FileName | None = None
    """Of those files, without suffix; the recording's without it."""
    overwrite: bool = True
    format_options: ExportOptions = field(default_factory=ExportOptions)

    language: NonEmptyStr | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    beam_size: Count = 5
    best_of: Count = 5
    patience: Annotated[float, Meta(gt=0)] = 1.0
    length_penalty: float = 1.0
    repetition_penalty: Annotated[float, Meta(gt=0)] = 1.0
    no_repeat_ngram_size: NonNegativeInt = 0
    temperature: (
        Annotated[float, Meta(ge=0)]
        | Annotated[list[Annotated[float, Meta(ge=0)]], Meta(min_length=1)]
    ) = field(default_factory=lambda: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """One temperature, or several tried in turn when a threshold is missed."""
    compression_ratio_threshold: float | None = 2.4
    log_prob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    condition_on_previous_text: bool = True
    prompt_reset_on_temperature: float = 0.5
    initial_prompt: str | list[NonNegativeInt] | None = None
    prefix: str | None = None
    hotwords: str | None = None
    suppress_blank: bool = True
    suppress_tokens: list[int] | None = field(default_factory=lambda: [-1])
    """Token ids never to decode; -1 stands for the usual non-speech symbols."""
    without_timestamps: bool = False
    max_initial_timestamp: Seconds = 1.0
    word_timestamps: bool = False
    prepend_punctuations: str = "\"'“¿([{-"
    append_punctuations: str = "\"'.。,，!！?？:：”)]}、"
    multilingual: bool = False
    vad_filter: bool | None = None
    """Skip what Silero VAD takes for silence. Null: on in batched mode and with
    `channelSpeakers`, off otherwise."""
    vad_parameters: VadParameters | None = None
    max_new_tokens: Count | None = None
    chunk_length: Annotated[int, Meta(ge=1, le=30)] | None = None
    """Length of a window in seconds."""
    clip_timestamps: list[Seconds] | None = None
    """start, end, start, end …: only these parts are decoded. The last end may be left out."""
    hallucination_silence_threshold: Annotated[float, Meta(gt=0)] | None = None
    language_detection_threshold: Probability | None = 0.5
    language_detection_segments: Count = 1

    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long its models stay loaded afterwards, in seconds; the worker's default without it."""
    progress_token: Token | None = None
    partial_result_token: Token | None = None


class Segment(Result, kw_only=True):
    """A segment; `id` counts from 0 and is the same in partial and final results.

    The measures of decoding are null where the engine does not give them.
    """

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None
    temperature: float | None
    speaker: str | UnsetType = UNSET
    words: list[Word] | None = None


class PartialTranscript(Result, kw_only=True):
    """Value of a partial result: the segments that are new."""

    language: str
    segments: list[Segment]


class TranscribeResult(Result, kw_only=True):
    """Result of `transcribe`. Silence gives an empty `text` and no segments."""

    text: str
    language: str
    language_probability: float
    duration: float
    """Seconds of audio transcribed."""
    duration_after_vad: float
    segments: list[Segment]
    model: str
    engine: str
    device: str
    compute_type: str
    warnings: list[Notice]
    timings: Timings
    real_time_factor: float
    """Seconds of work per second of audio: waiting and loading are not counted."""
    turns: list[Turn] | UnsetType = UNSET
    """With `diarize`: who speaks when, overlaps included."""
    speakers: list[str] | UnsetType = UNSET
    """With `diarize` or `channelSpeakers`: in the order of their first words."""
    speaker_embeddings: dict[str, list[float]] | UnsetType = UNSET
    files: list[ExportedFile] | UnsetType = UNSET
    """With `formats` and `outputDir`: what was written."""
    contents: dict[str, str] | UnsetType = UNSET
    """With `formats` and without `outputDir`: the texts."""
