"""Reference texts of the real speech that every machine has: samples, and a telephone call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.real.score import word_errors
from examples.models import call
from tests.support import SAMPLE_RATE, write_wav
from worker.audio import decode


class Line(NamedTuple):
    """An utterance of the call, between two times in seconds."""

    speaker: str
    start: float
    end: float
    text: str


def call_lines() -> list[Line]:
    """The call, as transcribed by people."""
    pattern = re.compile(r"sample 1 (\w+) ([\d.]+) ([\d.]+) (.+)")
    written = (call() / "sample.stm").read_text("utf-8").splitlines()
    matches = [found for found in map(pattern.fullmatch, written) if found]
    return [
        Line(who, float(start), float(end), text)
        for who, start, end, text in (found.groups() for found in matches)
    ]


def call_errors(result: dict[str, Any]) -> float:
    """The word error rate of a transcript of the call."""
    said = " ".join(line.text for line in call_lines())
    errors, count = word_errors(said, result["text"], "en")
    return errors / count


def sample(models: Path, name: str) -> Path:
    """A sample by the end of its path, such as `fr/pangrama`."""
    return models / "samples" / f"{name}.wav"


def text_of(sample: Path) -> str:
    """The text of a sample."""
    return sample.with_suffix(".txt").read_text("utf-8").strip()


def samples(models: Path) -> Iterator[tuple[Path, str]]:
    """Each sample, and its language."""
    for path in sorted((models / "samples").rglob("*.wav")):
        yield path, path.parent.name


def int16(path: Path) -> npt.NDArray[np.int16]:
    """The samples of a recording at 16 kHz."""
    return np.round(decode(str(path)) * 32767).astype(np.int16)


def join(path: Path, *parts: Path | float) -> Path:
    """Write recordings in sequence, with seconds of silence between them."""
    pieces = [
        int16(part) if isinstance(part, Path) else np.zeros(round(part * SAMPLE_RATE), np.int16)
        for part in parts
    ]
    return write_wav(path, np.concatenate(pieces))
