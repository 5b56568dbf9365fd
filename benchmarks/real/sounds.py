"""Generates sounds without speech, at 16 kHz, from one sequence of random numbers.

The order of the draws is part of what a seed means: a change of it changes every recording.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

RATE: Final = 16_000
"""Hz."""

Samples = npt.NDArray[Any]

_BEAT: Final = 0.6  # seconds: 100 a minute
_CHORDS: Final = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))  # MIDI notes


def at_level(samples: Samples, decibels: float) -> Samples:
    """Scale samples to this root mean square, relative to full scale."""
    return np.asarray(samples / (np.sqrt(np.mean(samples**2)) + 1e-12) * 10 ** (decibels / 20))


def hum(count: int) -> Samples:
    """Mains hum of 50 Hz with three harmonics."""
    time = np.arange(count) / RATE
    tones = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in (1, 2, 3, 5))
    return np.asarray(tones).astype(np.float32)


class Sounds:
    """Generates `count` samples per call; each call continues the random sequence."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def pink(self, count: int) -> Samples:
        """Pink noise: equal power in each octave."""
        return self._shaped(count, lowest=1, slope=0.5).astype(np.float32)

    def room(self, count: int) -> Samples:
        """Room tone: darker noise, and hum."""
        air = at_level(self._shaped(count, lowest=20, slope=0.8), -1).astype(np.float32)
        return air + 0.3 * hum(count)

    def music(self, count: int) -> Samples:
        """Chords, a bass, a plucked melody and drums at 100 beats a minute."""
        mix = np.zeros(count + RATE * 4, np.float32)
        beat = int(RATE * _BEAT)
        for number in range(count // beat + 1):
            start = number * beat
            chord = _CHORDS[(number // 4) % 4]
            if number % 4 == 0:
                for note in chord:
                    _add(mix, start, _pad(note, 4 * beat))
            _add(mix, start, _bass(chord[0] - 24, beat))
            for half in range(2):
                self._pluck(mix, start + half * beat // 2, chord, beat)
            self._drum(mix, start, on_kick=number % 2 == 0)
        return mix[:count]

    def applause(self, count: int) -> Samples:
        """Applause: 120 claps per second, between 900 and 3500 Hz."""
        claps = np.zeros(count, np.float32)
        for _ in range(int(count / RATE * 120)):
            start = int(self._random.integers(0, count - 800))
            self._burst(claps, start, self._random.uniform(0.2, 1), 800, 60)
        band = butter(2, [900, 3500], "band", fs=RATE, output="sos")
        return np.asarray(sosfilt(band, claps)).astype(np.float32)

    def typing(self, count: int) -> Samples:
        """Typing: keys down and up, with pauses."""
        keys = np.zeros(count, np.float32)
        start = 0
        while True:
            pauses = self._random.random() <= 0.06
            start += int(self._random.uniform(*((1, 3) if pauses else (0.06, 0.35))) * RATE)
            if start > count - 1600:
                return keys
            self._burst(keys, start, self._random.uniform(0.4, 1), 400, 40)
            self._burst(keys, start + 900, 0.3, 300, 30)

    def _shaped(self, count: int, *, lowest: int, slope: float) -> Samples:
        """White noise whose amplitude falls with the frequency, above the `lowest` bins."""
        spectrum = np.fft.rfft(self._random.standard_normal(count))
        spectrum /= np.maximum(np.arange(len(spectrum)), lowest) ** slope
        return np.fft.irfft(spectrum, count)

    def _burst(self, mix: Samples, start: int, gain: float, length: int, decay: float) -> None:
        """Add noise that decays within `decay` samples."""
        envelope = gain * np.exp(-np.arange(length) / decay)
        _add(mix, start, envelope * self._random.standard_normal(length))

    def _pluck(self, mix: Samples, start: int, chord: tuple[int, ...], length: int) -> None:
        """Add a note of the melody, with its initial click."""
        note = chord[int(self._random.integers(3))] + 12 * int(self._random.integers(1, 3))
        time = np.arange(length) / RATE
        turn = np.pi * _hertz(note) * time
        string = np.sin(2 * np.pi * _hertz(note) * time + 2 * np.exp(-8 * time) * np.sin(4 * turn))
        _add(mix, start, 0.25 * np.exp(-6 * time) * string)
        time = np.arange(RATE // 10) / RATE
        click = 0.1 * np.exp(-60 * time)
        _add(mix, start, click * self._random.standard_normal(len(time)))

    def _drum(self, mix: Samples, start: int, *, on_kick: bool) -> None:
        """Add a kick, or a snare."""
        time = np.arange(RATE // 5) / RATE
        if on_kick:
            turn = 2 * np.pi * (50 + 80 * np.exp(-30 * time)) * time
            _add(mix, start, 0.6 * np.exp(-18 * time) * np.sin(turn))
        else:
            snare = 0.3 * np.exp(-25 * time)
            _add(mix, start, snare * self._random.standard_normal(len(time)))


def _add(mix: Samples, start: int, sound: Samples) -> None:
    mix[start : start + len(sound)] += sound


def _hertz(note: int) -> float:
    return 440 * 2 ** ((note - 69) / 12)


def _pad(note: int, length: int) -> Samples:
    """A note of a chord that swells and fades."""
    time = np.arange(length) / RATE
    envelope = np.minimum(1, time * 3) * np.minimum(1, (4 * _BEAT - time) * 3)
    tones = sum(
        np.sin(2 * np.pi * _hertz(note) * k * time * (1 + 0.0005 * k)) / k for k in (1, 2, 3, 4)
    )
    return 0.12 * envelope * tones


def _bass(note: int, length: int) -> Samples:
    time = np.arange(length) / RATE
    return 0.3 * np.exp(-3 * time) * np.sign(np.sin(2 * np.pi * _hertz(note) * time)) * 0.6
