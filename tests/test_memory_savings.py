"""When memory runs out, engines do with less and say so; only then do they give up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from protocol.envelope import Call
from protocol.errors import RpcError
from protocol.transcription import TranscribeParams
from tests.support import MODEL, RECORDINGS
from worker.engines.contract import EngineTranscribeParams, LoadParams
from worker.engines.recognition.base import Recognition
from worker.engines.recognition.faster_whisper import FasterWhisperEngine
from worker.engines.recognition.model import native_error
from worker.session.job import Job
from worker.session.writer import Writer

MESSAGE = "CUDA failed with error out of memory"


class Short(FasterWhisperEngine):
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
    from worker.engines.alignment.engine import AlignmentEngine
    from worker.engines.alignment.model import AlignmentModel
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


@pytest.mark.parametrize("aligner", ["batched", "whisperx"])
def test_alignment_that_gets_no_memory_at_all_says_that(
    monkeypatch: pytest.MonkeyPatch, job: Job, aligner: Literal["batched", "whisperx"]
) -> None:
    import torch

    from protocol.alignment import AlignmentOptions, SegmentText
    from tests.support import ALIGNMENT_MODEL
    from worker.engines.alignment.engine import AlignmentEngine
    from worker.engines.contract import EngineAlignParams, LoadAlignmentParams, Source

    engine = AlignmentEngine()
    engine.load(job, LoadAlignmentParams(model=str(ALIGNMENT_MODEL)))

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError(MESSAGE)

    assert engine._model
    monkeypatch.setattr(engine._model.model, "forward", full)
    asked = EngineAlignParams(
        source=Source(path=str(RECORDINGS / "en-01.flac")),
        segments=[SegmentText(text="one two three")],
        language="en",
        options=AlignmentOptions(aligner=aligner),
    )
    with pytest.raises(RpcError) as caught:
        engine.align(job, asked)
    assert caught.value.kind == "out_of_memory"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CUDA failed with error out of memory", "out_of_memory"),
        ("std::bad_alloc", "out_of_memory"),
        ("mkl_malloc: failed to allocate memory", "out_of_memory"),
        ("cuBLAS failed with status CUBLAS_STATUS_NOT_INITIALIZED", "out_of_memory"),
        # As thrust says it on a device without memory.
        ("parallel_for failed: cudaErrorInvalidDevice: invalid device ordinal", "out_of_memory"),
        ("Library libcublas.so.12 is not found or cannot be loaded", "device_unavailable"),
        ("CUDA failed with error no kernel image is available", "device_unavailable"),
        ("Unsupported model binary version", "model_invalid"),
    ],
)
def test_what_ctranslate2_says_is_told_by_its_kind(said: str, kind: str) -> None:
    error = native_error(RuntimeError(said), "model_invalid", "It failed")
    assert error.kind == kind
    assert error.message == f"It failed: {said}."


def test_diarization_goes_on_in_smaller_batches(job: Job) -> None:
    from worker.engines.contract import EngineDiarizeParams, Source
    from worker.engines.diarization.engine import DiarizationEngine

    engine = DiarizationEngine()
    seen: list[int] = []

    class Pipeline:
        device = "cpu"
        embedding_batch_size = 32

        def __call__(self, *_: Any, **__: Any) -> None:
            seen.append(self.embedding_batch_size)
            raise MemoryError

    engine._pipeline, engine._batch_sizes = Pipeline(), {"embedding_batch_size": 32}
    with pytest.raises(RpcError, match="Memory ran out"):
        source = Source(path=str(RECORDINGS / "en-01.flac"))
        engine.diarize(job, EngineDiarizeParams(source=source, options=_diarization_options()))
    assert seen == [32, 16]


def _diarization_options() -> Any:
    from protocol.diarization import DiarizationOptions

    return DiarizationOptions()
