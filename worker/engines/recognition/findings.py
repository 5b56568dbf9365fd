"""What a recogniser found out about a whole recording, besides its text."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from protocol.transcription import LanguageSeconds
from protocol.values import Notice, TimeSpan, notice_about

SURE: Final = 0.6
"""Probability above which a part may differ from the rest, if"""
_RATIO: Final = 4.0  # it is this many times that of the recording's language, and
_SHORTEST: Final = 1.0  # it has more than these seconds of speech

_UNSURE: Final = 0.5  # probability below which
_SHORT: Final = 4.0  # less than these seconds go with the part before

_SILENCE: Final = 1.0
"""Seconds without speech that are a silence."""
_TOUCH: Final = 0.001  # seconds within which the silences of two pieces are one

_LEAST: Final = 1e-4  # probabilities are no lower, so that one part cannot rule a language out
_MOST_SECONDS: Final = 10.0  # a part counts by its seconds, up to these

Probabilities = Mapping[str, float]
"""How probable each language is."""


class Evidence:
    """What was heard of each language so far."""

    def __init__(self) -> None:
        self._scores: dict[str, float] = defaultdict(float)
        self._sums: dict[str, float] = defaultdict(float)
        self._seconds = 0.0

    def __bool__(self) -> bool:
        return bool(self._scores)

    @property
    def main(self) -> str:
        """The language that explains all parts best."""
        return max(self._scores, key=lambda language: self._scores[language])

    def add(self, heard: Probabilities, seconds: float) -> None:
        """Take in what was heard in a part."""
        weight = min(seconds, _MOST_SECONDS)
        self._seconds += weight
        for language, probability in heard.items():
            self._sums[language] += weight * probability
            self._scores[language] += weight * math.log(max(probability, _LEAST))

    def probability(self, language: str) -> float:
        """How probable a language is on average, as the parts count."""
        return self._sums[language] / self._seconds

    def language_of(self, heard: Probabilities, seconds: float, before: str | None) -> str:
        """The language of a part; `before` is that of the part before it in the same window."""
        likeliest = max(heard, key=lambda language: heard[language])
        probability = heard[likeliest]
        main = self.main
        if likeliest == main or (
            probability > SURE
            and seconds > _SHORTEST
            and probability > _RATIO * heard.get(main, 0.0)
        ):
            return likeliest
        if before and seconds < _SHORT and probability < _UNSURE:
            return before
        return main


class Findings:
    """Filled piece by piece. Times are seconds of the recording."""

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.languages: dict[str, float] = defaultdict(float)
        """Seconds of speech in each language."""
        self.silent: list[TimeSpan] = []
        """Speech without text."""
        self.unspoken: list[TimeSpan] = []
        """Text that was dropped, because nobody speaks there."""
        self.repeated: list[TimeSpan] = []
        """Text that was dropped, because it repeats what is before it."""
        self.outside: list[TimeSpan] = []
        """Text that was dropped, because its times lie after the end."""
        self._quiet: list[tuple[float, float]] = []

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return sum(self.languages.values())

    @property
    def lost(self) -> float:
        """Seconds of speech without text."""
        return sum(span.end - span.start for span in self.silent)

    @property
    def silences(self) -> list[TimeSpan]:
        """Where nobody speaks for a second or longer."""
        return [
            TimeSpan(start=round(start, 3), end=round(end, 3))
            for start, end in self._quiet
            if end - start >= _SILENCE
        ]

    def hear(self, start: float, end: float, speech: Iterable[tuple[float, float]]) -> None:
        """Take in where somebody speaks in a piece from `start` to `end`."""
        now = start
        for begin, until in (*speech, (end, end)):
            if begin > now:
                before = self._quiet[-1] if self._quiet else None
                if before and now - before[1] < _TOUCH:
                    now = self._quiet.pop()[0]
                self._quiet.append((now, begin))
            now = max(now, until)

    @property
    def language(self) -> str | None:
        """The language most spoken."""
        return max(self.languages, key=lambda name: self.languages[name], default=None)

    def by_seconds(self) -> list[LanguageSeconds]:
        """The languages, the most spoken first."""
        ordered = sorted(self.languages.items(), key=lambda pair: -pair[1])
        return [LanguageSeconds(language=name, seconds=round(s, 3)) for name, s in ordered]

    def notices(self) -> list[Notice]:
        """What the client should know."""
        found = []
        if self.silent:
            message = (
                f"{self.lost:.1f} s of what sounds like speech have no text: the decoder found "
                "none that is probable."
            )
            found.append(notice_about("speech_without_text", message, self.silent))
        if self.unspoken:
            message = f"Text was dropped in {_times(self.unspoken)} where nobody speaks."
            found.append(notice_about("text_without_speech", message, self.unspoken, info=True))
        if self.repeated:
            message = f"Repetitions were dropped in {_times(self.repeated)}: the decoder looped."
            found.append(notice_about("repetition_removed", message, self.repeated, info=True))
        if self.outside:
            message = f"Text was dropped in {_times(self.outside)} after the end of the audio."
            found.append(notice_about("text_outside_audio", message, self.outside))
        return found


def _times(spans: Sequence[TimeSpan]) -> str:
    return "one place" if len(spans) == 1 else f"{len(spans)} places"
