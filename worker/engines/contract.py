"""Params and results of the engines' methods: the front calls them over private pipes.

An engine's methods name their params by these types; `worker.engines.host` serves them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from msgspec import field

from protocol.alignment import AlignmentOptions, SegmentText
from protocol.control import Params, Result
from protocol.diarization import DiarizationOptions
from protocol.live import LiveSegment, LiveVadParameters, SampleFormat
from protocol.models import Task
from protocol.transcription import ModelParams, TranscribeParams, VadParameters
from protocol.values import NonNegativeInt, Notice, OnDamage


class EngineParams(Params, kw_only=True):
    """What every method of an engine takes; `Lease.perform` sets `load_seconds`."""

    queue_seconds: float = 0.0
    load_seconds: float = 0.0


class Source(Params, kw_only=True):
    """Where an engine gets its samples: a file to decode, or samples already decoded.

    With `raw`, the file contains only mono float32 samples at 16 kHz in the machine's byte order,
    those from `start` on. It may still be growing, or not exist yet: see
    `worker.engines.common.recording`.
    """

    path: str
    raw: bool = False
    channel: int | None = None
    track: int | str | None = None
    start: float = 0.0
    end: float | None = None
    on_damage: OnDamage = "warn"

    @classmethod
    def of(cls, params: Any) -> Source:
        """The recording that a client's params name."""
        return cls(
            path=params.audio,
            channel=params.channel,
            track=params.track,
            start=params.start,
            end=params.end,
            on_damage=params.on_damage,
        )


class LoadParams(ModelParams, kw_only=True):
    """Params of a recogniser's `load`; a `model` that is a directory is absolute."""


class LoadResult(Result, kw_only=True):
    """How the model was loaded; `warnings` name each deviation from the params."""

    device: str
    compute_type: str
    warnings: list[Notice] = field(default_factory=list)


class EngineTranscribeParams(EngineParams, kw_only=True):
    """Params of a recogniser's `transcribe`: the client's request, and what the front adds."""

    request: TranscribeParams
    given: list[str]
    """Names of the params that the client gave."""
    source: Source | None = None
    """Samples to use instead of the request's file."""
    first_id: NonNegativeInt = 0
    """Id of the first segment."""
    speaker: str | None = None
    """Speaker of all segments."""


class EngineLiveParams(EngineParams, kw_only=True):
    """Params of the live engine's `live`: how to hear a stream, and where to go on in it.

    Its input comes in `$/live` notifications, each a `LiveInput`; it ends with that of the stream.
    """

    call: int
    """Which inputs are meant for this call."""
    format: SampleFormat
    sample_rate: int
    language: str | None
    interim: bool
    interval: float
    end_silence: float
    max_utterance: float
    encoder_context: float
    vad: LiveVadParameters
    first_id: int = 0
    """Id of the first segment."""
    offset: float = 0.0
    """Where in the stream the input begins, in seconds."""
    prompt: str = ""
    """Final text of the utterance that goes on there."""


class LiveInput(Params, kw_only=True, omit_defaults=True):
    """Params of `$/live`: what comes next in a stream."""

    call: int
    missing: int = 0
    """Samples that never came, before the audio."""
    audio: bytes = b""
    """Whole samples."""
    end: Literal["utterance", "stream"] | None = None
    """What ends after them."""


class SpeechChange(Result, kw_only=True):
    """Somebody started to speak, or ended."""

    speech: Literal["started", "ended"]
    at: float


class LivePart(Result, kw_only=True):
    """A partial result of `live`. Times are seconds of the stream."""

    heard: float
    """Up to here all is known, but for an utterance that goes on."""
    settled: float
    """Audio before this is not needed any more: it is in final words, or nobody speaks."""
    language: str
    language_probability: float
    language_is_clear: bool
    speech: list[SpeechChange]
    segments: list[LiveSegment]


class EngineLiveResult(Result, kw_only=True):
    """Result of `live`."""

    device: str
    compute_type: str
    busy: float
    """Seconds of work."""
    warnings: list[Notice]


class LoadAlignmentParams(AlignmentOptions, kw_only=True):
    """Params of the alignment engine's `load`; a `model` that is a directory is absolute."""


class EngineAlignParams(EngineParams, kw_only=True):
    """Params of the alignment engine's `align`, which answers with an `AlignResult`."""

    source: Source
    segments: list[SegmentText]
    """The whole transcript: those of other languages say where those of this one cannot be."""
    language: str
    options: AlignmentOptions
    checkpoint: str | None = None
    """Directory in which results are kept."""


class LoadDiarizationParams(DiarizationOptions, kw_only=True):
    """Params of the diarization engine's `load`; a `model` that is a directory is absolute."""


class EngineDiarizeParams(EngineParams, kw_only=True):
    """Params of the diarization engine's `diarize`, which answers with a `DiarizeResult`."""

    source: Source
    options: DiarizationOptions
    checkpoint: str | None = None
    """Directory in which results are kept."""


class EngineDetectSpeechParams(EngineParams, kw_only=True):
    """Params of the audio engine's `detect_speech`, which answers with a `DetectSpeechResult`."""

    source: Source
    parameters: VadParameters


class EngineDetectLanguageParams(EngineParams, kw_only=True):
    """Params of a recogniser's `detect_language`, which answers with a `DetectLanguageResult`."""

    source: Source
    model: str
    """As the client named it."""
    windows: int


class DecodeParams(EngineParams, kw_only=True):
    """Params of the audio engine's `decode`: it writes files for `Source.raw` to `directory`."""

    source: Source
    split: bool = False
    """Write one file per channel, instead of one with a mix."""
    directory: str


class DecodeResult(Result, kw_only=True):
    """The decoded files. `duration` is in seconds."""

    paths: list[str]
    """One file, or one per channel."""
    duration: float
    alike: bool
    """Whether the split channels differ only in loudness."""
    loudest: int
    """The channel with the most energy."""
    warnings: list[Notice] = field(default_factory=list)


class FetchParams(EngineParams, kw_only=True):
    """Params of the hub engine's `download` and `remove`."""

    task: Task
    name: str
    repository: str
    """A hub id, or `torchaudio/NAME`."""
    revision: str | None = None


class CachedModel(Result, kw_only=True):
    """A repository in a cache. Sizes are in bytes."""

    repository: str
    size: int
    complete: bool
    """Whether at least one revision is complete."""
    incomplete: int
    """Size of the files whose download was interrupted."""
    revisions: list[str]


class CacheResult(Result, kw_only=True):
    """Result of the hub engine's `cached`."""

    models: list[CachedModel]
    directory: str
    free_disk: int


def raw_path(directory: str, number: int) -> Path:
    """The file for the samples of a channel; a mix is number 0."""
    return Path(directory, f"{number}.f32")
