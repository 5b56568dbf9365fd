"""Known voices: their files, and the speakers of a recording who have one of them.

A voice print is the mean embedding of what somebody said; the diarization pipeline compares a
speaker's mean embedding in a recording with it. The cosine of the angle between the two becomes a
probability by a logistic curve, which was fitted to CAM++ embeddings of real meetings and a
telephone call: two turns of the same person have a cosine of 0.59 in the median, of different
persons 0.07; of a turn and a voice print, the same person's is above 0.43 in 27 of 28 cases, and
another person's in 2 of 220.

Voice prints are biometric data: they appear in no log, error or progress report.
"""

from __future__ import annotations

import itertools
import math
import struct
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta

from protocol.diarization import NamedSpeaker
from protocol.errors import RpcError
from protocol.values import NonEmptyStr, NonNegativeInt
from worker.system.paths import from_wire, printable, to_wire
from worker.system.scratch import PendingFile

if TYPE_CHECKING:
    from protocol.diarization import DiarizeResult, NamingOptions, Turn

_EVEN: Final = 0.43
"""The cosine at which the same voice is as probable as another, and"""
_SLOPE: Final = 25.0
"""by how much the log odds change with it."""
_ALIKE: Final = 0.7
"""Share of the highest cosine with a voice in a recording above which others are that voice, too.
On a telephone line, different voices have cosines of up to 0.5."""
_LARGEST_FILE: Final = 1 << 20
"""Bytes."""
_LABEL: Final = "SPEAKER_{:02}"
_SUFFIX: Final = ".voice"
SHORTEST: Final = 2.0
"""Seconds of speech that a voice print needs."""
_folder_lock: Final = threading.Lock()


class _File(msgspec.Struct, rename="camel"):
    """The content of a voice file, as JSON."""

    format: str
    name: NonEmptyStr
    seconds: Annotated[float, Meta(ge=0)]
    embedding_model: str
    embedding: bytes
    version: NonNegativeInt = 1


_FORMAT: Final = "transcription-worker voice"


class Voice(NamedTuple):
    """Somebody's voice; the embedding has unit length."""

    name: str
    embedding_model: str
    embedding: Sequence[float]
    seconds: float

    def __repr__(self) -> str:
        return f"Voice({self.name!r}, {self.seconds:.0f} s)"


def load(path: str) -> Voice:
    """Read a voice file. Raises `RpcError` of kind voice_invalid."""
    try:
        with Path(from_wire(path)).open("rb") as file:
            raw = file.read(_LARGEST_FILE)
        found = msgspec.json.decode(raw, type=_File)
        if found.format != _FORMAT or found.version != 1:
            raise ValueError
        floats = struct.unpack(f"<{len(found.embedding) // 4}f", found.embedding)
        unit = normalised(floats)
    except OSError as error:
        raise _invalid(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, struct.error, msgspec.DecodeError):
        raise _invalid(path, "is damaged, or no voice print") from None
    return Voice(found.name, found.embedding_model, unit, found.seconds)


def save(voice: Voice, path: Path, *, overwrite: bool) -> None:
    """Write a voice file, which only its owner can read.

    Raises `RpcError` of kind export_exists or export_failed.
    """
    if not overwrite:
        refuse_existing(path)
    embedding = struct.pack(f"<{len(voice.embedding)}f", *voice.embedding)
    content = msgspec.json.encode(
        _File(
            format=_FORMAT,
            name=voice.name,
            seconds=round(voice.seconds, 1),
            embedding_model=voice.embedding_model,
            embedding=embedding,
        )
    )
    pending = PendingFile(path)
    try:
        pending.write(content, mode=0o600)
        pending.path.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise RpcError(
            "export_failed",
            f"The voice print cannot be written to {path}: {reason}.",
            remedy="Check the path of output.",
            path=str(path),
        ) from None
    finally:
        pending.remove()


def refuse_existing(path: Path) -> None:
    """Raise `RpcError` of kind export_exists for a file that would be replaced."""
    if path.exists():
        raise RpcError("export_exists", f"The file {path} exists already.", path=str(path))


def known(options: NamingOptions) -> list[Voice]:
    """The voices that a request names. Raises `RpcError` of kind voice_invalid."""
    return [load(path) for path in options.voices]


def probability(cosine: float) -> float:
    """How probable it is that two embeddings are of the same voice."""
    return 1 / (1 + math.exp(-_SLOPE * (cosine - _EVEN)))


