"""Composes scenes: words on a timeline, so that who says what and when is exactly known.

A scene is one window of audio with phrases of one to eight words and pauses between them. Two equal
words never follow each other: models this small merge them, and no fixture contains them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray
from scipy.signal import lfilter

from tests.training.speech import SAMPLE_RATE, WordBank

FRAMES_PER_SECOND = 50
"""Encoder frames, and timestamps, per second of audio."""

PHRASE_LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8)
PHRASE_LENGTH_ODDS = (0.16, 0.20, 0.20, 0.16, 0.12, 0.08, 0.05, 0.03)

SHORTEST_PAUSE = 0.5
"""Minimum seconds between phrases; within one, words are at most 0.3 s apart."""

_FILTERS = torch.from_numpy(FeatureExtractor().mel_filters)
_WINDOW = torch.hann_window(400)


@dataclass(frozen=True)
class Word:
    """One spoken word: its number in the bank, and its times in seconds."""

    index: int
    start: float
    end: float


@dataclass
class Phrase:
    """Words without a long pause between them."""

    start: float
    words: list[Word] = field(default_factory=list)
    cut: bool = False
    """Whether the window ended within the phrase."""

    @property
    def end(self) -> float:
        """End of the last whole word."""
        return self.words[-1].end if self.words else self.start


@dataclass
class Scene:
    """A window of audio and its words."""

    audio: NDArray[np.float32]
    language: str
    phrases: list[Phrase]
    content_end: float | None = None
    """End of the recording within the window; ``None`` if it fills the window."""

    @property
    def words(self) -> list[Word]:
        """All words in order."""
        return [word for phrase in self.phrases for word in phrase.words]


@dataclass(frozen=True)
class SceneOptions:
    """The statistics of scenes."""

    seconds: float = 30.0
    cut_odds: float = 0.3
    """How often the window ends in the middle of speech."""
    empty_odds: float = 0.05
    """How often there is no speech."""
    leftover_odds: float = 0.15
    """How often the window starts with the end of an earlier word."""
    pauses: tuple[float, ...] = (0.6, 1.2, 2.5)
    """Choices for the mean pause between phrases, beyond the shortest."""
    fill: bool = False
    """Whether there is speech up to the end of every window."""
    longest_lead: float = 8.0
    """The longest silence before the first phrase."""
    words: Literal["shuffled", "mixed"] = "mixed"
    """``shuffled``: no word repeats before nearly all others; ``mixed``: often so, else any but the
    last."""
    noise_odds: float = 0.7
    noise_db: tuple[float, float] = (-75.0, -34.0)
    several_voices_odds: float = 0.2


class WordOrder:
    """Draws words such that no two equal ones follow each other."""

    def __init__(self, rng: np.random.Generator, count: int, shuffled: bool) -> None:
        self._rng = rng
        self._count = count
        self._shuffled = shuffled
        self._deck: list[int] = []
        self._recent: list[int] = []

    def next(self) -> int:
        """The next word's number."""
        if self._shuffled:
            if not self._deck:
                self._deck = [int(index) for index in self._rng.permutation(self._count)]
            place = next(i for i, word in enumerate(self._deck) if word not in self._recent)
            word = self._deck.pop(place)
            self._recent = [*self._recent, word][-4:]
        else:
            word = int(self._rng.integers(self._count))
            while word in self._recent:
                word = int(self._rng.integers(self._count))
            self._recent = [word]
        return word


def decibels(value: float) -> float:
    """The amplitude factor of a level in decibels."""
    return float(10 ** (value / 20))


def noise(rng: np.random.Generator, length: int) -> NDArray[np.float32]:
    """White or low-passed noise of unit power."""
    white = rng.standard_normal(length).astype(np.float32)
    if rng.random() < 0.5:
        return white
    pole = rng.uniform(0.5, 0.97)
    coloured = lfilter([1 - pole], [1, -pole], white).astype(np.float32)
    return coloured / (coloured.std() + 1e-9)


def _empty(rng: np.random.Generator, bank: WordBank, options: SceneOptions) -> Scene:
    length = int(options.seconds * SAMPLE_RATE)
    audio = np.zeros(length, np.float32)
    if rng.random() < options.noise_odds:
        audio += noise(rng, length) * decibels(rng.uniform(-70, -25))
    content = None if rng.random() < 0.5 else float(rng.uniform(0.2, 1) * options.seconds)
    return Scene(audio, bank.language, [], content)


def _add_leftover(rng: np.random.Generator, bank: WordBank, audio: NDArray[np.float32]) -> None:
    """Put up to 60 ms of a word's end at the start: a window may begin a little too early."""
    clip = bank.clip(int(rng.integers(len(bank.voices))), int(rng.integers(len(bank.words))))
    length = int(rng.uniform(0.005, 0.06) * SAMPLE_RATE)
    audio[:length] += clip[-length:][:length] * decibels(rng.uniform(-14, 0))


