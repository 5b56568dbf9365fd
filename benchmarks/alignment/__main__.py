"""`python -m benchmarks.alignment`: compares whisperx's aligner with ours, on the same model.

It runs twice: with the small trained model, whose true times are known, and with random weights
in the shape of wav2vec2-base, whose forward pass takes as long as a real one's. The forward pass is
measured separately; the rest is what an aligner adds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    ROOT,
    conditions,
    median,
    median_ratio,
    number,
    say,
    table,
    versions,
    write_json,
)

# No measured code may use the network.
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

TARGET: Final = 3.0
_PACKAGES: Final = ("whisperx", "torch", "torchaudio", "transformers")
_RECORDING: Final = ROOT / "tests" / "recordings" / "demo.flac"

Words = list[tuple[float, float]]


class Stopwatch:
    """Seconds spent in a model's forward pass."""

    def __init__(self, model: Any) -> None:
        self.seconds = 0.0
        self._forward = model.forward
        model.forward = self._timed

    def _timed(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return self._forward(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - started


class Side:
    """One aligner: its cost per round, and the word times of the last round."""

    def __init__(self, align: Callable[[], Words], stopwatch: Stopwatch) -> None:
        self._align = align
        self._stopwatch = stopwatch
        self.wall: list[float] = []
        self.forward: list[float] = []
        self.rest: list[float] = []
        self.words: Words = []

    def run(self) -> None:
        """Align once."""
        self._stopwatch.seconds = 0.0
        started = time.perf_counter()
        self.words = self._align()
        wall = time.perf_counter() - started
        self.wall.append(wall)
        self.forward.append(self._stopwatch.seconds)
        self.rest.append(wall - self._stopwatch.seconds)


def sides(model: Any, samples: Any, segments: Sequence[dict[str, Any]], batch: int) -> list[Side]:
    """whisperx's aligner and ours, on the same model."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from whisperx import alignment

    from worker.engines.alignment import batched as alignment_batched
    from worker.engines.alignment.batched import Passage
    from worker.engines.alignment.text import split
    from worker.engines.common.recording import InMemory

    alignment.nltk_load = lambda _: PunktSentenceTokenizer()
    metadata = {"language": "en", "dictionary": model.dictionary, "type": "huggingface"}

    def theirs() -> Words:
        found = alignment.align(list(segments), model.model, metadata, samples, "cpu")
        return [(word["start"], word["end"]) for word in found["word_segments"]]

    def ours() -> Words:
        words = [split(segment["text"], True, model.dictionary) for segment in segments]
        passages = [
            Passage(int(each["start"] * 16000), int(each["end"] * 16000), said, True)
            for each, said in zip(segments, words, strict=True)
        ]
        for _ in alignment_batched.align(
            model, InMemory(samples), len(samples), passages, batch, lambda: None, print
        ):
            pass
        return [(word.start or 0.0, word.end or 0.0) for said in words for word in said]

    stopwatch = Stopwatch(model.model)
    return [Side(theirs, stopwatch), Side(ours, stopwatch)]


def small_model() -> Any:
    """The tests' trained model."""
    from worker.engines.alignment import model as alignment_model
    from worker.engines.contract import LoadAlignmentParams

    path = ROOT / "tests" / "models" / "alignment"
    return alignment_model.load(LoadAlignmentParams(model=str(path), device="cpu"))


def base_model() -> Any:
    """The same labels on random weights in the shape of wav2vec2-base: 94 million parameters."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    model = small_model()
    model.model = Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=len(model.dictionary))).eval()
    return model


def main() -> int:
    """Measure, print the tables, and return 0; a missed target is not a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alignment", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="repeats of the 86 s recording")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0, help="0: all available")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    import numpy as np

    from worker import audio
    from worker.engines.common import torch_device

    torch_device.use_threads(options.threads)
    truth = json.loads((_RECORDING.parent / "truth.json").read_text("utf-8"))[_RECORDING.name]
    once = audio.decode(str(_RECORDING))
    seconds = len(once) / audio.SAMPLE_RATE
    samples = np.tile(once, options.repeats)
    segments = [
        {**segment, "start": segment["start"] + shift, "end": segment["end"] + shift}
        for shift in (seconds * number for number in range(options.repeats))
        for segment in truth["segments"]
    ]
    said = [
        (word["start"] + seconds * number, word["end"] + seconds * number)
        for number in range(options.repeats)
        for segment in truth["segments"]
        for word in segment["words"]
    ]
    conditions_ = conditions(versions(_PACKAGES))
    print(
        f"{len(samples) / audio.SAMPLE_RATE:.0f} s of audio, {len(segments)} segments, "
        f"{len(said)} words, batches of {options.batch_size}, medians of {options.rounds} "
        f"interleaved rounds. {conditions_}.\n"
    )
    document: dict[str, Any] = {"conditions": conditions_}
    for name, make in (("small trained model", small_model), ("wav2vec2-base shape", base_model)):
        contenders = sides(make(), samples, segments, options.batch_size)
        for round_ in range(options.rounds):
            say(f"{name}: round {round_ + 1} of {options.rounds} …")
            for side in contenders if round_ % 2 else contenders[::-1]:
                side.run()
        theirs, ours = contenders
        print(f"**{name}**\n")
        print(_table(theirs, ours))
        ratio = median_ratio(theirs.rest, ours.rest)
        verdict = "met" if ratio >= TARGET else "**missed**"
        print(f"\nTarget: the rest at least {TARGET:.0f} × faster: {ratio:.1f} ×, {verdict}.\n")
        document[name] = {
            "whisperx": {"wall": theirs.wall, "forward": theirs.forward},
            "worker": {"wall": ours.wall, "forward": ours.forward},
        }
        if make is small_model:
            print(_errors(said, theirs.words, ours.words))
            print()
    if options.json:
        write_json(options.json, document)
    return 0


def _table(theirs: Side, ours: Side) -> str:
    def row(name: str, a: list[float], b: list[float]) -> tuple[str, str, str, str]:
        return (name, number(median(a)), number(median(b)), f"{median_ratio(a, b):.2f}")

    return table(
        ("seconds", "whisperx", "worker", "times as fast"),
        [
            row("all", theirs.wall, ours.wall),
            row("forward pass", theirs.forward, ours.forward),
            row("the rest", theirs.rest, ours.rest),
        ],
    )


def _errors(said: Words, theirs: Words, ours: Words) -> str:
    def row(name: str, edge: int) -> tuple[str, str, str]:
        means = [
            statistics.mean(abs(a[edge] - b[edge]) for a, b in zip(said, found, strict=True))
            for found in (theirs, ours)
        ]
        return (name, *(f"{1000 * mean:.1f} ms" for mean in means))

    return table(
        ("mean error against the truth", "whisperx", "worker"),
        [row("where a word begins", 0), row("where it ends", 1)],
    )


if __name__ == "__main__":
    sys.exit(main())
