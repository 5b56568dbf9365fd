"""The recordings: meeting excerpts and a telephone call, alone and composed to long ones.

`--recordings` names a directory with `manifest.jsonl` (see `benchmarks.real`) and `meetings`: audio
with who speaks when beside it, as RTTM. People have the same name in all excerpts of a meeting, so
excerpts can be put together to recordings of any length. For a composed recording to be no loop, it
consists of random sections of them, each at another loudness, with pauses of faint noise between.
Readers are people of the manifest who read alone, the longest recording of each source.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.audio import SAMPLE_RATE, decode

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

_SECTION: Final = (10.0, 30.0)  # seconds
_PAUSE: Final = (0.3, 2.0)  # seconds
_LOUDER: Final = 6.0  # dB, up or down
_SHORTEST_READING: Final = 5.0  # seconds
_QUIET: Final = 35.0  # dB below a reading's loudest 20 ms
_BREATH: Final = 0.3  # seconds of a pause that still counts as speech
_FAINT: Final = 1e-4  # amplitude of the noise in pauses


class Turn(NamedTuple):
    """Who speaks when, in seconds."""

    start: float
    end: float
    speaker: str


class Recording(NamedTuple):
    """A recording with its truth."""

    name: str
    samples: Samples
    """Mono, 16 kHz."""
    turns: list[Turn]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.samples) / SAMPLE_RATE

    def write(self, directory: Path) -> Path:
        """Write it as a WAV file."""
        import numpy as np

        path = directory / f"{self.name}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(np.clip(self.samples * 32768, -32768, 32767).astype("<i2").tobytes())
        return path


def read_rttm(path: Path) -> list[Turn]:
    """The turns in an RTTM file."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        _, _, _, start, length, _, _, speaker, *_ = line.split()
        found.append(Turn(float(start), float(start) + float(length), speaker))
    return found


def excerpts(directory: Path) -> list[Recording]:
    """The excerpts of meetings."""
    return [load(file) for file in sorted((directory / "meetings").glob("*.flac"))]


def load(audio: Path) -> Recording:
    """A recording with RTTM beside it."""
    return Recording(audio.stem, decode(str(audio)), read_rttm(audio.with_suffix(".rttm")))


def readers(directory: Path) -> list[Recording]:
    """People who read alone; they speak where it is not quiet."""
    longest: dict[str, tuple[float, str, str]] = {}
    for line in (directory / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if (
            row["kind"] != "human"
            or row["duration"] < _SHORTEST_READING
            or row["notes"][:2] == "te"
        ):
            continue
        source, entry = row["source"], (row["duration"], row["id"], row["file"])
        longest[source] = max(longest.get(source, entry), entry)
    found = []
    for _, name, file in longest.values():
        samples = decode(str(directory / file))
        found.append(Recording(name, samples, _spoken(samples, name)))
    return found


def compose(name: str, parts: list[Recording], minutes: float, seed: int) -> Recording:
    """Compose a recording of random sections of `parts`, each of them equally often."""
    import numpy as np

    random = np.random.default_rng(seed)
    samples: list[Samples] = []
    turns: list[Turn] = []
    at = 0.0
    while at < minutes * 60:
        for index in random.permutation(len(parts)):
            part = parts[index]
            length = min(part.seconds, random.uniform(*_SECTION))
            first = round(random.uniform(0, part.seconds - length) * SAMPLE_RATE)
            section = part.samples[first : first + round(length * SAMPLE_RATE)]
            louder = 10 ** (random.uniform(-_LOUDER, _LOUDER) / 20)
            pause = random.uniform(*_PAUSE)
            noise = random.normal(0, _FAINT, round(pause * SAMPLE_RATE))
            samples += [(section * louder).clip(-1, 1), noise.astype(np.float32)]
            begin, end = first / SAMPLE_RATE, (first + len(section)) / SAMPLE_RATE
            turns += [
                Turn(max(start, begin) - begin + at, min(stop, end) - begin + at, speaker)
                for start, stop, speaker in part.turns
                if start < end and stop > begin
            ]
            at += (len(section) + len(noise)) / SAMPLE_RATE
    return Recording(name, np.concatenate(samples), turns)


def _spoken(samples: Samples, speaker: str) -> list[Turn]:
    """The turns of one speaker: where it is not quiet, except for short pauses."""
    import numpy as np

    frame = SAMPLE_RATE // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    found: list[Turn] = []
    for index in np.flatnonzero(power > power.max() * 10 ** (-_QUIET / 10)):
        start, end = index * frame / SAMPLE_RATE, (index + 1) * frame / SAMPLE_RATE
        if found and start - found[-1].end < _BREATH:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Turn(start, end, speaker))
    return found
