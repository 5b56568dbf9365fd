"""Params and result of `transcribe`. Times are seconds from the start of the recording."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from protocol.alignment import AlignmentOptions, Word
from protocol.control import Params, Result
from protocol.diarization import NamedSpeaker, SpeakerOptions, Turn
from protocol.transcript import ExportedFile, ExportOptions, FileName, Format
from protocol.values import (
    Count,
    KeepAlive,
    NonEmptyStr,
    NonNegativeInt,
    Notice,
    OnDamage,
    Priority,
    Probability,
    Seconds,
    TimeSpan,
    Timings,
    Token,
    Track,
)

Engine = Literal["whisper", "faster-whisper", "whisperx"]
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
    """Options of Silero VAD. Times are seconds. Null means faster-whisper's default; with the
    engine `whisper`, threshold 0.5, speech of 0.1, silence of 0.3, padding of 0.1."""

    threshold: Probability | None = None
    neg_threshold: Probability | None = None
    min_speech_duration: Seconds | None = None
    max_speech_duration: Annotated[float, Meta(gt=0)] | None = None
    min_silence_duration: Seconds | None = None
    speech_pad: Seconds | None = None


class ModelParams(Params, kw_only=True):
    """Which Whisper model runs, and where."""

    model: NonEmptyStr = "small"
    """A known name (`small`, `large-v3` …), a hub id (`owner/name`) or a model directory."""
    revision: NonEmptyStr | None = None
    """Branch, tag or commit of a hub model."""
    download: bool = False
    """Download the model from the hub if it is not cached. Without it, nothing is downloaded."""
    device: Device = "auto"
    """`auto` chooses a usable CUDA device, or else the CPU."""
    device_index: NonNegativeInt = 0
    """Index of the device, from 0."""
    compute_type: ComputeType = "auto"
    """The number type in which CTranslate2 stores and multiplies weights. `auto` is float16 on a
    CUDA device and int8 on a CPU; `default` is the type that the model is stored in, or float32 if
    the device does not support that type."""
    threads: NonNegativeInt = 0
    """CPU threads of the model; 0 uses every CPU that this process may use."""


class TranscribeParams(ModelParams, kw_only=True):
    """Params of `transcribe`. Only `audio` is required.

    Decoding options are faster-whisper's, with its defaults unless they say otherwise; the
    result's `warnings` list those that the chosen engine or mode ignores.
    """

    audio: NonEmptyStr
    """Path of an audio or video file."""
    channel: NonNegativeInt | None = None
    """Use only this channel (from 0); without it, all channels are mixed."""
    track: Track | None = None
    """Which audio track, if there are several: its index (from 0), or a language tag such as `en`.
    Null means the one marked as default, or else the one with the most channels."""
    start: Seconds = 0.0
    """Seconds into the recording."""
    end: Seconds | None = None
    """Use only the part from `start` to `end`; returned times still refer to the recording."""
    on_damage: OnDamage = "warn"
    """If the recording is damaged: use what is good of it with a warning, or fail the request."""
    engine: Engine = "whisper"
    """`whisper` is the worker's own recogniser. The others return what the packages of that name
    do for the same model, audio and options, their faults included: text in silence, lost speech,
    one language for all."""
    batch_size: Count | None = None
    """Decode this many windows at a time. Null means 8 with `whisper`; 1 decodes one window after
    another there, each prompted by the one before. With `faster-whisper`, null decodes one window
    after another, and a window that misses a threshold is decoded again in both modes."""

    align: bool | AlignmentOptions = False
    """Time the words exactly, with an alignment model."""
    diarize: bool | SpeakerOptions = False
    """Separate the speakers, and assign one to each word and segment."""
    channel_speakers: bool | Annotated[list[NonEmptyStr], Meta(min_length=1)] = False
    """Treat each channel as one speaker, with the names in the list, or CHANNEL_00 …"""
    on_stage_error: Literal["warn", "fail"] = "warn"
    """If alignment or diarization fails: return the rest with a warning, or fail the request."""

    checkpoint: NonEmptyStr | None = None
    """Path of a folder that keeps intermediate results: if the request is interrupted, the same
    request with the same folder continues from them. Created if it does not exist; the client
    deletes it."""

    formats: Annotated[list[Format], Meta(min_length=1)] | None = None
    """Also export the transcript in these formats: to `outputDir`, or else in the result."""
    output_dir: NonEmptyStr | None = None
    """Path of the folder for the files; created if it does not exist."""
    name: FileName | None = None
    """Name of those files, without suffix; defaults to the recording's."""
    overwrite: bool = True
    """Replace existing files; if false, an existing file is an error."""
    format_options: ExportOptions = field(default_factory=ExportOptions)
    """How captions look."""

    language: NonEmptyStr | None = None
    """Code such as `en`; without it, the language is detected."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate` translates into English."""
    beam_size: Count = 5
    """Hypotheses that beam search keeps at temperature 0."""
    best_of: Count = 5
    """Samples to choose from at other temperatures."""
    patience: Annotated[float, Meta(gt=0)] = 1.0
    """Factor on how long beam search continues."""
    length_penalty: float = 1.0
    """Values above 1 prefer longer hypotheses."""
    repetition_penalty: Annotated[float, Meta(gt=0)] = 1.0
    """Values above 1 make tokens less likely to repeat."""
    no_repeat_ngram_size: NonNegativeInt = 0
    """Forbid repeating a sequence of this many tokens; 0 allows repetition."""
    temperature: (
        Annotated[float, Meta(ge=0)]
        | Annotated[list[Annotated[float, Meta(ge=0)]], Meta(min_length=1)]
    ) = field(default_factory=lambda: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    """One temperature, or several to try in turn while a window misses a threshold. Sampling is
    seeded: the same request returns the same words."""
    compression_ratio_threshold: float | None = 2.4
    """Text that compresses better than this is repetitive; its window is decoded again."""
    log_prob_threshold: float | None = -1.0
    """A window whose mean log probability is below this is decoded again."""
    no_speech_threshold: float | None = 0.6
    """A window above this no-speech probability and below `logProbThreshold` is silence."""
    condition_on_previous_text: bool = True
    """Prompt each window with the text so far."""
    prompt_reset_on_temperature: float = 0.5
    """Clear that prompt after a window decoded above this temperature."""
    initial_prompt: str | list[NonNegativeInt] | None = None
    """Text or tokens that prompt the first window. All prompts together have room for 223 tokens,
    less where `maxNewTokens` is above 220. This text and `prefix` have to fit."""
    prefix: str | None = None
    """Text that the first window begins with."""
    hotwords: str | None = None
    """Words that the recording is likely to contain. Those that do not fit beside `initialPrompt`
    are left out, with the warning `prompt_shortened`. The text before a window gives way to them.
    """
    suppress_blank: bool = True
    """Forbid a blank at the start of a window."""
    suppress_tokens: list[int] | None = field(default_factory=lambda: [-1])
    """Token ids that are never decoded; -1 stands for the usual non-speech symbols."""
    without_timestamps: bool | None = None
    """Decode only text tokens. Null means true with `whisper`, which times words by attention, and
    false with the others."""
    max_initial_timestamp: Seconds = 1.0
    """Latest first timestamp of a window."""
    word_timestamps: bool = False
    """Time each word from the decoder's attention. Unless it is given, true with `diarize` and
    without `align`, because speakers change between words."""
    prepend_punctuations: str = "\"'“¿([{-"
    """Punctuation that joins the word after it."""
    append_punctuations: str = "\"'.。,，!！?？:：”)]}、"
    """Punctuation that joins the word before it."""
    multilingual: bool | None = None
    """Detect the language of each window. Null means true with `whisper`, unless `language` is
    given, and false with the others; with `whisper`, false means the language that is spoken most.
    """
    vad_filter: bool | None = None
    """Skip what Silero VAD classifies as silence. Null means true with `whisper`, in batched mode
    and with `channelSpeakers`, otherwise false."""
    vad_parameters: VadParameters | None = None
    """How to detect speech."""
    max_new_tokens: Count | None = None
    """Maximum number of tokens per window. It shares the decoder's 448 with the prompts."""
    chunk_length: Annotated[int, Meta(ge=1, le=30)] | None = None
    """Length of a window in seconds."""
    clip_timestamps: list[Seconds] | None = None
    """Decode only these parts: start, end, start, end … The last end may be omitted."""
    hallucination_silence_threshold: Annotated[float, Meta(gt=0)] | None = None
    """With word times, skip silences longer than this if their text looks hallucinated."""
    language_detection_threshold: Probability | None = 0.5
    """Accept a detected language once its probability is above this."""
    language_detection_segments: Count = 1
    """Maximum number of windows in which to detect the language."""

    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long the models stay loaded afterwards, in seconds; the worker's default when null."""
    progress_token: Token | None = None
    """Report progress in `$/progress` notifications with this token; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send partial results, as they become available, with this token."""


class Segment(Result, kw_only=True):
    """A segment; `id` counts from 0 and is the same in partial and final results.

    Decoding measures are null if the engine does not provide them.
    """

    id: int
    start: float
    end: float
    text: str
    avg_logprob: float | None
    compression_ratio: float | None
    no_speech_prob: float | None
    temperature: float | None
    confidence: float | UnsetType = UNSET
    """With the engine `whisper`: the share of its words that is likely to be right, from 0 to 1."""
    language: str | UnsetType = UNSET
    """With the engine `whisper`: the language of its window."""
    speaker: str | UnsetType = UNSET
    words: list[Word] | None = None


class LanguageSeconds(Result, kw_only=True):
    """How long a language is spoken."""

    language: str
    seconds: float


class PartialTranscript(Result, kw_only=True):
    """Value of a partial result: the new segments."""

    language: str
    segments: list[Segment]


class TranscribeResult(Result, kw_only=True):
    """Result of `transcribe`. For silence, `text` and `segments` are empty."""

    text: str
    language: str
    language_probability: float
    duration: float
    """Seconds of transcribed audio."""
    duration_after_vad: float
    segments: list[Segment]
    model: str
    engine: str
    device: str
    compute_type: str
    warnings: list[Notice]
    timings: Timings
    real_time_factor: float
    """Seconds of work per second of audio, without waiting and loading."""
    languages: list[LanguageSeconds] | UnsetType = UNSET
    """With the engine `whisper`: seconds of speech in each language, the most spoken first, which
    is `language`."""
    speech_seconds: float | UnsetType = UNSET
    """With the engine `whisper`: seconds of speech."""
    lost_seconds: float | UnsetType = UNSET
    """With the engine `whisper`: seconds of speech that have no text; `warnings` lists where."""
    silences: list[TimeSpan] | UnsetType = UNSET
    """With the engine `whisper`: where nobody speaks for a second or longer."""
    turns: list[Turn] | UnsetType = UNSET
    """With `diarize`: who speaks when, including overlaps."""
    speakers: list[str] | UnsetType = UNSET
    """With `diarize` or `channelSpeakers`: the speakers, in the order of their first words."""
    speaker_embeddings: dict[str, list[float]] | UnsetType = UNSET
    voices: list[NamedSpeaker] | UnsetType = UNSET
    """With `diarize.voices`: the speakers that were recognised."""
    files: list[ExportedFile] | UnsetType = UNSET
    """With `formats` and `outputDir`: the written files."""
    contents: dict[str, str] | UnsetType = UNSET
    """With `formats` but without `outputDir`: the texts, by format."""
