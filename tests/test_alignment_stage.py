"""The stage that aligns a job's segments: each by the model of its own language."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest

from protocol.alignment import AlignedSegment, AlignmentOptions, AlignResult, Word
from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.transcription import PartialTranscript, Segment, TranscribeParams
from protocol.values import Timings
from worker.engines.contract import EngineAlignParams, Source
from worker.managers.model import Model
from worker.pipeline.alignment import Alignment
from worker.pipeline.stage import Shared
from worker.pipeline.tracks import Track
from worker.session.job import Job, Json
from worker.session.writer import Writer


class Models:
    """A pool in which models by some names are missing; the others put a word at 1 s."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.asked: list[tuple[str, str, list[int]]] = []
        """Model, language and segments of each call."""

    def lease(self, model: Model, **wishes: Any) -> Lease:
        return Lease(self, model.name)


class Lease(AbstractContextManager["Lease"]):
    loaded = False

    def __init__(self, models: Models, name: str) -> None:
        self._models, self._name = models, name

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, caller: object, work: Any) -> Any:
        return work()

    def load(self, caller: object) -> None:
        if any(part in self._name for part in self._models.missing):
            raise RpcError("model_not_cached", f"{self._name} is not cached.")

    preload = load

    def perform(self, caller: object, method: str, request: EngineAlignParams) -> Json:
        ids = [each.id or 0 for each in request.segments]
        self._models.asked.append((self._name, request.language, ids))
        word = Word(start=1.0, end=2.0, word="x", probability=1.0)
        segments = [AlignedSegment(id=i, start=1.0, end=2.0, text="x", words=[word]) for i in ids]
        result = AlignResult(
            language=request.language,
            segments=segments,
            model=self._name,
            aligner="batched",
            device="cpu",
            duration=9.0,
            timings=Timings(stages={}),
        )
        return Json([msgspec.json.encode(result)])


def segment(id_: int, language: str) -> PartialTranscript:
    unknown: dict[str, Any] = dict.fromkeys(
        ("avg_logprob", "compression_ratio", "no_speech_prob", "temperature")
    )
    found = Segment(id=id_, start=5.0, end=6.0, text="x", language=language, **unknown)
    return PartialTranscript(language=language, segments=[found])


def align(models: Models, *languages: str, **params: Any) -> Shared:
    """Run the stage over a segment in each of the languages."""
    call = Call("transcribe", b"1", json.dumps({"audio": "x"}).encode())
    job = Job(call, Writer(os.open(os.devnull, os.O_WRONLY), lambda: None), lambda reply: None)
    asked = TranscribeParams(audio="x", **params)
    shared = Shared(job, asked, models, ["recognition", "alignment"])  # type: ignore[arg-type]
    stage = Alignment(shared, AlignmentOptions())
    track = Track(Source(path="x", raw=True))
    shared.tracks.publish([track])
    for number, language in enumerate(languages):
        found = segment(number, language)
        shared.draft.add(found.language, found.segments)
        stage.add(track, found)
    stage.end_of_segments()
    stage.run()
    return shared


def test_each_segment_is_aligned_by_the_model_of_its_language() -> None:
    models = Models()
    align(models, "nl", "nl", "pt", "nl")
    dutch, portuguese = (
        f"jonatasgrosman/wav2vec2-large-xlsr-53-{n}" for n in ("dutch", "portuguese")
    )
    assert models.asked == [(dutch, "nl", [0, 1]), (portuguese, "pt", [2]), (dutch, "nl", [3])]


@pytest.mark.parametrize("without", ["pt", "tlh"], ids=["not cached", "no model"])
def test_a_language_that_cannot_be_aligned_keeps_its_times(without: str) -> None:
    shared = align(Models("portuguese"), "nl", without, "nl", without)
    assert [bool(each.words) for each in by_id(shared)] == [True, False, True, False]
    assert [each.start for each in by_id(shared)] == [1.0, 5.0, 1.0, 5.0]
    (notice,) = shared.notices
    assert (notice.kind, notice.option) == ("stage_failed", "align")
    assert f"Segments in {without} keep" in notice.message
    assert isinstance(notice.error, dict)
    assert notice.error["data"]["remedy"]


def test_a_missing_model_of_the_named_language_leaves_the_others() -> None:
    shared = align(Models("portuguese"), "pt", "nl", language="pt")
    assert [bool(each.words) for each in by_id(shared)] == [False, True]
    assert len(shared.notices) == 1


def test_a_language_that_cannot_be_aligned_fails_the_job_on_request() -> None:
    with pytest.raises(RpcError) as caught:
        align(Models("portuguese"), "nl", "pt", on_stage_error="fail")
    assert caught.value.kind == "model_not_cached"


def by_id(shared: Shared) -> list[Segment]:
    return sorted(shared.draft.segments(), key=lambda each: each.id)
