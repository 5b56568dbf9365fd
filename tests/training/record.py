"""Writes the tests' recordings, spoken by voices that no model was trained on.

``python -m tests.training.record --out tests/recordings --work DIR`` needs espeak-ng. The seed
decides everything; no recording is picked or dropped for how well it is recognised.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.training.scenes import Scene, SceneOptions, compose
from tests.training.speech import HELD_OUT_VARIANTS, SAMPLE_RATE, WordBank, draw_voices, word_bank

ENGLISH_RECORDINGS = 20
GERMAN_RECORDINGS = 4
SHORTEST, LONGEST, DEMO = 5.0, 24.0, 86.0


class WordTruth(TypedDict):
    """A word and its times, in seconds."""

    start: float
    end: float
    word: str


class SegmentTruth(TypedDict):
    """A phrase between two pauses."""

    start: float
    end: float
    text: str
    words: list[WordTruth]


class Truth(TypedDict):
    """The text of one recording."""

    language: str
    text: str
    segments: list[SegmentTruth]
    duration: float


def held_out_banks(work: Path) -> dict[str, WordBank]:
    """The voices of the recordings, by language: held out, none of extreme pitch or speed."""
    drawn = {
        "en": draw_voices("en", 40, 999, HELD_OUT_VARIANTS, margin=15),
        "de": draw_voices("de", 16, 998, HELD_OUT_VARIANTS, margin=15),
    }
    return {
        language: word_bank(work / "words" / f"{language}-held-out.npz", language, voices)
        for language, voices in drawn.items()
    }


def recording_options(seconds: float, pause: float, several_voices: bool) -> SceneOptions:
    """The scenes of the recordings: whole phrases, little noise."""
    return SceneOptions(
        seconds=seconds,
        cut_odds=0,
        empty_odds=0,
        leftover_odds=0,
        fill=True,
        pauses=(pause,),
        longest_lead=0.9,
        words="shuffled",
        noise_odds=0.75,
        noise_db=(-78.0, -58.0),
        several_voices_odds=1.0 if several_voices else 0.0,
    )


def samples_of(rng: np.random.Generator, scene: Scene) -> NDArray[np.float32]:
    """The scene's audio until shortly after its last word."""
    end = scene.words[-1].end + rng.uniform(0.3, 0.8)
    samples = scene.audio[: int(end * SAMPLE_RATE)]
    missing = int(end * SAMPLE_RATE) - len(samples)
    return np.concatenate([samples, np.zeros(max(0, missing), np.float32)])


def truth_of(scene: Scene, bank: WordBank, samples: NDArray[np.float32]) -> Truth:
    """The words of a scene in the format of ``truth.json``."""
    segments: list[SegmentTruth] = []
    for phrase in scene.phrases:
        words: list[WordTruth] = [
            {
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "word": bank.words[word.index],
            }
            for word in phrase.words
        ]
        text = " ".join(word["word"] for word in words)
        segments.append(
            {"start": words[0]["start"], "end": words[-1]["end"], "text": text, "words": words}
        )
    return {
        "language": bank.language,
        "text": " ".join(segment["text"] for segment in segments),
        "segments": segments,
        "duration": round(len(samples) / SAMPLE_RATE, 3),
    }


def record(out: Path, banks: dict[str, WordBank], seed: int) -> None:
    """Write all recordings and ``truth.json``."""
    rng = np.random.default_rng(seed)
    plan = [("demo", "en", DEMO)]
    for language, count in (("en", ENGLISH_RECORDINGS), ("de", GERMAN_RECORDINGS)):
        lengths = np.linspace(SHORTEST, LONGEST if language == "en" else 16.0, count)
        plan += [(f"{language}-{i:02d}", language, float(s)) for i, s in enumerate(lengths, 1)]
    out.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Truth] = {}
    for number, (name, language, seconds) in enumerate(plan):
        pause = float(rng.choice((1.0, 1.8, 3.0)))
        options = recording_options(seconds, pause, several_voices=number % 5 == 0)
        scene = compose(rng, banks[language], options)
        samples = samples_of(rng, scene)
        soundfile.write(out / f"{name}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
        truth[f"{name}.flac"] = truth_of(scene, banks[language], samples)
    text = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--work", type=Path, required=True, help="cache of synthesised words")
    parser.add_argument("--seed", type=int, default=20261123)
    args = parser.parse_args()
    record(args.out, held_out_banks(args.work), args.seed)


if __name__ == "__main__":
    main()
