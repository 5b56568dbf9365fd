"""The engines return what the packages that they wrap return, on real speech.

Three differences are intended. Times end with the recording, and text after it is dropped. If a
window misses a threshold, faster-whisper samples random tokens and returns other words each time;
the worker samples as the package does in a new process. And the package's batched mode uses no
timestamps and decodes no window again; the worker's does both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.speech import sample
from tests.support import Session
from worker.audio import SAMPLE_RATE, decode
from worker.system.child_environment import QUIET

THREADS = 2
Timed = tuple[float, float, str]


@pytest.fixture(scope="module")
def files(models: Path, telephone: Path) -> list[Path]:
    """The call, and two samples of other languages."""
    return [telephone, sample(models, "fr/pangrama"), sample(models, "pt/pangrama")]


@pytest.fixture(scope="module")
def package(models: Path) -> Any:
    """faster-whisper's model."""
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(models / "base"), device="cpu", compute_type="int8", cpu_threads=THREADS
    )


def by_worker(worker: Session, models: Path, file: Path, **options: Any) -> list[Timed]:
    result = worker.transcribe(
        file,
        model=str(models / "base"),
        **{"engine": "faster-whisper", "computeType": "int8", "device": "cpu", **options},
        threads=THREADS,
    )
    return [(each["start"], each["end"], each["text"]) for each in result["segments"]]


def timed(segments: Iterator[Any], file: Path) -> list[Timed]:
    """What is left of the package's segments within the recording."""
    end = len(decode(str(file))) / SAMPLE_RATE
    return [
        (round(each.start, 3), round(min(each.end, end), 3), each.text.strip())
        for each in segments
        if each.start < end
    ]


@pytest.mark.parametrize("options", [{}, {"vad_filter": True, "word_timestamps": True}], ids=str)
def test_sequential_is_faster_whispers(
    models: Path, worker: Session, package: Any, files: list[Path], options: dict[str, bool]
) -> None:
    wire = {"vadFilter": "vad_filter" in options, "wordTimestamps": "word_timestamps" in options}
    for file in files:
        segments, _ = package.transcribe(decode(str(file)), temperature=0, **options)
        found = by_worker(worker, models, file, temperature=0, **wire)
        assert found == timed(segments, file)


@pytest.mark.parametrize("without_timestamps", [True, False])
def test_batched_is_faster_whispers(
    models: Path, worker: Session, package: Any, files: list[Path], without_timestamps: bool
) -> None:
    # The package's batched mode defaults to no timestamps; the worker's always has them.
    from faster_whisper import BatchedInferencePipeline

    for file in files:
        segments, _ = BatchedInferencePipeline(package).transcribe(
            decode(str(file)), batch_size=4, without_timestamps=without_timestamps, temperature=0
        )
        options = {"batchSize": 4, "withoutTimestamps": without_timestamps, "temperature": 0}
        found = by_worker(worker, models, file, **options)
        assert found == [each for each in timed(segments, file) if each[2]]


WHISPERX = """
import json, sys, whisperx
from worker.audio import SAMPLE_RATE, decode
from worker.system.child_environment import QUIET
model, *files = sys.argv[1:]
pipeline = whisperx.load_model(model, "cpu", compute_type="int8", vad_method="pyannote", threads=2)
found = [pipeline.transcribe(decode(file), batch_size=4)["segments"] for file in files]
json.dump(found, sys.stderr)
"""


def test_whisperx_is_whisperx(models: Path, worker: Session, files: list[Path]) -> None:
    # In its own process, because it changes the warnings and logging of a whole process.
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        WHISPERX,
        str(models / "base"),
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | QUIET)
    theirs = json.loads(done.stderr.splitlines()[-1])
    for file, segments in zip(files, theirs, strict=True):
        found = by_worker(worker, models, file, engine="whisperx", batchSize=4)
        assert found == [(each["start"], each["end"], each["text"].strip()) for each in segments]
