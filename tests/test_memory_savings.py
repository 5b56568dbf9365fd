"""When memory runs out, engines do with less and say so; only then do they give up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.transcription import TranscribeParams
from tests.support import MODEL, RECORDINGS
from worker.channel import Writer
from worker.engines.contract import EngineTranscribeParams, LoadParams
from worker.engines.recognition import Recognition
from worker.engines.whisper import WhisperEngine
from worker.jobs import Job

MESSAGE = "CUDA failed with error out of memory"


class Short(WhisperEngine):
    """The real engine, on a machine whose memory runs out a few times."""

    def __init__(self, decodes: int = 0, loads: int = 0) -> None:
        super().__init__()
        self.decodes, self.loads = decodes, loads

    def _load(self, params: LoadParams) -> Any:
        if self.loads:
            self.loads -= 1
            raise RpcError("out_of_memory")
        return super()._load(params)

    def _recognise(self, *args: Any) -> Recognition:
        found = super()._recognise(*args)
        if self.decodes:
            self.decodes -= 1
            raise RuntimeError(MESSAGE)
        return found


@pytest.fixture
def job() -> Iterator[Job]:
    output, write_end = os.pipe()
    yield Job(Call("work", b"1", b""), Writer(write_end, lambda: None), lambda reply: None)
    os.close(output)


@pytest.fixture
def run(job: Job) -> Callable[..., Any]:
    def run(engine: Short, compute_type: Any = "float32", **params: Any) -> Any:
        engine.load(job, LoadParams(model=str(MODEL), compute_type=compute_type))
        audio = str(RECORDINGS / "en-01.flac")
        request = TranscribeParams(audio=audio, model=str(MODEL), **params)
        asked = EngineTranscribeParams(
            request=request, given=[], queue_seconds=0.0, load_seconds=0.0
        )
        return engine.transcribe(job, asked)

    return run


def saved(result: Any) -> list[str]:
    return [each.option for each in result.warnings if each.kind == "memory_saved"]


def test_the_batch_is_made_smaller_first_and_then_the_precision(run: Callable[..., Any]) -> None:
    untroubled = run(Short(), batch_size=8)
    assert (saved(untroubled), untroubled.compute_type) == ([], "float32")
    smaller = run(Short(decodes=1), batch_size=8)
    assert (saved(smaller), smaller.compute_type) == (["batchSize"], "float32")
    assert smaller.text == untroubled.text
    both = run(Short(decodes=2), batch_size=8)
    assert set(saved(both)) == {"batchSize", "computeType"}
    assert both.compute_type.startswith("int8")
    assert both.text


def test_what_is_not_batched_and_is_int8_cannot_do_with_less(run: Callable[..., Any]) -> None:
    with pytest.raises(RpcError) as caught:
        run(Short(decodes=1), "int8")
    assert caught.value.kind == "out_of_memory"


def test_it_is_given_up_when_nothing_is_left_to_save(run: Callable[..., Any]) -> None:
    with pytest.raises(RpcError) as caught:
        run(Short(decodes=3), batch_size=8)
    assert caught.value.kind == "out_of_memory"


def test_a_model_that_does_not_fit_is_loaded_as_int8(run: Callable[..., Any]) -> None:
    result = run(Short(loads=1))
    assert saved(result) == ["computeType"]
    assert result.compute_type.startswith("int8")
    with pytest.raises(RpcError, match="Memory ran out"):
        run(Short(loads=2))


def test_the_next_request_works_with_what_was_saved(run: Callable[..., Any], job: Job) -> None:
    engine = Short(decodes=1)
    run(engine)
    audio = str(RECORDINGS / "en-01.flac")
    request = TranscribeParams(audio=audio, model=str(MODEL))
    again = engine.transcribe(
        job, EngineTranscribeParams(request=request, given=[], queue_seconds=0, load_seconds=0)
    )
    assert saved(again) == ["computeType"]


def test_alignment_goes_on_in_smaller_batches(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    import torch

    from protocol.alignment import AlignmentOptions, SegmentText
    from tests.support import ALIGNMENT_MODEL, load_truth
    from worker.engines.alignment import AlignmentEngine
    from worker.engines.alignment_model import AlignmentModel
    from worker.engines.contract import EngineAlignParams, LoadAlignmentParams, Source

    sizes: list[int] = []
    emissions = AlignmentModel.emissions

    def limited(self: AlignmentModel, samples: torch.Tensor) -> torch.Tensor:
        sizes.append(len(samples))
        if len(samples) > 2:
            raise torch.OutOfMemoryError(MESSAGE)
        return emissions(self, samples)

    engine = AlignmentEngine()
    engine.load(job, LoadAlignmentParams(model=str(ALIGNMENT_MODEL)))
    name = "en-01.flac"
    text = load_truth()[name]["text"]
    asked = EngineAlignParams(
        source=Source(path=str(Path(RECORDINGS, name))),
        segments=[SegmentText(text=text, start=0.0, end=2.0) for _ in range(5)],
        language="en",
        options=AlignmentOptions(),
    )
    usual = engine.align(job, asked)
    monkeypatch.setattr(AlignmentModel, "emissions", limited)
    result = engine.align(job, asked)
    assert sizes == [5, 2, 2, 1]
    assert saved(result) == ["batchSize"]
    assert [each.words for each in result.segments] == [each.words for each in usual.segments]


def test_diarization_goes_on_in_smaller_batches(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    from worker.engines.contract import EngineDiarizeParams, Source
    from worker.engines.diarization import DiarizationEngine

    engine = DiarizationEngine()
    pipeline = type("Pipeline", (), {"device": "cpu", "embedding_batch_size": 32})()
    engine._pipeline, engine._batch_sizes = pipeline, {"embedding_batch_size": 32}
    seen: list[int] = []

    def apply(*_: Any) -> Any:
        seen.append(pipeline.embedding_batch_size)
        raise RpcError("out_of_memory")

    monkeypatch.setattr(engine, "_attempt", apply)
    with pytest.raises(RpcError, match="Memory ran out"):
        source = Source(path=str(RECORDINGS / "en-01.flac"))
        engine.diarize(job, EngineDiarizeParams(source=source, options=_diarization_options()))
    assert seen == [32, 16]


def _diarization_options() -> Any:
    from protocol.diarization import DiarizationOptions

    return DiarizationOptions()
