"""Makes a voice known: diarizes recordings of a person, and keeps what the voice has in common.

In each recording the person is who speaks the longest. The voice print is the mean of these
speakers' embeddings, weighted by how long they speak, at most a minute in each recording.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from protocol.diarization import DiarizationOptions, DiarizeResult
from protocol.errors import RpcError
from protocol.speakers import EnrollParams, EnrollResult
from protocol.values import Notice
from worker.engines.contract import EngineDiarizeParams, Source
from worker.managers.resolve import diarization_model
from worker.pipeline import voices
from worker.session.job import Json
from worker.stage_clock import StageClock
from worker.system.paths import from_wire

if TYPE_CHECKING:
    from worker.managers.lease import Lease
    from worker.managers.pool import ModelPool
    from worker.session.job import Job

_LONGEST: Final = 60.0
"""Seconds beyond which a recording counts no more."""
_OTHERS: Final = 0.1
"""Share of the speech that others may have without a warning."""


def enroll(job: Job, params: EnrollParams, pool: ModelPool) -> Json:
    """Serve `speakers/enroll`. Raises `RpcError`."""
    clock = StageClock(time.monotonic() - job.accepted_at)
    path = Path(from_wire(params.output)).absolute()
    if not params.overwrite:
        voices.refuse_existing(path)
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
    model = diarization_model(options, download=False)
    parts: list[tuple[list[float], float]] = []
    notices: list[Notice] = []
    embedding_model = ""
    job.begin(f"Enrolling {params.name}")
    with pool.lease(model, priority=params.priority, keep_alive=params.keep_alive) as lease:
        for sample in params.recordings:
            request = EngineDiarizeParams(source=Source.of(sample), options=options)
            with clock.stage("diarization"):
                found = _diarize(job, lease, request)
            notices += [each for each in found.warnings if each not in notices]
            if found.embeddings is UNSET or not found.embeddings:
                continue
            assert found.embedding_model is not UNSET
            embedding_model = found.embedding_model
            speaker, seconds = _main(found, notices, sample.audio)
            parts.append((found.embeddings[speaker], min(seconds, _LONGEST)))
    total = sum(seconds for _, seconds in parts)
    if total < voices.SHORTEST:
        raise RpcError(
            "voice_too_short",
            f"The recordings contain {total:.1f} s of speech of one person; a voice print needs "
            f"{voices.SHORTEST:g} s.",
        )
    voice = voices.Voice(params.name, embedding_model, voices.mean(parts), total)
    voices.save(voice, path, overwrite=params.overwrite)
    result = EnrollResult(
        name=params.name,
        path=params.output,
        seconds=round(total, 1),
        model=params.model,
        warnings=notices,
        timings=clock.timings({}),
    )
    return Json([msgspec.json.encode(result)])


def _diarize(job: Job, lease: Lease, request: EngineDiarizeParams) -> DiarizeResult:
    reply = lease.run(job, lambda: lease.perform(job, "diarize", request))
    return msgspec.json.decode(b"".join(reply), type=DiarizeResult)


def _main(found: DiarizeResult, notices: list[Notice], audio: str) -> tuple[str, float]:
    """Who speaks the longest, and how long; warn if others speak, too."""
    assert found.embeddings is not UNSET
    seconds = {each: voices.seconds_of(found.exclusive_turns, each) for each in found.embeddings}
    speaker = max(seconds, key=lambda each: seconds[each])
    others = sum(seconds.values()) - seconds[speaker]
    if others > _OTHERS * seconds[speaker]:
        message = (
            f"Others speak in {audio}, too, for {others:.1f} s: the voice print is of who speaks "
            f"the longest, {seconds[speaker]:.1f} s."
        )
        notices.append(Notice(kind="several_voices", message=message))
    return speaker, seconds[speaker]
