"""What is said in a recording, and when: the manifest of short ones, the truth of composed ones.

Both are files of JSON lines. All times are seconds from the start of the recording.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

GROUPS: Final = {
    "gaps": ("gap-silence", "gap-pink", "gap-room", "gap-music"),
    "long-gaps": ("long-gaps",),
    "langs": ("lang-switch", "lang-first-short"),
    "degraded": ("quiet", "clipped", "tel8k", "overlap"),
    "nonspeech": tuple(
        f"ns-{kind}"
        for kind in ("silence", "pink", "room", "hum", "music", "applause", "typing", "esc")
    ),
}
"""Groups of composed recordings whose errors are counted together."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A short recording of the manifest."""

    id: str
    path: Path
    text: str
    """The spoken text; empty without speech."""
    language: str
    """A code such as `en`; `en+de` if both are acceptable, the latter being the text's."""
    duration: float
    """Seconds."""

    @property
    def text_language(self) -> str:
        """The language code for normalising the text."""
        return self.language.split("+")[-1][:2]


@dataclasses.dataclass(frozen=True)
class Utterance:
    """An utterance in a composed recording."""

    id: str
    start: float
    end: float
    text: str
    language: str


@dataclasses.dataclass(frozen=True)
class Truth:
    """A composed recording; `file` is in the folder of the truth file."""

    id: str
    file: str
    duration: float
    utterances: tuple[Utterance, ...]
    note: str
    several_languages: bool = False

    @property
    def language(self) -> str:
        """The first spoken language, or `none`."""
        return self.utterances[0].language if self.utterances else "none"


def load_manifest(directory: Path) -> dict[str, Recording]:
    """The short recordings of a directory with `manifest.jsonl`, by id."""
    return {
        row["id"]: Recording(
            row["id"], directory / row["file"], row["text"], row["language"], row["duration"]
        )
        for row in _rows(directory / "manifest.jsonl")
    }


def load_truth(out: Path) -> list[Truth]:
    """The composed recordings in a directory that `compose` wrote."""
    return [
        Truth(**{**row, "utterances": tuple(Utterance(**each) for each in row["utterances"])})
        for row in _rows(out / "truth.jsonl")
    ]


def write_truth(out: Path, truths: list[Truth]) -> None:
    """Write the truth for `load_truth`."""
    lines = [json.dumps(dataclasses.asdict(each), ensure_ascii=False) + "\n" for each in truths]
    (out / "truth.jsonl").write_text("".join(lines), encoding="utf-8")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
