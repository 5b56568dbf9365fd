"""Measures a model through faster-whisper: word errors, times, language, silence.

``python -m tests.training.evaluate MODEL --recordings DIR`` measures on recordings with their
``truth.json``; ``--scenes N --work DIR`` on N fresh scenes of held-out voices instead, which
needs espeak-ng the first time.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel, decode_audio
from numpy.typing import NDArray

from tests.measures import word_errors
from tests.training.record import (
    Truth,
    held_out_banks,
    recording_options,
    samples_of,
    truth_of,
)
from tests.training.scenes import compose, decibels, noise
from tests.training.speech import SAMPLE_RATE

MODES: dict[str, dict[str, object]] = {
    "timestamps": {},
    "without timestamps": {"without_timestamps": True},
    "word timestamps": {"word_timestamps": True},
    "greedy": {"beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False},
}
"""The measured modes; the first has faster-whisper's defaults."""

Example = tuple[str, NDArray[np.float32], Truth]


@dataclass
class Report:
    """Counts over several recordings."""

    words: int = 0
    recordings: int = 0
    languages_right: int = 0
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    faultless: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    segment_errors: list[float] = field(default_factory=list)
    word_start_errors: list[float] = field(default_factory=list)
    word_end_errors: list[float] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report for people."""
        yield f"{self.recordings} recordings, {self.words} words"
        for mode, errors in self.errors.items():
            rate = 100 * errors / self.words
            yield f"WER {mode}: {rate:.2f} % ({errors}), faultless {self.faultless[mode]}"
        yield f"language right: {self.languages_right}/{self.recordings}"
        yield f"segment boundaries: {distribution(self.segment_errors)}"
        yield f"word starts: {distribution(self.word_start_errors)}"
        yield f"word ends: {distribution(self.word_end_errors)}"
        yield from self.mistakes


def distribution(errors: list[float]) -> str:
    """Mean, median and 90th percentile of the absolute errors."""
    if not errors:
        return "none"
    sizes = sorted(abs(error) for error in errors)
    ninth = sizes[int(0.9 * (len(sizes) - 1))]
    middle = statistics.median(sizes)
    mean = statistics.mean(sizes)
    return f"n {len(sizes)}, mean {mean:.3f}, median {middle:.3f}, 90 % {ninth:.3f} s"


def measure(model: WhisperModel, examples: Iterator[Example]) -> Report:
    """Recognise every example in every mode and compare with the truth."""
    report = Report()
    for name, samples, truth in examples:
        reference = truth["text"].split()
        report.words += len(reference)
        report.recordings += 1
        for mode, options in MODES.items():
            found, info = model.transcribe(samples, **options)
            segments = list(found)
            heard = " ".join(segment.text for segment in segments).split()
            wrong = word_errors(reference, heard)
            report.errors[mode] += wrong
            report.faultless[mode] += wrong == 0
            if mode == "timestamps":
                report.languages_right += info.language == truth["language"]
                if wrong:
                    report.mistakes.append(f"{name}: {' '.join(reference)} -> {' '.join(heard)}")
                if [segment.text.strip() for segment in segments] == [
                    segment["text"] for segment in truth["segments"]
                ]:
                    for got, wanted in zip(segments, truth["segments"], strict=True):
                        report.segment_errors.append(got.start - wanted["start"])
                        report.segment_errors.append(got.end - wanted["end"])
            elif mode == "word timestamps" and not wrong:
                times = [word for segment in segments for word in segment.words or []]
                wanted_words = [word for segment in truth["segments"] for word in segment["words"]]
                for time, word in zip(times, wanted_words, strict=True):
                    report.word_start_errors.append(time.start - word["start"])
                    report.word_end_errors.append(time.end - word["end"])
    return report


def recordings(folder: Path) -> Iterator[Example]:
    """The committed recordings and their texts."""
    truths: dict[str, Truth] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    for name, truth in truths.items():
        yield name, decode_audio(str(folder / name), sampling_rate=SAMPLE_RATE), truth


def fresh_scenes(work: Path, count: int, seed: int) -> Iterator[Example]:
    """New scenes of held-out voices, composed like the recordings; one in six is German."""
    banks = held_out_banks(work)
    rng = np.random.default_rng(seed)
    for number in range(count):
        bank = banks["de" if number % 6 == 5 else "en"]
        seconds = float(rng.uniform(4, 28))
        options = recording_options(seconds, float(rng.choice((0.5, 1, 2, 4))), number % 5 == 0)
        scene = compose(rng, bank, options)
        samples = samples_of(rng, scene)
        yield f"scene {number}", samples, truth_of(scene, bank, samples)


def silences() -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Recordings without speech."""
    for seconds in (2, 10, 40):
        length = seconds * SAMPLE_RATE
        yield f"{seconds} s of nothing", np.zeros(length, np.float32)
        for level in (-60, -40):
            rng = np.random.default_rng(seconds)
            yield f"{seconds} s of noise at {level} dB", noise(rng, length) * decibels(level)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="CTranslate2 folder")
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--work", type=Path, help="cache of synthesised words")
    parser.add_argument("--seed", type=int, default=4242)
    args = parser.parse_args()
    model = WhisperModel(args.model, device="cpu", compute_type="int8", cpu_threads=1)
    if args.recordings:
        examples = recordings(args.recordings)
    elif args.work:
        examples = fresh_scenes(args.work, args.scenes, args.seed)
    else:
        parser.error("give --recordings or --work")
    print("\n".join(measure(model, examples).lines()))
    for name, samples in silences():
        segments, _ = model.transcribe(samples, language="en")
        print(f"{name}: {[segment.text for segment in segments]}")


if __name__ == "__main__":
    main()
