"""Measures a diarization pipeline: diarization error rate and number of speakers.

``python -m tests.training.evaluate_diarization PIPELINE --mixtures DIR`` measures on the mixtures
with their ``truth.json``; ``--fresh N --work DIR`` on N fresh ones of training voices instead,
which is how settings are chosen.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

import numpy as np
import torch
from numpy.typing import NDArray
from pyannote.audio import Pipeline
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate

from tests.training.conversation import converse, pick_voices
from tests.training.record_mixtures import LONGEST, SHORTEST, mixture_options, truth_of
from tests.training.speech import SAMPLE_RATE, training_banks
from worker.audio import decode

Example = tuple[str, NDArray[np.float32], list[tuple[float, float, str]]]


def mixtures(directory: Path) -> Iterator[Example]:
    """The committed mono mixtures."""
    truth = json.loads((directory / "truth.json").read_text("utf-8"))
    for name, said in truth.items():
        if said["channels"] == 1:
            turns = [(turn["start"], turn["end"], turn["speaker"]) for turn in said["turns"]]
            yield name, decode(str(directory / name)), turns


def fresh(count: int, work: Path, seed: int) -> Iterator[Example]:
    """New mixtures like them, of voices that the networks were trained on."""
    rng = np.random.default_rng(seed)
    bank = training_banks(work)["en"]
    for number in range(count):
        voices = pick_voices(rng, bank, 2 + number % 2)
        seconds = float(rng.uniform(SHORTEST, LONGEST))
        conversation = converse(rng, bank, voices, mixture_options(seconds, number % 6 == 0))
        said = truth_of(conversation, bank, 1)
        turns = [(turn["start"], turn["end"], turn["speaker"]) for turn in said["turns"]]
        yield f"fresh-{number}", conversation.mixed, turns


def measure(
    pipeline: Pipeline, examples: Iterator[Example]
) -> tuple[DiarizationErrorRate, int, int]:
    """The error rate (no collar, with overlap), and the numbers of right counts and examples."""
    rate = DiarizationErrorRate()
    right = count = 0
    for name, samples, turns in examples:
        reference = Annotation()
        for number, (start, end, speaker) in enumerate(turns):
            reference[Segment(start, end), number] = speaker
        output = pipeline(
            {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE, "uri": name}
        )
        found = output.speaker_diarization
        whole = Timeline([Segment(0, len(samples) / SAMPLE_RATE)])
        error = rate(reference, found, uem=whole)
        same = len(found.labels()) == len(reference.labels())
        right += same
        count += 1
        speakers = f"{len(found.labels())} of {len(reference.labels())} speakers"
        print(f"{name}: {error:.3f}, {speakers}", flush=True)
    return rate, right, count


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("--mixtures", type=Path, default=Path("tests/mixtures"))
    parser.add_argument("--fresh", type=int, metavar="N", help="new mixtures of training voices")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threshold", type=float, help="clustering threshold to try")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = Pipeline.from_pretrained(args.pipeline)
    if args.threshold is not None:
        parameters = pipeline.parameters(instantiated=True)
        parameters["clustering"]["threshold"] = args.threshold
        pipeline.instantiate(parameters)
    examples = fresh(args.fresh, args.work, args.seed) if args.fresh else mixtures(args.mixtures)
    rate, right, count = measure(pipeline, examples)
    parts = rate[:]
    total = parts["total"]
    print(
        f"error rate {abs(rate):.3f}: missed {parts['missed detection'] / total:.3f}, false alarm "
        f"{parts['false alarm'] / total:.3f}, confusion {parts['confusion'] / total:.3f}; number "
        f"of speakers right in {right} of {count}"
    )


if __name__ == "__main__":
    main()
