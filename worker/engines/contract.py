"""What the front and its engines say to each other: the same JSON-RPC, on private pipes."""

from __future__ import annotations

from pathlib import Path

from msgspec import field

from protocol.alignment import AlignmentOptions, SegmentText
from protocol.control import Params, Result
from protocol.diarization import DiarizationOptions
from protocol.models import Task
from protocol.transcription import ModelParams, TranscribeParams
from protocol.values import JobParams, NonNegativeInt, Notice, Token


class Source(Params, kw_only=True):
    """Where an engine finds its samples: a file to decode, or samples decoded before.

    With `raw`, the file holds nothing but mono float32 samples of 16 kHz in the machine's byte
    order, those from `start` on. It may still be growing, or have to come: see
    `worker.engines.common.recording`.
    """

    path: str
    raw: bool = False
    channel: int | None = None
    start: float = 0.0
    end: float | None = None


class LoadParams(ModelParams, kw_only=True):
    """Params of the whisper engine's `load`; a `model` that is a directory is absolute."""

    progress_token: Token | None = None


class LoadResult(Result, kw_only=True):
    """Where the model ended up, and what the caller should know of it."""

    device: str
    compute_type: str
    warnings: list[Notice] = field(default_factory=list)


class EngineTranscribeParams(Params, kw_only=True):
    """Params of the engine's `transcribe`: the client's own, and what the front knows."""

    request: TranscribeParams
    given: list[str]
    """Names of the params that the client wrote."""
    source: Source | None = None
    """Samples in place of the request's file."""
    first_id: NonNegativeInt = 0
    """Id of the first segment."""
    speaker: str | None = None
    """Who says all of it."""
    queue_seconds: float
    load_seconds: float
    progress_token: Token | None = None
    partial_result_token: Token | None = None


class LoadAlignmentParams(AlignmentOptions, kw_only=True):
    """Params of the alignment engine's `load`; a `model` that is a directory is absolute."""

    progress_token: Token | None = None


class EngineAlignParams(JobParams, kw_only=True):
    """Params of the alignment engine's `align`, which answers with an `AlignResult`."""

    source: Source
    segments: list[SegmentText]
    language: str
    options: AlignmentOptions
    checkpoint: str | None = None
    """Directory in which results are kept."""
    queue_seconds: float = 0.0
    load_seconds: float = 0.0


class LoadDiarizationParams(DiarizationOptions, kw_only=True):
    """Params of the diarization engine's `load`; a `model` that is a directory is absolute."""

    progress_token: Token | None = None


class EngineDiarizeParams(JobParams, kw_only=True):
    """Params of the diarization engine's `diarize`, which answers with a `DiarizeResult`."""

    source: Source
    options: DiarizationOptions
    checkpoint: str | None = None
    """Directory in which results are kept."""
    queue_seconds: float = 0.0
    load_seconds: float = 0.0


class DecodeParams(Params, kw_only=True):
    """Params of the audio engine's `decode`: a recording into files of raw samples.

    The files are for `Source.raw`, and are made in `directory`.
    """

    audio: str
    channel: NonNegativeInt | None = None
    start: float = 0.0
    end: float | None = None
    split: bool = False
    """A file for each channel, in place of one with all of them mixed."""
    directory: str
    progress_token: Token | None = None


class DecodeResult(Result, kw_only=True):
    """What was decoded. `duration` is in seconds."""

    paths: list[str]
    """One, or one a channel."""
    duration: float
    alike: bool
    """The channels that were split differ in nothing but loudness."""
    loudest: int
    """The channel with the most energy."""


class FetchParams(JobParams, kw_only=True):
    """Params of the hub engine's `download` and `remove`."""

    task: Task
    name: str
    repository: str
    """A hub id, or `torchaudio/NAME`."""
    revision: str | None = None


class NoEngineParams(JobParams, kw_only=True):
    """For methods of an engine that take nothing but tokens."""


class CachedModel(Result, kw_only=True):
    """A repository in a cache. Sizes in bytes."""

    repository: str
    size: int
    complete: bool
    """Some revision is there as a whole."""
    incomplete: int
    """Of files whose download was broken off."""
    revisions: list[str]


class CacheResult(Result, kw_only=True):
    """Answer to the hub engine's `cached`."""

    models: list[CachedModel]
    directory: str
    free_disk: int


def raw_path(directory: str, number: int) -> Path:
    """Where the samples of a channel are put; those of a mix are number 0."""
    return Path(directory, f"{number}.f32")
