"""The recordings to recognise: short ones, composed ones, and those for measuring speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.common import say
from benchmarks.real.compose import compose, talk
from benchmarks.real.truth import Recording, Truth, load_manifest

_SHORT_FILE: Final = 3.0  # seconds, about


class Material:
    """The recordings, including the composed ones."""

    def __init__(self, directory: Path, scratch: Path) -> None:
        self._directory = directory
        self._scratch = scratch
        say("composing recordings …")
        self.truths: list[Truth] = compose(directory, scratch)
        self.short: list[Recording] = [r for r in load_manifest(directory).values() if r.text]
        seconds = sum(truth.duration for truth in self.truths)
        self.minutes = (seconds + sum(recording.duration for recording in self.short)) / 60

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every recording, by id."""
        for truth in self.truths:
            yield truth.id, self._scratch / truth.file
        for recording in self.short:
            yield recording.id, recording.path

    @property
    def shortest(self) -> Recording:
        """An English recording of about three seconds."""
        english = [recording for recording in self.short if recording.language == "en"]
        return min(english, key=lambda recording: abs(recording.duration - _SHORT_FILE))

    def speed_files(self) -> dict[str, Path]:
        """The recordings for measuring speed, by description."""
        fluent = self._scratch / "talk.wav"
        seconds = talk(self._directory, fluent)
        (gaps,) = (truth for truth in self.truths if truth.id == "long-gaps")
        return {
            f"talk of {seconds:.0f} s": fluent,
            f"{gaps.duration:.0f} s with gaps": self._scratch / gaps.file,
            f"file of {self.shortest.duration:.0f} s": self.shortest.path,
        }
