"""Which language a stream is in: told from its first speech, and kept.

Half a second of speech may sound like any language, so nothing becomes final before the language is
clear, or the utterance over. A short or doubtful first utterance is weighed against the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from worker.engines.recognition.findings import SURE, Evidence

_LONG: Final = 3.0  # seconds after which a language that is likely is clear
_SHORT: Final = 1.0  # seconds after which one is that is
_CLEAR: Final = 0.9  # this probable


class StreamLanguage:
    """`given` is the language that the client names, or the only one that the model knows."""

    def __init__(self, given: str | None) -> None:
        self._evidence = Evidence()
        self._heard: Mapping[str, float] = {}
        self._seconds = 0.0
        self.language = given or "en"
        self.is_clear = given is not None

    @property
    def probability(self) -> float:
        """How probable the language is, by what was heard last."""
        return self._heard.get(self.language, 1.0)

    def hear(self, heard: Mapping[str, float], seconds: float) -> bool:
        """Take in how probable each language is, by all that was said in this utterance.

        Returns whether the language is clear now.
        """
        self._heard, self._seconds = heard, seconds
        self.language = max(heard, key=lambda language: heard[language])
        if self._evidence and seconds < _LONG:
            self.language = self._evidence.language_of(heard, seconds, None)
        least = SURE if seconds >= _LONG else _CLEAR if seconds >= _SHORT else 1.0
        self.is_clear = heard[self.language] >= least
        return self.is_clear

    def conclude(self) -> None:
        """The utterance is over."""
        if self._heard:
            self._evidence.add(self._heard, self._seconds)
            self.language = self._evidence.main
