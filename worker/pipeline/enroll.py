"""Makes a voice known: puts recordings of a person together, and keeps the voice heard the most.

A diarization pipeline looks at ten seconds at a time, and fills up what is shorter with silence,
which changes the embedding. So all recordings become one, and a short one is repeated.
"""

from __future__ import annotations

import math
import time
import wave
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from protocol.diarization import DiarizationOptions, DiarizeResult
from protocol.errors import RpcError
from protocol.speakers import EnrollParams, EnrollResult, VoiceSample
from protocol.values import Notice
from worker.engines.contract import DecodeParams, DecodeResult, EngineDiarizeParams, Source
from worker.managers.model import AUDIO
from worker.managers.resolve import diarization_model
from worker.pipeline import voices
from worker.session.job import Json
from worker.stage_clock import StageClock
from worker.system.paths import from_wire
from worker.system.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.managers.pool import ModelPool
    from worker.session.job import Job

_RATE: Final = 16_000
"""Hz, of decoded audio."""
_LONGEST: Final = 120
"""Seconds of a recording that are used."""
_LEAST: Final = 20.0
"""Seconds for the pipeline."""
_OTHERS: Final = 0.1
"""Share of the speech that others may have without a warning."""


def enroll(job: Job, params: EnrollParams, pool: ModelPool) -> Json:
    """Serve `speakers/enroll`. Raises `RpcError`."""
    clock = StageClock(time.monotonic() - job.accepted_at)
    path = Path(from_wire(params.output)).absolute()
    if not params.overwrite:
        voices.refuse_existing(path)
    job.begin(f"Enrolling {params.name}")
    notices: list[Notice] = []
    with Scratch("enroll") as scratch:
        with clock.stage("decode"):
            decoded = [
                each
                for number, sample in enumerate(params.recordings)
                for each in _decode(job, sample, scratch.path / str(number), pool, notices)
            ]
        recording = scratch.path / "voice.wav"
        copies = _join(decoded, recording)
        with clock.stage("diarization"):
            found = _diarize(job, params, recording, pool)
    notices += [each for each in found.warnings if each.kind != "no_embedding"]
    speaker, seconds = _main(found, copies, notices)
    if speaker is None or seconds < voices.SHORTEST:
        raise RpcError(
            "voice_too_short",
            f"The recordings contain {seconds:.1f} s of speech of one person; a voice print needs "
            f"{voices.SHORTEST:g} s.",
        )
    assert found.embeddings and found.embedding_model
    voice = voices.Voice(
        params.name,
        found.embedding_model,
        voices.normalised(found.embeddings[speaker]),
        seconds,
    )
    voices.save(voice, path, overwrite=params.overwrite)
    result = EnrollResult(
        name=params.name,
        path=params.output,
        seconds=round(seconds, 1),
        model=params.model,
        warnings=notices,
        timings=clock.timings({}),
    )
    return Json([msgspec.json.encode(result)])


def _decode(
    job: Job, sample: VoiceSample, directory: Path, pool: ModelPool, notices: list[Notice]
) -> list[Path]:
    """Decode a recording to a file of float32 samples."""
    directory.mkdir()
    request = DecodeParams(source=Source.of(sample), directory=str(directory))
    with pool.lease(AUDIO) as lease:
        reply = lease.run(job, lambda: lease.perform(job, "decode", request))
    result = msgspec.json.decode(b"".join(reply), type=DecodeResult)
    notices += [each for each in result.warnings if each not in notices]
    return [Path(each) for each in result.paths]


def _join(decoded: Iterable[Path], recording: Path) -> int:
    """Write all samples to a WAV file, as often as it takes to be long enough; return how often."""
    samples = array("f")
    for path in decoded:
        with path.open("rb") as file:
            samples.frombytes(file.read(_LONGEST * _RATE * samples.itemsize))
    copies = max(1, math.ceil(_LEAST * _RATE / max(1, len(samples))))
    integers = array("h", (round(32767 * max(-1.0, min(1.0, each))) for each in samples))
    with wave.open(str(recording), "wb") as joined:
        joined.setparams((1, 2, _RATE, 0, "NONE", ""))
        joined.writeframes(integers.tobytes() * copies)
    return copies


def _diarize(job: Job, params: EnrollParams, recording: Path, pool: ModelPool) -> DiarizeResult:
    options = DiarizationOptions(
        model=params.model,
        revision=params.revision,
        download=params.download,
        device=params.device,
        device_index=params.device_index,
        threads=params.threads,
        allow_pickle=params.allow_pickle,
        embeddings=True,
    )
    request = EngineDiarizeParams(source=Source(path=str(recording)), options=options)
    model = diarization_model(options, download=False)
    with pool.lease(model, priority=params.priority, keep_alive=params.keep_alive) as lease:
        reply = lease.run(job, lambda: lease.perform(job, "diarize", request))
    return msgspec.json.decode(b"".join(reply), type=DiarizeResult)


def _main(found: DiarizeResult, copies: int, notices: list[Notice]) -> tuple[str | None, float]:
    """Who speaks the longest, and how long; warn if others speak, too."""
    if found.embeddings is UNSET or not found.embeddings:
        return None, 0.0
    seconds = {
        each: voices.seconds_of(found.exclusive_turns, each) / copies for each in found.embeddings
    }
    speaker = max(seconds, key=lambda each: seconds[each])
    others = sum(seconds.values()) - seconds[speaker]
    if others > _OTHERS * seconds[speaker]:
        message = (
            f"Others speak, too, for {others:.1f} s: the voice print is of who speaks the longest, "
            f"{seconds[speaker]:.1f} s."
        )
        notices.append(Notice(kind="several_voices", message=message))
    return speaker, seconds[speaker]