def compose(rng: np.random.Generator, bank: WordBank, options: SceneOptions) -> Scene:
    """Compose one scene; the same generator state yields the same scene."""
    if rng.random() < options.empty_odds:
        return _empty(rng, bank, options)
    window = options.seconds
    length = int(window * SAMPLE_RATE)
    audio = np.zeros(length, np.float32)
    leftover = rng.random() < options.leftover_odds
    if leftover:
        _add_leftover(rng, bank, audio)
    if leftover or rng.random() < 0.3:
        time = rng.uniform(0.06 if leftover else 0, 0.4)
    else:
        time = rng.uniform(0, min(options.longest_lead, window * 0.35))
    cut = rng.random() < options.cut_odds
    limit = window if cut or options.fill else rng.uniform(min(time + 0.8, window * 0.9), window)
    order = WordOrder(rng, len(bank.words), options.words == "shuffled" or rng.random() < 0.6)
    several = rng.random() < options.several_voices_odds
    voice = int(rng.integers(len(bank.voices)))
    pause = float(rng.choice(options.pauses))
    base = decibels(rng.uniform(-12, 0))
    phrases: list[Phrase] = []
    while time < limit:
        if several:
            voice = int(rng.integers(len(bank.voices)))
        phrase = Phrase(time)
        gain = base * decibels(rng.uniform(-4, 4))
        gap = float(rng.choice((0.03, 0.07, 0.1, 0.15)))
        for _ in range(int(rng.choice(PHRASE_LENGTHS, p=PHRASE_LENGTH_ODDS))):
            index = order.next()
            clip = bank.clip(voice, index)
            seconds = len(clip) / SAMPLE_RATE
            begin = int(time * SAMPLE_RATE)
            if time + seconds > limit:
                if cut and begin < length:
                    audio[begin:] += clip[: length - begin] * gain
                    phrase.cut = True
                break
            audio[begin : begin + len(clip)] += clip * gain
            phrase.words.append(Word(index, time, time + seconds))
            time += seconds + rng.uniform(0.01, 2 * gap)
        if phrase.words or phrase.cut:
            phrases.append(phrase)
        if phrase.cut or not phrase.words:
            break
        time = phrase.end + SHORTEST_PAUSE + rng.exponential(pause)
    content = None
    if not (phrases and phrases[-1].cut) and rng.random() < 0.6:
        last = phrases[-1].end if phrases else 0.2
        content = min(window, last + rng.uniform(0, 1))
    if rng.random() < options.noise_odds:
        hiss = noise(rng, length) * decibels(rng.uniform(*options.noise_db))
        if content is not None:
            hiss[int(content * SAMPLE_RATE) :] = 0
        audio += hiss
    peak = np.abs(audio).max()
    if peak > 0.99:
        audio *= 0.99 / peak
    return Scene(audio, bank.language, phrases, content)


def log_mel(rng: np.random.Generator, scene: Scene) -> torch.Tensor:
    """Whisper's features of a scene (80 mels by 100 frames per second).

    What lies after the recording's end is padded either with zero features, as faster-whisper
    does, or with digital silence, as others do. At times the floor is raised, as it is in a window
    of a recording that is louder elsewhere.
    """
    frames = round(len(scene.audio) / SAMPLE_RATE * 100)
    samples = scene.audio
    if scene.content_end is not None and rng.random() < 0.6:
        kept = samples[: int(scene.content_end * SAMPLE_RATE)]
        samples = np.concatenate([kept, np.zeros(160, np.float32)])
    spectrum = torch.stft(torch.from_numpy(samples), 400, 160, window=_WINDOW, return_complex=True)
    mel = (_FILTERS @ spectrum[:, :-1].abs() ** 2).clamp_min(1e-10).log10()
    loudest = mel.max() + (float(rng.uniform(0, 1)) if rng.random() < 0.5 else 0.0)
    mel = (torch.maximum(mel, loudest - 8) + 4) / 4
    if mel.shape[1] < frames:
        mel = torch.nn.functional.pad(mel, (0, frames - mel.shape[1]))
    return mel[:, :frames]


def frame_of(seconds: float, frames: int) -> int:
    """The encoder frame nearest to a time, kept within the window."""
    return min(frames, max(0, round(seconds * FRAMES_PER_SECOND)))


def frame_labels(scene: Scene, first_label: int) -> NDArray[np.int64]:
    """One label per frame: 0 without a word, else ``first_label`` plus the word's number."""
    labels = np.zeros(round(len(scene.audio) / SAMPLE_RATE * FRAMES_PER_SECOND), np.int64)
    for word in scene.words:
        begin = int(word.start * FRAMES_PER_SECOND)
        end = max(begin + 1, round(word.end * FRAMES_PER_SECOND))
        labels[begin:end] = first_label + word.index
    return labels
