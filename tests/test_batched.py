"""Batched recognition: windows that miss a threshold are decoded again, and only these."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.tokenizer import Tokenizer

from protocol.transcription import TranscribeParams
from tests.support import MODEL, SAMPLE_RATE, samples_of
from worker.engines.recognition import options as whisper_options
from worker.engines.recognition.batched import BatchedPipeline

Samples = npt.NDArray[np.float32]

WINDOW = 30 * SAMPLE_RATE


def load() -> Any:
    return WhisperModel(str(MODEL), device="cpu", cpu_threads=1)


@pytest.fixture(scope="module")
def model() -> Any:
    return load()


def speech(name: str) -> Samples:
    return samples_of(name).astype(np.float32) / np.float32(32768)


def crackle() -> Samples:
    """A window of clicks on silence, as of a bad line."""
    return (np.random.default_rng(1).random(WINDOW) < 1e-4).astype(np.float32)


def transcribe(pipeline: Any, samples: Samples, **params: Any) -> list[Any]:
    """As the engine calls a pipeline of faster-whisper's."""
    request = TranscribeParams(audio="", **{"batch_size": 4, "language": "en", **params})
    duration = len(samples) / SAMPLE_RATE
    arguments = whisper_options.arguments(request, request.language, duration)
    segments, _ = pipeline.transcribe(samples, **arguments)
    return list(segments)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"temperature": 0.0},
        {"log_prob_threshold": None, "compression_ratio_threshold": None},
        {"word_timestamps": True, "beam_size": 1, "batch_size": 3},
        {"language": None, "multilingual": True, "chunk_length": 8},
        {"initial_prompt": "zero one", "hotwords": "red", "max_new_tokens": 20},
        {"vad_filter": False, "length_penalty": 0.7, "without_timestamps": True},
    ],
    ids=str,
)
def test_without_failed_windows_the_result_equals_the_package(
    model: Any, params: dict[str, Any]
) -> None:
    samples = speech("demo.flac")
    package = transcribe(BatchedInferencePipeline(model), samples, **params)
    assert package
    assert transcribe(BatchedPipeline(model), samples, **params) == package


def test_without_thresholds_the_result_equals_the_package(model: Any) -> None:
    params = {
        "vad_filter": False,
        "compression_ratio_threshold": None,
        "log_prob_threshold": None,
        "no_speech_threshold": None,
    }
    package = transcribe(BatchedInferencePipeline(model), crackle(), **params)
    assert package[0].text
    assert transcribe(BatchedPipeline(model), crackle(), **params) == package


@pytest.mark.parametrize("word_timestamps", [False, True])
def test_crackle_is_silence_and_not_words(model: Any, word_timestamps: bool) -> None:
    talk = speech("en-01.flac")
    samples = np.zeros(3 * WINDOW, np.float32)
    samples[: len(talk)] = samples[2 * WINDOW : 2 * WINDOW + len(talk)] = talk
    samples[WINDOW : 2 * WINDOW] = crackle()
    params = {"vad_filter": False, "word_timestamps": word_timestamps}
    package = transcribe(BatchedInferencePipeline(model), samples, **params)
    made_up = [segment for segment in package if 30 <= segment.start < 60]
    assert made_up
    assert made_up[0].no_speech_prob > 0.9
    found = transcribe(BatchedPipeline(model), samples, **params)
    assert [(each.start, each.end, each.text) for each in found] == [
        (each.start, each.end, each.text) for each in package if each not in made_up
    ]


