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
    """`auto` is a CUDA device where there is one that can be used, else the CPU."""
    device_index: NonNegativeInt = 0
    """Which of several devices, from 0."""
    compute_type: ComputeType = "auto"
    """How CTranslate2 keeps weights and computes with them. `auto` is float16 on a CUDA device and
    int8 on a CPU; `default` is the type that the model is stored in, or float32 where the device
    lacks it."""
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
    """Seconds into the recording."""
    end: Seconds | None = None
    """Only the part between `start` and `end`; times stay those of the recording."""
    engine: Engine = "faster-whisper"
    """`whisperx` gives what the whisperx package gives on the same model, audio and options."""
    batch_size: Count | None = None
    """Use the batched pipeline with this many windows at a time; one after another without it.
    With `faster-whisper`, windows that miss a threshold are decoded again either way."""

    align: bool | AlignmentOptions = False
    """Give the words the exact times of an alignment model."""
    diarize: bool | SpeakerOptions = False
    """Tell the speakers apart, and name one for each word and segment."""
    channel_speakers: bool | Annotated[list[NonEmptyStr], Meta(min_length=1)] = False
    """Take each channel of the recording for a speaker, named as listed, or CHANNEL_00 …"""
    on_stage_error: Literal["warn", "fail"] = "warn"
    """When alignment or diarization fails: give the rest with a warning, or fail the request."""

    checkpoint: NonEmptyStr | None = None
    """Path of a directory in which results are kept as they come: the same request with it goes on
    where one was broken off. Made when it is not there; yours to remove."""

    formats: Annotated[list[Format], Meta(min_length=1)] | None = None
    """Also write the transcript in these formats: into `outputDir`, else into the result."""
    output_dir: NonEmptyStr | None = None
    """Path of a directory, which is made when it is not there."""
    name: FileName | None = None
    """Of those files, without suffix; the recording's without it."""
    overwrite: bool = True
    """Replace files that are there; they are an error otherwise."""
    format_options: ExportOptions = field(default_factory=ExportOptions)
    """How captions look."""

    language: NonEmptyStr | None = None
    """Code such as `en`; detected without it."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: into English."""
    beam_size: Count = 5
    """Hypotheses that are followed at temperature 0."""
    best_of: Count = 5
    """Samples to choose from at other temperatures."""
    patience: Annotated[float, Meta(gt=0)] = 1.0
    """How long a beam search goes on, as a factor."""
    length_penalty: float = 1.0
    """Above 1 longer hypotheses are preferred."""
    repetition_penalty: Annotated[float, Meta(gt=0)] = 1.0
    """Above 1 tokens that came before are made less likely."""
    no_repeat_ngram_size: NonNegativeInt = 0
    """No sequence of so many tokens comes twice; 0: any may."""
    temperature: (
        Annotated[float, Meta(ge=0)]
        | Annotated[list[Annotated[float, Meta(ge=0)]], Meta(min_length=1)]
    ) = field(default_factory=lambda: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """One temperature, or several tried in turn when a threshold is missed. What is drawn at random
    is drawn alike each time: the same request gives the same words."""
    compression_ratio_threshold: float | None = 2.4
    """Text that compresses better than this is repetitive, and decoded again."""
    log_prob_threshold: float | None = -1.0
    """A mean log probability below this is a failure, and decoded again."""
    no_speech_threshold: float | None = 0.6
    """Above this probability, and below `logProbThreshold`, a window is silence."""
    condition_on_previous_text: bool = True
    """Give the text so far as a prompt to the next window."""
    prompt_reset_on_temperature: float = 0.5
    """That prompt is left out after a window decoded above this temperature."""
    initial_prompt: str | list[NonNegativeInt] | None = None
    """Text or tokens before the first window."""
    prefix: str | None = None
    """Text with which the first window begins."""
    hotwords: str | None = None
    """Words that are likely to come."""
    suppress_blank: bool = True
    """No window begins with a blank."""
    suppress_tokens: list[int] | None = field(default_factory=lambda: [-1])
    """Token ids never to decode; -1 stands for the usual non-speech symbols."""
    without_timestamps: bool = False
    """Decode text tokens alone."""
    max_initial_timestamp: Seconds = 1.0
    """The first timestamp of a window is no later than this."""
    word_timestamps: bool = False
    """Give each word its times, from the decoder's attention."""
    prepend_punctuations: str = "\"'“¿([{-"
    """Belong to the word after them."""
    append_punctuations: str = "\"'.。,，!！?？:：”)]}、"
    """Belong to the word before them."""
    multilingual: bool = False
    """Detect the language of each segment."""
    vad_filter: bool | None = None
    """Skip what Silero VAD takes for silence. Null: on in batched mode and with
    `channelSpeakers`, off otherwise."""
    vad_parameters: VadParameters | None = None
    """How speech is detected."""
    max_new_tokens: Count | None = None
    """Tokens of a window at most."""
    chunk_length: Annotated[int, Meta(ge=1, le=30)] | None = None
    """Length of a window in seconds."""
    clip_timestamps: list[Seconds] | None = None
    """start, end, start, end …: only these parts are decoded. The last end may be left out."""
    hallucination_silence_threshold: Annotated[float, Meta(gt=0)] | None = None
    """With word times: skip silences longer than this where text looks made up."""
    language_detection_threshold: Probability | None = 0.5
    """A language is taken once its probability is above this."""
    language_detection_segments: Count = 1
    """Windows to listen to until then."""

    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long its models stay loaded afterwards, in seconds; the worker's default without it."""
    progress_token: Token | None = None
    """Send `$/progress` notifications with this token; none are sent without it."""
    partial_result_token: Token | None = None
    """Send parts of the result as they come, with this token."""


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
