"""Composes conversations: several voices taking turns, each on its own track.

A turn is one phrase of a voice, as in the scenes; who speaks when, and every word, is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.training.scenes import Word, WordOrder, decibels, noise
from tests.training.speech import SAMPLE_RATE, WordBank

CLOSEST_PITCH = 12
"""Minimum difference of two voices in a conversation, in espeak-ng's pitch (0 to 99)."""


@dataclass(frozen=True)
class Turn:
    """The words of one speaker without a long pause; ``speaker`` counts the voices from 0."""

    speaker: int
    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Start of its first word, in seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """End of its last word, in seconds."""
        return self.words[-1].end


@dataclass(frozen=True)
class Conversation:
    """Turns in the order of their starts, and the samples: (speakers, n) and (n,)."""

    tracks: NDArray[np.float32]
    noise: NDArray[np.float32]
    turns: tuple[Turn, ...]

    @property
    def mixed(self) -> NDArray[np.float32]:
        """All voices and the noise in one channel."""
        mixed: NDArray[np.float32] = self.tracks.sum(axis=0) + self.noise
        return mixed / max(1.0, float(np.abs(mixed).max()) / 0.99)


@dataclass(frozen=True)
class ConversationOptions:
    """The statistics of conversations."""

    seconds: float
    turn_words: tuple[int, int] = (2, 6)
    """Minimum and maximum number of words per turn."""
    shortest_pause: float = 0.5
    mean_pause: float = 0.5
    """Mean of the time added to the shortest pause."""
    overlap_odds: float = 0.0
    """How often a turn begins before the previous one ends, by up to ``longest_overlap``."""
    longest_overlap: float = 1.0
    same_odds: float = 0.0
    """How often the same speaker continues after a pause."""
    longest_lead: float = 1.0
    noise_odds: float = 0.75
    noise_db: tuple[float, float] = (-75.0, -40.0)


def pick_voices(rng: np.random.Generator, bank: WordBank, count: int) -> list[int]:
    """Voices that differ in variant and in pitch."""
    picked: list[int] = []
    while len(picked) < count:
        candidate = int(rng.integers(len(bank.voices)))
        voice = bank.voices[candidate]
        if all(
            voice.variant != bank.voices[other].variant
            and abs(voice.pitch - bank.voices[other].pitch) >= CLOSEST_PITCH
            for other in picked
        ):
            picked.append(candidate)
        elif rng.random() < 0.02:  # no room for another voice: start over
            picked.clear()
    return picked


def converse(
    rng: np.random.Generator,
    bank: WordBank,
    voices: Sequence[int],
    options: ConversationOptions,
) -> Conversation:
    """Compose a conversation; the same generator state yields the same one."""
    length = int(options.seconds * SAMPLE_RATE)
    tracks = np.zeros((len(voices), length), np.float32)
    order = WordOrder(rng, len(bank.words), shuffled=True)
    gains = [decibels(rng.uniform(-6, 0)) for _ in voices]
    turns: list[Turn] = []
    speaker = int(rng.integers(len(voices)))
    time = rng.uniform(0.05, options.longest_lead)
    full = False
    while not full:
        others = [other for other in range(len(voices)) if other != speaker]
        if turns and others and rng.random() >= options.same_odds:
            speaker = others[int(rng.integers(len(others)))]
        words: list[Word] = []
        gap = float(rng.choice((0.03, 0.07, 0.1, 0.15)))
        moment = time
        for _ in range(int(rng.integers(options.turn_words[0], options.turn_words[1] + 1))):
            index = order.next()
            clip = bank.clip(voices[speaker], index)
            begin = int(moment * SAMPLE_RATE)
            full = begin + len(clip) > length
            if full:
                break
            tracks[speaker, begin : begin + len(clip)] += clip * gains[speaker]
            words.append(Word(index, moment, moment + len(clip) / SAMPLE_RATE))
            moment = words[-1].end + rng.uniform(0.01, 2 * gap)
        if not words:
            break
        turns.append(Turn(speaker, tuple(words)))
        if rng.random() < options.overlap_odds:
            time = max(
                words[0].start + 0.3, words[-1].end - rng.uniform(0, options.longest_overlap)
            )
        else:
            time = words[-1].end + options.shortest_pause + rng.exponential(options.mean_pause)
    hiss = np.zeros(length, np.float32)
    if rng.random() < options.noise_odds:
        hiss = noise(rng, length) * np.float32(decibels(rng.uniform(*options.noise_db)))
    turns.sort(key=lambda turn: turn.start)
    return Conversation(tracks, hiss, tuple(turns))
