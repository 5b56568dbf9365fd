"""Live transcription: the params of its methods, and what a stream tells while it is open.

One open request, `live/transcribe`, is the stream; `live/append` sends it audio, and `live/finish`
ends its input. Times are seconds of the stream: its first sample is at 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from protocol.alignment import AlignmentOptions, Word
from protocol.control import Params, Result
from protocol.diarization import SpeakerOptions
from protocol.transcription import ModelParams, TranscribeResult
from protocol.values import KeepAlive, NonEmptyStr, Priority, Probability, Seconds, TimeSpan, Token

StreamName = Annotated[str, Meta(min_length=1, max_length=200)]
SampleFormat = Literal["pcm16", "float32"]

LOWEST_RATE = 8_000
HIGHEST_RATE = 48_000
"""Hz."""


class LiveVadParameters(Params, kw_only=True):
    """How to detect speech in a stream."""

    threshold: Probability = 0.5
    """Somebody speaks where the probability of speech is above this."""
    neg_threshold: Probability | None = None
    """Nobody speaks where it is below this; null means 0.15 less than `threshold`."""
    min_speech_duration: Annotated[float, Meta(ge=0, le=2)] = 0.1
    """Seconds; shorter sounds are not speech."""


class LiveTranscribeParams(ModelParams, kw_only=True):
    """Params of `live/transcribe`. Only `stream` is required."""

    stream: StreamName
    """A name that the client chooses, so that `live/append` may follow at once."""
    format: SampleFormat = "pcm16"
    """16-bit integers, or 32-bit floats from -1 to 1; little-endian, one channel."""
    sample_rate: Annotated[int, Meta(ge=LOWEST_RATE, le=HIGHEST_RATE)] = 16_000
    """Samples per second."""
    language: NonEmptyStr | None = None
    """Code such as `en`; without it, the first speech decides."""
    interim: bool = True
    """Show words while they are said. If false, each utterance is decoded once, at its end."""
    interval: Annotated[float, Meta(ge=0.1, le=10)] = 0.5
    """Seconds of speech between two decodings."""
    end_silence: Annotated[float, Meta(ge=0.2, le=10)] = 0.8
    """Seconds without speech that end an utterance."""
    max_utterance: Annotated[float, Meta(ge=3, le=25)] = 12.0
    """Seconds after which an utterance is divided, in its quietest place."""
    encoder_context: Annotated[float, Meta(ge=8, le=30)] = 8.0
    """Seconds that Whisper's encoder sees at least. It takes time in proportion; some fine-tuned
    models repeat themselves with less than the 30 s that they were trained on."""
    max_backlog: Annotated[float, Meta(ge=1, le=600)] = 30.0
    """Seconds of audio that may wait. Beyond, a request is refused with live_overrun, and the audio
    of a notification becomes a gap. While the model loads, 600."""
    vad_parameters: LiveVadParameters | None = None
    """How to detect speech."""
    align: bool | AlignmentOptions = False
    """After each utterance, time its words exactly, with an alignment model."""
    diarize: bool | SpeakerOptions = False
    """At the end, separate the speakers, and assign one to each word and segment."""
    record: NonEmptyStr | None = None
    """Path of a WAV file that keeps all audio, whatever happens to its recognition."""
    overwrite: bool = False
    """Replace that file if it exists; if false, it is an error."""
    priority: Priority = "interactive"
    keep_alive: KeepAlive | None = None
    """How long the models stay loaded afterwards, in seconds; the worker's default when null."""
    progress_token: Token | None = None
    """Report in `$/progress` notifications with this token when the stream is `ready`, and when
    `speech` starts and ends; without it, none are sent."""
    partial_result_token: Token | None = None
    """Send segments as they become known, with this token."""


class LiveAppendParams(Params, kw_only=True):
    """Params of `live/append`, the next audio of a stream."""

    stream: StreamName
    audio: bytes
    """Samples in the stream's format, in base64."""
    at: Seconds | None = None
    """When the first sample was recorded, in seconds of the stream. What came before is discarded,
    and a hole becomes silence. Null means right after the last sample."""


class LiveStreamParams(Params, kw_only=True):
    """Params of `live/commit` and `live/finish`."""

    stream: StreamName


class LiveStreamResult(Result, kw_only=True):
    """How far a stream is, in seconds of audio."""

    audio_received: float
    audio_decoded: float
    """Up to here all that was said is known, but for an utterance that goes on."""
    backlog: float
    """What waits. Send less than `maxBacklog` ahead."""


class LiveAppendResult(LiveStreamResult, kw_only=True):
    """How far the stream is, with the audio of the request."""


class LiveWord(Word, kw_only=True):
    """A word. Once it is `final`, it never changes and never vanishes, but `align` may time it
    anew, and `diarize` assigns a speaker."""

    final: bool


class LiveSegment(Result, kw_only=True):
    """A segment as it is known now: it replaces the one with its `id`.

    Ids ascend, and at most one segment is not final. Once `final`, its text never changes, but
    `diarize` divides it at the end where the speaker changes. A final segment without text takes
    back one that turned out to be nothing.
    """

    id: int
    start: float
    end: float
    text: str
    language: str
    final: bool
    words: list[LiveWord]
    """The final words come first."""
    speaker: str | UnsetType = UNSET


class PartialLive(Result, kw_only=True):
    """Value of a partial result: the segments that changed."""

    language: str
    audio_received: float
    audio_decoded: float
    lag: float
    """Seconds from the arrival of the newest decoded sample to the sending of this."""
    segments: list[LiveSegment]


class Delay(Result, kw_only=True):
    """Seconds after the end of a word within which half of all words come, and 95 of 100."""

    p50: float
    p95: float


class LiveLatency(Result, kw_only=True):
    """How soon words come after they are said, if the audio comes as it is recorded."""

    shown: Delay
    """Until a word is shown for the first time."""
    final: Delay
    """Until it is final."""


class LiveTranscribeResult(TranscribeResult, kw_only=True):
    """Result of `live/transcribe`: all final segments. It is a transcript for `export` and others.

    `duration` is that of the stream, with its gaps.
    """

    gaps: list[TimeSpan]
    """Parts of the stream whose audio never came, or was not recognised; `warnings` says why."""
    latency: LiveLatency | None
    """Null if nothing was said."""
    recording: str | UnsetType = UNSET
    """With `record`: the path of the file."""
