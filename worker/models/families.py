"""The kinds of engine, one row each: what an engine does, what it needs, how much memory it takes.

The front, the engine's process, the managers and the command line all read this table. A new
family of models needs a row here, its engine class, its name in the protocol if clients may choose
it (`protocol.transcription.Engine`), and a use in `worker.probe.uses`. The table names the classes
and does not import them: neither the front nor another engine may import what one engine needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from protocol.models import Task

_MB: Final = 1_000_000


class Family(NamedTuple):
    """One kind of engine. A helper has no `task`: it holds no model."""

    engine: str
    """The engine's class, as `module:class`. Its public methods are what the process serves."""
    base: int
    """Peak resident memory of the process without the weights, in bytes. Measured on Linux; a
    measurement at run time replaces it."""
    task: Task | None = None
    packages: tuple[str, ...] = ()
    """What the engine imports; `initialize` reports the engine as available if all are present."""
    factors: Mapping[str, float] = MappingProxyType({})
    """Bytes of memory per byte of weights on disk, by compute type; see also `memory.estimate`."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Environment variables of the process."""
    live: bool = False
    """It hears streams: `live/transcribe` uses it, and no request about a recording."""


_CTRANSLATE2: Final = {
    **dict.fromkeys(("auto", "int8", "int8_float32"), 1.0),
    "float32": 3.0,
    "default": 2.5,
}
_WHISPER: Final = ("faster_whisper", "ctranslate2", "av", "onnxruntime")
_TORCH: Final = ("torch", "torchaudio")

FAMILIES: Final[Mapping[str, Family]] = {
    "whisper": Family(
        engine="worker.engines.recognition.whisper.engine:WhisperEngine",
        base=220 * _MB,
        task="recognition",
        packages=_WHISPER,
        factors=_CTRANSLATE2,
    ),
    "faster-whisper": Family(
        engine="worker.engines.recognition.faster_whisper:FasterWhisperEngine",
        base=220 * _MB,
        task="recognition",
        packages=_WHISPER,
        factors=_CTRANSLATE2,
    ),
    "whisperx": Family(
        engine="worker.engines.recognition.whisperx:WhisperxEngine",
        base=1250 * _MB,
        task="recognition",
        packages=("whisperx", "pyannote.audio", *_TORCH, *_WHISPER),
        factors=_CTRANSLATE2,
    ),
    "live": Family(
        engine="worker.engines.recognition.live.engine:LiveEngine",
        base=220 * _MB,
        task="recognition",
        packages=_WHISPER,
        factors=_CTRANSLATE2,
        live=True,
    ),
    "alignment": Family(
        engine="worker.engines.alignment.engine:AlignmentEngine",
        base=800 * _MB,
        task="alignment",
        packages=("whisperx", "transformers", *_TORCH, "av"),
    ),
    "diarization": Family(
        engine="worker.engines.diarization.engine:DiarizationEngine",
        base=1150 * _MB,
        task="diarization",
        packages=("pyannote.audio", *_TORCH, "av"),
        # Its threads take turns with large arrays, some of which each of glibc's arenas would keep:
        # a fifth less memory for long recordings, in the same time.
        environment=MappingProxyType({"MALLOC_ARENA_MAX": "1"}),
    ),
    "audio": Family(engine="worker.engines.decoding:AudioEngine", base=90 * _MB),
    "hub": Family(engine="worker.engines.hub.engine:HubEngine", base=60 * _MB),
}
"""By kind, which is also the `engine` that clients give and see."""

RECOGNISERS: Final = [
    kind for kind, each in FAMILIES.items() if each.task == "recognition" and not each.live
]
"""What clients may give as `engine`; the first is the default."""
TASKS: Final = list(dict.fromkeys(each.task for each in FAMILIES.values() if each.task))
