"""Composes adversarial recordings with exact truth from short ones.

Utterances are cut to their speech, brought to one level, and placed between silence, noise, music;
or one recording is made quiet, clipped, telephoned, spoken over. Because this code places every
sample, the truth is exact. The same directory and seed yield the same samples.

    compose(directory, out)  # reads directory/manifest.jsonl and its audio, writes out/ID.wav
    load_truth(out)          # the same truths again
    talk(directory, path)    # one fluent recording, to measure speed
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from benchmarks.real.sounds import RATE, Samples, Sounds, at_level, hum
from benchmarks.real.truth import (
    Recording,
    Truth,
    Utterance,
    load_manifest,
    load_truth,
    write_truth,
)
from worker.audio import decode

__all__ = ["compose", "load_truth", "speech", "talk", "write_wav"]

Part = str | float | Samples
"""The id of a recording, seconds of silence, or a sound."""

SEED: Final = 7

_GAP: Final = 30  # seconds
_DIALOGUES: Final[tuple[tuple[Part, ...], ...]] = (
    ("ps-0870", 0.8, "sb-spk1_snt1", 0.7, "ps-forward"),
    ("ds-stars", 1, "ls-2412-0"),
    ("sb-spk1_snt5", 0.9, "arctic-24"),
)
_LONG: Final[tuple[tuple[str, float], ...]] = (
    ("jfk", 2),
    ("sb-spk1_snt2", 14),
    ("ps-0880", 5),
    ("ps-forward", 20),
    ("fw-right", 3),
    ("sb-spk1_snt3", 9),
    ("ps-0890", 2.5),
    ("arctic-24", 17),
    ("sr-en", 4),
    ("ps-0930", 12),
    ("sb-spk1_snt4", 7),
    ("ms-pass1", 2),
    ("ls-1088", 19),
    ("sb-spk1_snt5", 6),
    ("ps-0920", 3),
    ("ds-stars", 11),
    ("ami-es2011", 8),
    ("fw-left", 15),
    ("sb-lj50", 2),
    ("ls-2412-0", 5),
    ("sb-spk1_snt1", 20),
)
"""Each utterance with the seconds of silence after it."""
_SWITCHING: Final[tuple[Part, ...]] = (
    *("ls-1088", 1.2, "az-de-2", 1.5, "sr-fr", 1.5, "az-ja-t", 1, "jfk", 1.5, "ds-ru"),
)
_GREETING: Final[tuple[Part, ...]] = ("sr-fr", 1, "az-en-2", 1, "az-fr-t")
_CLEAN: Final[tuple[Part, ...]] = (
    *("jfk", 0.8, "ps-0870", 0.6, "sb-spk1_snt3", 0.7, "ls-2412-0", 0.5, "ds-stars"),
)


def compose(directory: Path, out: Path) -> list[Truth]:
    """Compose all recordings from `directory`'s short ones; write them and their truth to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    composer = _Composer(load_manifest(directory), out)
    composer.gaps()
    composer.languages()
    composer.degraded()
    composer.nonspeech()
    write_truth(out, composer.truths)
    return composer.truths