def name_speakers(found: DiarizeResult, voices: Sequence[Voice], threshold: float) -> None:
    """Call the speakers with known voices by their names, in all of the result.

    A voice may be that of several speakers, whom the pipeline took for different ones, if they are
    about as similar to it. No other speaker has the name of a known voice. Raises `RpcError` of
    kind voice_invalid for a voice of another embedding model.
    """
    if found.embeddings is UNSET:  # nobody speaks, or the pipeline has no embeddings
        found.voices = []
        return
    for voice in voices:
        if voice.embedding_model != found.embedding_model:
            raise RpcError(
                "voice_invalid",
                f"The voice print of {voice.name} was made with another embedding model.",
            )
    matches = _matches(found.embeddings, voices, threshold) if voices else []
    names = _new_names(found.speakers, matches, {voice.name for voice in voices})
    for turn in (*found.turns, *found.exclusive_turns):
        turn.speaker = names[turn.speaker]
    found.speakers = list(dict.fromkeys(names[each] for each in found.speakers))
    found.embeddings = _merged(found.embeddings, names)
    found.voices = matches


def name_with_folder(
    found: DiarizeResult, voices: Sequence[Voice], threshold: float, folder: Path
) -> None:
    """The same; the folder's voices are known too, and those of other speakers are added to it.

    Raises `RpcError` of kind voice_invalid, export_exists or export_failed.
    """
    with _folder_lock:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise RpcError(
                "export_failed",
                f"The folder {folder} cannot be created: {error}.",
                remedy="Check the path of voiceFolder.",
                path=str(folder),
            ) from None
        kept = [load(to_wire(path)) for path in sorted(folder.glob(f"*{_SUFFIX}"))]
        name_speakers(found, [*voices, *kept], threshold)
        known = {voice.name for voice in (*voices, *kept)}
        for name, embedding in (found.embeddings or {}).items():
            seconds = seconds_of(found.exclusive_turns, name)
            if name not in known and seconds >= SHORTEST:
                voice = Voice(name, found.embedding_model or "", normalised(embedding), seconds)
                save(voice, folder / f"{name}{_SUFFIX}", overwrite=False)


def _matches(
    embeddings: Mapping[str, Sequence[float]], voices: Sequence[Voice], threshold: float
) -> list[NamedSpeaker]:
    """The speakers who are probable enough to have the voice that is most similar to theirs."""
    best: list[tuple[str, str, float]] = []
    for label, embedding in embeddings.items():
        unit = normalised(embedding)
        cosine, name = max((_cosine(unit, voice.embedding), voice.name) for voice in voices)
        best.append((label, name, cosine))
    highest = {name: cosine for _, name, cosine in sorted(best, key=lambda each: each[2])}
    return [
        NamedSpeaker(name=name, label=label, score=round(probability(cosine), 4))
        for label, name, cosine in best
        if probability(cosine) >= threshold and cosine >= _ALIKE * highest[name]
    ]


def mean(embeddings: Iterable[tuple[Sequence[float], float]]) -> list[float]:
    """The mean of embeddings with their weights, each of unit length, as one of unit length."""
    weighted = [
        [weight * value for value in normalised(embedding)] for embedding, weight in embeddings
    ]
    return normalised([math.fsum(column) for column in zip(*weighted, strict=True)])


def normalised(embedding: Sequence[float]) -> list[float]:
    """An embedding of unit length. Raises `ValueError` for one without a direction."""
    length = math.sqrt(math.fsum(value * value for value in embedding))
    if not 0 < length < math.inf:
        raise ValueError("the embedding has no direction")
    return [value / length for value in embedding]


def seconds_of(turns: Iterable[Turn], speaker: str) -> float:
    """How long somebody speaks."""
    return math.fsum(turn.end - turn.start for turn in turns if turn.speaker == speaker)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two embeddings of unit length."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _new_names(
    labels: Sequence[str], matches: Sequence[NamedSpeaker], known: Collection[str]
) -> dict[str, str]:
    """What each label becomes: no other speaker has the name of a known voice."""
    names = {match.label: match.name for match in matches}
    others = [label for label in labels if label not in names]
    taken = {*known, *others}
    free = (name for number in itertools.count() if (name := _LABEL.format(number)) not in taken)
    return names | {label: next(free) if label in known else label for label in others}


def _merged(
    embeddings: Mapping[str, list[float]], names: Mapping[str, str]
) -> dict[str, list[float]]:
    by_name: dict[str, list[tuple[list[float], float]]] = {}
    for label, embedding in embeddings.items():
        by_name.setdefault(names[label], []).append((embedding, 1.0))
    return {name: each[0][0] if len(each) == 1 else mean(each) for name, each in by_name.items()}


def _invalid(path: str, reason: str) -> RpcError:
    return RpcError("voice_invalid", f"The file {printable(path)} {reason}.", path=path)
