"""What live recognition tells: when somebody speaks, in which language, and what is said.

All times are seconds of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Speech:
    """Somebody started to speak, or stopped."""

    change: Literal["started", "ended"]
    at: float


@dataclass(frozen=True, slots=True)
class Language:
    """In which language the stream is, now that this is sure."""

    language: str
    probability: float


@dataclass(frozen=True, slots=True)
class LiveWord:
    """A word with its leading space. Once it is final, nothing of it changes."""

    word: str
    start: float
    end: float
    probability: float
    final: bool = False


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """A segment as it is known now; it replaces the one of the same id.

    The final words come first. A final segment without words says that there was nothing.
    """

    id: int
    words: tuple[LiveWord, ...]
    start: float
    end: float
    language: str
    final: bool

    @property
    def text(self) -> str:
        """The words, joined."""
        return "".join(word.word for word in self.words).strip()


Event = Speech | Language | LiveSegment