class Looping:
    """Stands in for the CTranslate2 model: loops in the second of two windows at temperature 0."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, features: Any, prompts: Any, **options: Any) -> Any:
        for name in ("sampling_temperature", "sampling_topk", "num_hypotheses"):
            options.pop(name, None)
        results = self._model.generate(features, prompts, **options)
        if len(prompts) == 2:
            looped = results[1].sequences_ids[0] * 20
            results[1] = SimpleNamespace(sequences_ids=[looped], scores=[-0.1], no_speech_prob=0.0)
        return results


def test_only_a_looping_window_is_decoded_again() -> None:
    samples = np.zeros(2 * WINDOW, np.float32)
    for place, name in ((0, "de-01.flac"), (WINDOW, "de-02.flac")):
        talk = speech(name)
        samples[place : place + len(talk)] = talk
    model = load()
    options = {"language": "de", "vad_filter": False, "beam_size": 1}
    usual = transcribe(BatchedPipeline(model), samples, **options)
    model.model = Looping(model.model)
    found = transcribe(BatchedPipeline(model), samples, **options)
    first = [segment for segment in usual if segment.start < 30]
    assert found[: len(first)] == first
    assert {segment.temperature for segment in first} == {0.0}
    assert {segment.temperature for segment in found[len(first) :]} == {0.2}
    again = "".join(segment.text for segment in found[len(first) :]).split()
    assert again == "".join(segment.text for segment in usual[len(first) :]).split()


class Scripted:
    """Stands in for the CTranslate2 model: gives the next of `results`, notes how it was asked."""

    device = "cpu"
    is_multilingual = True

    def __init__(self, results: list[list[Any]]) -> None:
        self.results = results
        self.asked: list[dict[str, Any]] = []
        self.rows: list[list[int]] = []

    def encode(self, features: Any, to_cpu: bool) -> list[int]:
        return [int(row) for row in np.array(features)[:, 0, 0]]

    def generate(self, encoded: list[int], prompts: list[list[int]], **options: Any) -> list[Any]:
        assert len(prompts) == len(encoded)
        self.asked.append(options)
        self.rows.append(encoded)
        return [self.results[row].pop(0) for row in encoded]


def test_fallback_equals_the_sequential_mode(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language="en")
    prompts = [list(tokenizer.sot_sequence)] * 8
    words = [tokenizer.encode(f" {word}") for word in ("zero", "one", "two", "house", "yellow")]

    def result() -> Any:
        count, kinds = random.integers(1, 40), random.integers(1, 6)
        tokens = [token for pick in random.integers(0, kinds, count) for token in words[pick]]
        return SimpleNamespace(
            sequences_ids=[tokens],
            scores=[float(random.normal(-1, 0.3))],
            no_speech_prob=float(random.random()),
        )

    outcomes = set()
    for _ in range(40):
        temperatures = [0.0, 0.2, 0.4, 1.0][int(random.integers(0, 2)) :]
        scripts = [[result() for _ in temperatures] for _ in prompts]
        limits = random.random(3) < 0.8
        _, info = BatchedInferencePipeline(model).transcribe(
            np.zeros(SAMPLE_RATE, np.float32),
            language="en",
            best_of=3,
            compression_ratio_threshold=2.4 if limits[0] else None,
            log_prob_threshold=-1.0 if limits[1] else None,
            no_speech_threshold=0.6 if limits[2] else None,
            max_new_tokens=50,
            without_timestamps=False,
        )
        options = replace(
            info.transcription_options, temperatures=temperatures, max_initial_timestamp=0.5
        )
        sequential, asked = [], []
        for script, prompt in zip(scripts, prompts, strict=True):
            scripted = Scripted([list(script)])
            monkeypatch.setattr(model, "model", scripted)
            sequential.append(model.generate_with_fallback([0], prompt, tokenizer, options))
            asked.append(scripted.asked)
        monkeypatch.setattr(model, "model", scripted := Scripted([list(each) for each in scripts]))
        ours = BatchedPipeline(model)
        ours._temperatures, ours._max_initial_timestamp = temperatures, 0.5
        features = np.arange(8, dtype=np.float32)[:, None, None]
        ours.generate_segment_batched(features, tokenizer, options)
        monkeypatch.undo()
        assert [each.tokens for each in ours._found] == [
            each[0].sequences_ids[0] for each in sequential
        ]
        assert [each.avg_logprob for each in ours._found] == [each[1] for each in sequential]
        assert scripted.asked == max(asked, key=len)
        assert [row for rows in scripted.rows for row in rows] == [
            row for tries in range(4) for row in range(8) if len(asked[row]) > tries
        ]
        outcomes |= {(len(each), len(temperatures)) for each in asked}
    assert {(1, 4), (2, 4), (4, 4), (1, 3), (3, 3)} <= outcomes


def test_no_window_begins_later_than_max_initial_timestamp(model: Any) -> None:
    samples = speech("en-05.flac")
    params = {"vad_filter": False, "temperature": 0.0}
    usual, early = (
        transcribe(BatchedPipeline(model), samples, max_initial_timestamp=limit, **params)
        for limit in (1.0, 0.1)
    )
    assert usual[0].start > 0.1
    assert early[0].start <= 0.1


def test_a_prompt_of_tokens_is_that_of_its_text(model: Any) -> None:
    samples = speech("en-05.flac")
    tokens = model.hf_tokenizer.encode("zero one", add_special_tokens=False).ids
    found = transcribe(BatchedPipeline(model), samples, initial_prompt=tokens)
    assert found == transcribe(BatchedPipeline(model), samples, initial_prompt="zero one")
