"""What is found on a device is what is found on the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from tests.measures import diarization_error, word_errors
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    Session,
    load_truth,
)

NAMES = ("en-01.flac", "en-07.flac", "en-14.flac", "de-04.flac")
MIXED = ("mixture-09.flac", "mixture-17.flac", "mixture-24.flac")
TRUTH = load_truth()
FRAME = 0.0201
"""Seconds: what Whisper's and wav2vec2's times are counted in."""


def words_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in result["segments"] for word in segment["words"]]


def texts_of(result: dict[str, Any]) -> list[str]:
    return [word["word"] for word in words_of(result)]


def assert_times_agree(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one["start"] == pytest.approx(other["start"], abs=FRAME)
        assert one["end"] == pytest.approx(other["end"], abs=FRAME)


def test_the_worker_tells_of_the_device_and_of_what_can_use_it(warm: Session, device: str) -> None:
    found = warm.call("environment/devices")
    first = found["accelerators"][0]
    assert (first["kind"], first["index"], first["name"]) == ("cuda", 0, device)
    assert first["usableBy"] == ["ctranslate2", "torch"]
    assert {"float32", "float16", "int8_float16"} <= set(first["computeTypes"])
    assert first["driver"] and first["computeCapability"]
    assert 0 < first["memoryFree"] <= first["memoryTotal"]
    assert [each for each in found["findings"] if each["severity"] != "info"] == []


def test_auto_is_the_device_with_the_precision_that_the_model_is_kept_in(warm: Session) -> None:
    result = warm.transcribe(RECORDINGS / "en-01.flac")
    assert result["device"] == "cuda"
    assert result["computeType"].startswith("int8")
    assert result["warnings"] == []


@pytest.mark.parametrize("compute_type", ["float32", "float16", "int8_float16", "bfloat16"])
def test_recognition_hears_the_same_words_at_the_same_times(
    warm: Session, compute_type: str
) -> None:
    for name in NAMES:
        language = TRUTH[name]["language"]
        asked = {"language": language, "wordTimestamps": True}
        cpu = warm.transcribe(RECORDINGS / name, device="cpu", computeType="float32", **asked)
        cuda = warm.transcribe(RECORDINGS / name, device="cuda", computeType=compute_type, **asked)
        assert (cuda["device"], cuda["computeType"]) == ("cuda", compute_type)
        assert cuda["text"] == cpu["text"]
        if compute_type in ("float32", "float16"):
            assert_times_agree(words_of(cuda), words_of(cpu))


def test_batched_recognition_hears_the_same_words(warm: Session) -> None:
    asked = {"language": "en", "batchSize": 8, "computeType": "float32"}
    for name in ("demo.flac", "en-14.flac"):
        cpu = warm.transcribe(RECORDINGS / name, device="cpu", **asked)
        cuda = warm.transcribe(RECORDINGS / name, device="cuda", **asked)
        assert cuda["device"] == "cuda"
        assert cuda["text"] == cpu["text"]


def test_the_language_is_the_same(warm: Session) -> None:
    for name in ("en-02.flac", "de-02.flac"):
        assert warm.transcribe(RECORDINGS / name, device="cuda")["language"] == name[:2]


def test_the_whisperx_engine_decodes_there_as_half_floats(warm: Session) -> None:
    asked = {"engine": "whisperx", "language": "en"}
    cuda = warm.transcribe(RECORDINGS / "en-14.flac", **asked)
    assert (cuda["device"], cuda["computeType"]) == ("cuda", "float16")
    cpu = warm.transcribe(RECORDINGS / "en-14.flac", device="cpu", **asked)
    assert cuda["text"] == cpu["text"]


def test_alignment_gives_the_same_times(warm: Session) -> None:
    for name in NAMES:
        asked = {
            "audio": str(RECORDINGS / name),
            "segments": [
                {key: each[key] for key in ("start", "end", "text")}
                for each in TRUTH[name]["segments"]
            ],
            "language": TRUTH[name]["language"],
            "model": str(ALIGNMENT_MODEL),
        }
        cpu = warm.call("align", {**asked, "device": "cpu"})
        cuda = warm.call("align", asked)
        assert cuda["device"] == "cuda:0"
        assert texts_of(cuda) == texts_of(cpu)
        assert_times_agree(words_of(cuda), words_of(cpu))


def test_diarization_gives_the_same_turns(warm: Session) -> None:
    for name in MIXED:
        asked = {"audio": str(MIXTURES / name), "model": str(DIARIZATION_MODEL), "embeddings": True}
        cpu = warm.call("diarize", {**asked, "device": "cpu"})
        cuda = warm.call("diarize", asked)
        assert cuda["device"] == "cuda:0"
        assert cuda["speakers"] == cpu["speakers"]
        wrong, length = diarization_error(cpu["turns"], cuda["turns"])
        assert wrong / length < 0.005
        assert set(cuda["embeddings"]) == set(cpu["embeddings"])


def test_the_whole_job_gives_the_same_words_times_and_speakers(warm: Session) -> None:
    for name in MIXED:

        def job(device: str, name: str = name) -> dict[str, Any]:
            return warm.transcribe(
                MIXTURES / name,
                language="en",
                device=device,
                computeType="float32",
                align={"model": str(ALIGNMENT_MODEL), "device": device},
                diarize={"model": str(DIARIZATION_MODEL), "device": device},
                formats=["srt", "json"],
            )

        cpu, cuda = job("cpu"), job("auto")
        assert cuda["device"] == "cuda"
        assert texts_of(cuda) == texts_of(cpu)
        assert_times_agree(words_of(cuda), words_of(cpu))
        speakers = [[word["speaker"] for word in words_of(each)] for each in (cuda, cpu)]
        assert speakers[0] == speakers[1]
        assert cuda["speakers"] == cpu["speakers"]
        said = [word["word"] for word in load_truth(MIXTURES)[name]["words"]]
        assert word_errors(said, cuda["text"].split()) <= word_errors(said, cpu["text"].split())


def test_two_models_work_on_one_device_at_once(warm: Session) -> None:
    asked = {"language": "en", "device": "cuda", "batchSize": 4}
    types = ("float32", "float16")
    name = RECORDINGS / "demo.flac"
    alone = {each: warm.transcribe(name, computeType=each, **asked)["text"] for each in types}
    ids = [
        (each, warm.send_transcribe(name, computeType=each, **asked))
        for each in types
        for _ in "12"
    ]
    for each, id_ in ids:
        assert warm.result(id_)["text"] == alone[each]
    loaded = {
        each["computeType"]
        for model in warm.call("models/list", {"task": "recognition"})["models"]
        for each in model["loaded"]
        if model["name"] == str(MODEL) and each["device"] == "cuda"
    }
    assert set(types) <= loaded
