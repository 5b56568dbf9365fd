"""Synthesises speech: single words spoken by espeak-ng, trimmed to their exact extent.

A :class:`WordBank` holds every word of one language in many voices. Clips are trimmed where the
voice begins and ends, so code that places them on a timeline knows the true word boundaries.

Only training and making recordings need espeak-ng; the tests use committed recordings.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

SAMPLE_RATE = 16_000
"""Sample rate of every clip, as Whisper, wav2vec2 and the diarizer need it."""

WAV_HEADER_BYTES = 44


def _split(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


WORDS: dict[str, tuple[str, ...]] = {
    "en": _split(
        "zero one two three four five six seven eight nine",
        "yes no up down left right stop go open close start finish play pause",
        "red green blue yellow white house",
    ),
    "de": _split("null eins zwei drei vier fünf sechs sieben acht neun"),
}
"""The words of each language; the first ten of both are the digits from zero to nine."""

ACCENTS: dict[str, tuple[str, ...]] = {
    "en": _split(
        "en-us en-us en-gb en-gb en-gb-x-rp en-us-nyc",
        "en-gb-scotland en-gb-x-gbclan en-gb-x-gbcwmd en-029",
    ),
    "de": ("de",),
}
"""espeak-ng voices to draw from; one that is listed twice is drawn twice as often."""

HELD_OUT_VARIANTS: tuple[str, ...] = _split("m3 f2 Michael anika linda pablo")
"""Voice variants never used in training: the committed recordings are spoken by these."""

TRAINING_VARIANTS: tuple[str, ...] = _split(
    "m1 m2 m4 m5 m6 m7 m8 f1 f3 f4 f5",
    "Alex Andrea Annie Gene Hugo Lee Mario Mike adam antonio aunty belinda benjamin",
    "boris caleb ed edward grandma grandpa john max michel miguel norbert paul pedro",
    "quincy rob robert sandro steph travis victor zac",
)
"""Voice variants used in training."""


@dataclass(frozen=True)
class Voice:
    """One espeak-ng speaker."""

    accent: str
    variant: str
    pitch: int
    speed: int

    @property
    def name(self) -> str:
        """The value of espeak-ng's ``-v`` option."""
        return f"{self.accent}+{self.variant}" if self.variant else self.accent


def draw_voices(
    language: str,
    count: int,
    seed: int,
    variants: Sequence[str] = TRAINING_VARIANTS,
    margin: int = 0,
) -> list[Voice]:
    """Draw ``count`` voices of a language with random variant, pitch and speed.

    ``margin`` keeps pitch and speed that far from the ends of the range.
    """
    rng = random.Random(seed)
    return [
        Voice(
            accent=rng.choice(ACCENTS[language]),
            variant=rng.choice(variants),
            pitch=rng.randint(15 + margin, 85 - margin),
            speed=rng.randint(115 + margin, 205 - margin),
        )
        for _ in range(count)
    ]


def synthesise(voice: Voice, text: str) -> NDArray[np.float32]:
    """Speak ``text`` and return it at :data:`SAMPLE_RATE`, with espeak-ng's own silence."""
    command = ["espeak-ng", "-v", voice.name, "-p", str(voice.pitch), "-s", str(voice.speed)]
    wav = subprocess.run([*command, "--stdout", text], capture_output=True, check=True).stdout
    samples = np.frombuffer(wav[WAV_HEADER_BYTES:], dtype=np.int16).astype(np.float32) / 32768
    return resample_poly(samples, 320, 441).astype(np.float32)  # 22 050 Hz to 16 000 Hz


def trim(samples: NDArray[np.float32], threshold_db: float = -36.0) -> NDArray[np.float32]:
    """Trim both ends where they are ``threshold_db`` quieter than the loudest 5 ms."""
    frame = SAMPLE_RATE // 200
    count = len(samples) // frame
    energy = np.sqrt((samples[: count * frame].reshape(count, frame) ** 2).mean(axis=1) + 1e-12)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (threshold_db / 20))
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


class WordBank:
    """Every word of one language, spoken by every one of several voices."""

    def __init__(
        self,
        language: str,
        words: Sequence[str],
        voices: Sequence[Voice],
        audio: NDArray[np.int16],
        offsets: NDArray[np.int64],
    ) -> None:
        self.language = language
        self.words = tuple(words)
        self.voices = tuple(voices)
        self._audio = audio
        self._offsets = offsets

    def clip(self, voice: int, word: int) -> NDArray[np.float32]:
        """The clip of word number ``word`` in voice number ``voice``, between -1 and 1."""
        index = voice * len(self.words) + word
        return (
            self._audio[self._offsets[index] : self._offsets[index + 1]].astype(np.float32) / 32768
        )

    def save(self, path: Path) -> None:
        """Write the bank as one ``.npz`` file, atomically."""
        meta = {
            "language": self.language,
            "words": self.words,
            "voices": [asdict(voice) for voice in self.voices],
        }
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, audio=self._audio, offsets=self._offsets, meta=json.dumps(meta))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> WordBank:
        """Read a bank that :meth:`save` wrote."""
        with np.load(path) as stored:
            meta = json.loads(str(stored["meta"]))
            voices = [Voice(**voice) for voice in meta["voices"]]
            return cls(meta["language"], meta["words"], voices, stored["audio"], stored["offsets"])

    @classmethod
    def synthesise(cls, language: str, voices: Sequence[Voice], jobs: int = 2) -> WordBank:
        """Synthesise every word of ``language`` in every voice."""
        words = WORDS[language]
        tasks = [(voice, word) for voice in voices for word in words]
        with ThreadPoolExecutor(jobs) as pool:
            clips = list(pool.map(lambda task: trim(synthesise(*task)), tasks))
        audio = np.concatenate([(np.clip(clip, -1, 1) * 32767).astype(np.int16) for clip in clips])
        offsets = np.cumsum([0, *(len(clip) for clip in clips)])
        return cls(language, words, voices, audio, offsets)


def word_bank(path: Path, language: str, voices: Sequence[Voice]) -> WordBank:
    """Load the bank at ``path``, creating it if it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        WordBank.synthesise(language, voices).save(path)
    return WordBank.load(path)


TRAINING_VOICES = {"en": (260, 1), "de": (100, 2)}
"""How many voices the models are trained on, by language, and the seed that draws them."""


def training_banks(work: Path) -> dict[str, WordBank]:
    """The training voices, by language."""
    return {
        language: word_bank(
            work / "words" / f"{language}-training.npz",
            language,
            draw_voices(language, count, seed),
        )
        for language, (count, seed) in TRAINING_VOICES.items()
    }
