"""The real diarization pipeline: its exported embedding, and who speaks in a telephone call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from examples.models import call, campplus
from examples.models.assets import EMBEDDING, WEIGHTS
from tests.measures import diarization_error
from tests.real.speech import call_lines
from tests.support import Session


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frames", [9, 99, 200, 201, 998])
def test_the_embedding_in_onnx_gives_what_torch_does(models: Path, frames: int, batch: int) -> None:
    import onnxruntime
    import torch

    pipeline = models / "diarization"
    model = campplus.load(pipeline / WEIGHTS)
    session = onnxruntime.InferenceSession(
        str(pipeline / EMBEDDING), providers=["CPUExecutionProvider"]
    )
    features = 4 * torch.randn(batch, frames, 80, generator=torch.Generator().manual_seed(frames))
    features -= features.mean(1, keepdim=True)
    with torch.inference_mode():
        expected = model(features)
    (found,) = session.run(["embs"], {"feats": features.numpy()})
    assert found.shape == (batch, campplus.DIMENSION)
    assert float((torch.from_numpy(found) - expected).abs().max()) < 1e-3


def test_the_two_people_of_a_telephone_call_are_told_apart(
    models: Path, telephone: Path, worker: Session
) -> None:
    job = {"audio": str(telephone), "model": str(models / "diarization")}
    result = worker.result(worker.send("diarize", {**job, "embeddings": True}))
    assert [len(vector) for vector in result["embeddings"].values()] == [campplus.DIMENSION] * 2
    truth = []
    for line in (call() / "sample.rttm").read_text("utf-8").splitlines():
        _, *_, start, length, _, _, speaker, _, _ = line.split()
        end = float(start) + float(length)
        truth.append({"start": float(start), "end": end, "speaker": speaker})
    wrong, spoken = diarization_error(truth, result["turns"])
    assert wrong / spoken < 0.15


def test_the_words_of_the_call_have_their_speakers(
    models: Path, telephone: Path, worker: Session
) -> None:
    result = worker.transcribe(
        telephone,
        model=str(models / "base"),
        diarize={"model": str(models / "diarization")},
        wordTimestamps=True,
    )
    assert result["warnings"] == []
    lines = call_lines()
    pairs: Counter[tuple[str, str]] = Counter()
    for segment in result["segments"]:
        for word in segment["words"]:
            middle = (word["start"] + word["end"]) / 2
            pairs.update(
                (line.speaker, word["speaker"]) for line in lines if line.start <= middle < line.end
            )
    spoken = sum(pairs.values())
    assert spoken >= 60
    names = {
        speaker: max((n, heard) for (who, heard), n in pairs.items() if who == speaker)[1]
        for speaker in ("Diane", "Sheila")
    }
    assert len(set(names.values())) == 2
    assert sum(pairs[who, heard] for who, heard in names.items()) / spoken >= 0.95


@pytest.mark.parametrize("engine", ["faster-whisper", "whisperx"])
def test_what_libraries_print_stays_off_the_terminal(
    models: Path, telephone: Path, engine: str
) -> None:
    options = {"model": str(models / "base"), "engine": engine, "end": 12}
    with Session() as session:
        session.transcribe(telephone, diarize={"model": str(models / "diarization")}, **options)
    assert session.stderr == b""