def talk(directory: Path, path: Path, longest: float = 101.0) -> float:
    """Write English utterances in sequence, 0.3 s apart; return their seconds.

    Uses the manifest's order, each text once, skipping those over 20 s or that no longer fit.
    """
    pause = np.zeros(RATE * 3 // 10, np.float32)
    pieces: list[Samples] = []
    texts: set[str] = set()
    room = int(longest * RATE)
    for recording in load_manifest(directory).values():
        if recording.language != "en" or recording.text in texts or recording.duration > 20:
            continue
        piece = np.concatenate([speech(recording), pause])
        if len(piece) <= room:
            room -= len(piece)
            pieces.append(piece)
            texts.add(recording.text)
    samples = np.concatenate(pieces)
    write_wav(path, samples)
    return len(samples) / RATE


def speech(recording: Recording) -> Samples:
    """The recording cut to its speech, peak at -6 dBFS.

    Speech is where 20 ms are within 35 dB of the loudest 20 ms, and 30 ms around it.
    """
    samples = decode(str(recording.path))
    frame = RATE // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    energy = np.sqrt(np.mean(frames**2, 1))
    loud = np.where(energy > energy.max() * 10 ** (-35 / 20))[0]
    margin = RATE * 30 // 1000
    first = max(0, loud[0] * frame - margin)
    last = min(len(samples), (loud[-1] + 1) * frame + margin)
    cut = samples[first:last]
    return np.asarray(cut / (np.abs(cut).max() + 1e-9) * 0.5)


def write_wav(path: Path, samples: Samples) -> None:
    """Write mono samples of 16 bits at 16 kHz: the upper half of 32 bits, as libsndfile does."""
    full = samples.dtype.type(2**31 - 1)
    scaled = np.rint(np.clip(samples, -1, 1) * full).astype(np.int64).clip(None, 2**31 - 1) >> 16
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(scaled.astype("<i2").tobytes())


class _Composer:
    """Writes recordings, group by group; the order of the groups affects the random numbers."""

    def __init__(self, recordings: dict[str, Recording], out: Path) -> None:
        self._recordings = recordings
        self._out = out
        self._sounds = Sounds(SEED)
        self.truths: list[Truth] = []

    def gaps(self) -> None:
        """Speech between 30 s of something else, and 21 utterances between 2 and 20 s."""
        beds: list[tuple[str, Callable[[int], Samples] | None]] = [
            ("silence", None),
            ("pink", lambda count: at_level(self._sounds.pink(count), -38)),
            ("room", lambda count: at_level(self._sounds.room(count), -55)),
        ]
        for name, bed in beds:
            parts = [part for each in _DIALOGUES for part in (_GAP, *each)]
            note = f"30 s {name} before, between, after"
            self._save(f"gap-{name}", *self._build([*parts, _GAP], bed), note)
        music = [at_level(self._sounds.music(_GAP * RATE), -20) for _ in range(4)]
        parts = [
            part for gap, each in zip(music, _DIALOGUES, strict=False) for part in (gap, *each)
        ]
        note = "30 s of music at -20 dBFS before, between, after"
        self._save("gap-music", *self._build([*parts, music[-1]], self._floor), note)
        samples, utterances = self._build(
            [part for pair in _LONG for part in pair],
            lambda count: at_level(self._sounds.room(count), -58),
        )
        note = "21 utterances, gaps of 2 to 20 s, room tone -58 dBFS"
        self._save("long-gaps", samples, utterances, note)

    def languages(self) -> None:
        """Several languages in one recording."""
        for name, parts, note in (
            ("lang-switch", _SWITCHING, "en de fr ja en ru"),
            ("lang-first-short", _GREETING, "a French greeting, then 24 s English, 18 s French"),
        ):
            self._save(name, *self._build(parts, self._floor), note, several_languages=True)

    def degraded(self) -> None:
        """English that is hard to understand."""
        clean, utterances = self._build(_CLEAN)
        noise = at_level(self._sounds.room(len(clean)), -82)
        quiet = clean * 10 ** (-38 / 20) + noise
        self._save("quiet", quiet, utterances, "peak -44 dBFS, room tone -82")
        self._save("clipped", np.clip(clean * 16, -0.9, 0.9), utterances, "24 dB over full scale")
        line = at_level(self._sounds.pink(len(clean)), -45)
        note = "300-3400 Hz, 8 kHz, mu-law, line noise"
        self._save("tel8k", _telephoned(clean) + line, utterances, note)
        self._overlap()

    def nonspeech(self) -> None:
        """Nine minutes without speech."""
        sounds = self._sounds
        made = {
            "silence": np.zeros(90 * RATE, np.float32),
            "pink": at_level(sounds.pink(90 * RATE), -35),
            "room": at_level(sounds.room(60 * RATE), -55),
            "hum": at_level(hum(60 * RATE), -30),
            "music": at_level(sounds.music(120 * RATE), -18),
            "applause": at_level(sounds.applause(60 * RATE), -25),
            "typing": at_level(sounds.typing(60 * RATE), -38)
            + at_level(sounds.room(60 * RATE), -60),
        }
        for name, samples in made.items():
            self._save(f"ns-{name}", samples, [], "pure non-speech")

    def _overlap(self) -> None:
        """One speaker, a second who interrupts the first, and a third afterwards."""
        first, second, third = (self._speech(id_) for id_ in ("ls-1088", "ls-2412-0", "arctic-24"))
        second_at = 8 * RATE
        third_at = second_at + len(second) + RATE
        mix = np.zeros(second_at + len(second) + 6 * RATE, np.float32)
        mix[: len(first)] += first
        mix[second_at : second_at + len(second)] += second * 0.7
        mix[third_at : third_at + len(third)] += third
        utterances = [
            self._utterance("ls-1088", 0, len(first)),
            self._utterance("ls-2412-0", second_at, len(second)),
            self._utterance("arctic-24", third_at, len(third)),
        ]
        mix = mix + self._floor(len(mix))
        self._save("overlap", mix, utterances, "8 s of two speakers at once")

    def _floor(self, count: int) -> Samples:
        """The noise of a microphone in a quiet room."""
        return at_level(self._sounds.room(count), -60)

    def _speech(self, id_: str) -> Samples:
        return speech(self._recordings[id_])

    def _utterance(self, id_: str, start: int, length: int) -> Utterance:
        recording = self._recordings[id_]
        times = round(start / RATE, 3), round((start + length) / RATE, 3)
        return Utterance(id_, *times, recording.text, recording.language)

    def _build(
        self, parts: Sequence[Part], bed: Callable[[int], Samples] | None = None
    ) -> tuple[Samples, list[Utterance]]:
        """The parts in sequence, over a background sound of the whole length."""
        pieces: list[Samples] = []
        utterances: list[Utterance] = []
        length = 0
        for part in parts:
            if isinstance(part, str):
                piece = self._speech(part)
                utterances.append(self._utterance(part, length, len(piece)))
            elif isinstance(part, np.ndarray):
                piece = part
            else:
                piece = np.zeros(int(part * RATE), np.float32)
            pieces.append(piece)
            length += len(piece)
        samples = np.concatenate(pieces)
        return (samples + bed(len(samples)) if bed else samples), utterances

    def _save(
        self,
        id_: str,
        samples: Samples,
        utterances: Sequence[Utterance],
        note: str,
        *,
        several_languages: bool = False,
    ) -> None:
        write_wav(self._out / f"{id_}.wav", samples)
        duration = len(samples) / RATE
        self.truths.append(
            Truth(id_, f"{id_}.wav", duration, tuple(utterances), note, several_languages)
        )


def _telephoned(samples: Samples) -> Samples:
    """Speech as a telephone transmits it: its band, 8 kHz, and mu-law steps."""
    band = butter(4, [300, 3400], "band", fs=RATE, output="sos")
    heard = resample_poly(resample_poly(sosfilt(band, samples), 1, 2), 2, 1).astype(np.float32)
    coded = np.sign(heard) * np.log1p(255 * np.abs(heard)) / np.log(256)
    coded = np.round(coded * 127) / 127
    return np.asarray(np.sign(coded) * (256 ** np.abs(coded) - 1) / 255)
