"""Writes the mixtures: conversations of two or three voices that no model was trained on.

``python -m tests.training.record_mixtures --out tests/mixtures --work DIR`` needs espeak-ng. The
seed decides everything; no mixture is picked or dropped for its results.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.training.conversation import (
    Conversation,
    ConversationOptions,
    converse,
    pick_voices,
)
from tests.training.record import held_out_banks
from tests.training.speech import SAMPLE_RATE, WordBank

MIXTURES = 24
OVERLAPPING = 4
"""Number of mixtures whose speakers interrupt each other."""
CALLS = 2
SHORTEST, LONGEST = 15.0, 30.0


class TurnTruth(TypedDict):
    """One stretch of speech, in seconds."""

    start: float
    end: float
    speaker: str
    channel: NotRequired[int]


class SpokenWord(TypedDict):
    """A word, its times, and its speaker."""

    start: float
    end: float
    word: str
    speaker: str


class MixtureTruth(TypedDict):
    """The words and speakers of one mixture; words in the order of their starts."""

    duration: float
    channels: int
    turns: list[TurnTruth]
    words: list[SpokenWord]


def mixture_options(seconds: float, overlapping: bool) -> ConversationOptions:
    """Speech like the Whisper model's training: phrases with pauses, little noise."""
    return ConversationOptions(
        seconds=seconds,
        mean_pause=0.6,
        overlap_odds=0.25 if overlapping else 0.0,
        longest_overlap=0.6,
        noise_db=(-80.0, -64.0),
    )


def truth_of(
    conversation: Conversation, bank: WordBank, channels: int, *, by_channel: bool = False
) -> MixtureTruth:
    """A conversation in the format of ``truth.json``."""
    turns: list[TurnTruth] = []
    words: list[SpokenWord] = []
    for turn in conversation.turns:
        speaker = f"voice-{turn.speaker}"
        turns.append({"start": round(turn.start, 3), "end": round(turn.end, 3), "speaker": speaker})
        if by_channel:
            turns[-1]["channel"] = turn.speaker
        words += [
            {
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "word": bank.words[word.index],
                "speaker": speaker,
            }
            for word in turn.words
        ]
    words.sort(key=lambda word: word["start"])
    duration = conversation.tracks.shape[1] / SAMPLE_RATE
    return {
        "duration": round(duration, 3),
        "channels": channels,
        "turns": turns,
        "words": words,
    }


def record(out: Path, bank: WordBank, seed: int) -> None:
    """Write all mixtures and ``truth.json``."""
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    truth: dict[str, MixtureTruth] = {}

    def write(name: str, samples: NDArray[np.float32]) -> None:
        soundfile.write(out / name, samples, SAMPLE_RATE, subtype="PCM_16")

    for number, seconds in enumerate(np.linspace(SHORTEST, LONGEST, MIXTURES), 1):
        voices = pick_voices(rng, bank, 2 + number % 2)
        overlapping = number % (MIXTURES // OVERLAPPING) == 0
        conversation = converse(rng, bank, voices, mixture_options(float(seconds), overlapping))
        name = f"mixture-{number:02d}.flac"
        write(name, conversation.mixed)
        truth[name] = truth_of(conversation, bank, 1)
    for number in range(1, CALLS + 1):
        voices = pick_voices(rng, bank, 2)
        conversation = converse(rng, bank, voices, mixture_options(20.0, overlapping=True))
        name = f"call-{number}.flac"
        write(name, (conversation.tracks + conversation.noise).T)
        truth[name] = truth_of(conversation, bank, 2, by_channel=True)
    conversation = converse(rng, bank, pick_voices(rng, bank, 2), mixture_options(12.0, False))
    write("dual-mono.flac", np.stack([conversation.mixed, conversation.mixed * 0.7], axis=1))
    truth["dual-mono.flac"] = truth_of(conversation, bank, 2)
    text = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True)
    (out / "truth.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the mixtures")
    parser.add_argument("--work", type=Path, required=True, help="cache of synthesised words")
    parser.add_argument("--seed", type=int, default=20261124)
    args = parser.parse_args()
    record(args.out, held_out_banks(args.work)["en"], args.seed)


if __name__ == "__main__":
    main()
