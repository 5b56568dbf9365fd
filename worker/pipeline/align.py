"""`align`: checks the transcript; in several languages, one model aligns it after another."""

from __future__ import annotations

import os
import time
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from protocol.alignment import AlignedSegment, AlignResult, SegmentText
from protocol.errors import RpcError
from worker.managers.callers import CallbackCaller
from worker.session.job import Json
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocol.alignment import AlignParams
    from protocol.progress import ProgressReport
    from protocol.values import Notice
    from worker.engines.contract import EngineAlignParams
    from worker.managers.model import Model
    from worker.managers.pool import ModelPool
    from worker.session.job import Job


def segments_of(params: AlignParams) -> list[SegmentText]:
    """The segments to align, each with its language; those without text have that of another.

    Raises `RpcError` of kind invalid_params.
    """
    if (params.segments is None) == (params.text is None):
        raise RpcError("invalid_params", "Give either segments or text.", path="$.segments")
    given = params.segments
    if not given and params.language is None:
        raise RpcError("invalid_params", "The param language is required.", path="$.language")
    if given is None:
        given = [SegmentText(text=params.text or "")]
    segments = [
        msgspec.structs.replace(each, language=_language(params, each, number))
        for number, each in enumerate(given)
    ]
    said = [(number, each) for number, each in enumerate(segments) if each.text.strip()]
    for (_, before), (number, each) in pairwise(said):
        if _untimed(before) and _untimed(each) and before.language != each.language:
            raise RpcError(
                "invalid_params",
                f"segments[{number}] and the one before it have no times but different languages: "
                "nothing says where one ends and the other begins.",
                remedy="Give one of them times.",
                path=f"$.segments[{number}]",
            )
    for each in segments:
        if said and not each.text.strip():
            each.language = said[0][1].language
    return segments


def languages_of(params: AlignParams, segments: Sequence[SegmentText]) -> list[str]:
    """The languages of the segments, in their order."""
    found = dict.fromkeys(each.language or "" for each in segments)
    return list(found) or [(params.language or "").lower()]


def align_in_turn(
    job: Job,
    params: AlignParams,
    requests: Sequence[tuple[Model, EngineAlignParams]],
    pool: ModelPool,
) -> Json:
    """Align a transcript in several languages, with a request for each. Raises `RpcError`."""
    clock = StageClock(time.monotonic() - job.accepted_at)
    job.begin(f"Aligning {os.path.basename(params.audio)}")
    results: dict[str, AlignResult] = {}
    for number, (model, request) in enumerate(requests):
        caller = CallbackCaller(
            partial(_report, job, number, len(requests)),
            lambda value: job.forward_partials([value]),
        )
        job.on_cancel(caller.stop)
        with pool.lease(model, priority=params.priority, keep_alive=params.keep_alive) as lease:

            def align() -> tuple[float, Json]:
                return clock.now(), lease.perform(caller, "align", request)  # noqa: B023

            called_at, reply = lease.run(caller, align)
        result = msgspec.json.decode(b"".join(reply), type=AlignResult)
        clock.adopt(result.timings, called_at, "load", "decode", "alignment")
        results[request.language] = result
    segments = requests[0][1].segments
    return Json([msgspec.json.encode(_merged(segments, results, clock))])


def _language(params: AlignParams, segment: SegmentText, number: int) -> str:
    language = segment.language or params.language
    if language is None:
        raise RpcError(
            "invalid_params",
            f"segments[{number}] has no language.",
            remedy="Give each segment a language, or set language for the others.",
            path=f"$.segments[{number}].language",
        )
    return language.lower()


def _untimed(segment: SegmentText) -> bool:
    return segment.start is None and segment.end is None


def _report(job: Job, number: int, count: int, report: ProgressReport) -> None:
    """Convert the percentage of one language to that of all."""
    if report.percentage is not None:
        report.percentage = round((100 * number + report.percentage) / count, 2)
    job.report(report)


def _merged(
    segments: Sequence[SegmentText], results: dict[str, AlignResult], clock: StageClock
) -> AlignResult:
    """One result of all languages, with the segments in the request's order."""
    aligned = {language: iter(result.segments) for language, result in results.items()}
    languages = [each.language or "" for each in segments]
    main = results[Counter(languages).most_common(1)[0][0]]
    found: list[AlignedSegment] = [next(aligned[language]) for language in languages]
    notices: list[Notice] = []
    for result in results.values():
        notices += [each for each in result.warnings if each not in notices]
    audio = main.duration * len(results)
    return msgspec.structs.replace(
        main,
        segments=found,
        models={language: result.model for language, result in results.items()},
        warnings=notices,
        timings=clock.timings({"decode": audio, "alignment": audio}),
    )
