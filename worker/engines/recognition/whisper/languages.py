"""Which language each window is in, told from its speech alone.

Whisper is asked about parts of at most 12 s: in 30 s it hears only the language that it knows best.
A part is cut out of its window after that was encoded, which has to be done for decoding anyway.
What it says is weighed against all that was heard so far, so that neither a greeting nor a cough
makes a recording Welsh; only a part that is sure of another language, and not too short, has its
own. A window whose parts differ is cut between them.

All times are seconds from the start of the piece of the recording that is being worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from worker.engines.recognition.findings import SURE, Evidence, Probabilities
from worker.engines.recognition.whisper.windows import PAUSE, Stretch, Window, parts, seconds_of

PART: Final = 12.0
"""Seconds of a window that are asked about at once."""

Ask = Callable[[tuple[Stretch, ...], Window], Probabilities]
"""Ask the model about a part of a window."""


class Languages:
    """Gives windows their languages, each asked about once; remembers what was heard."""

    def __init__(self, evidence: Evidence, ask: Ask) -> None:
        self._evidence = evidence
        self._ask = ask
        self._heard: dict[tuple[Stretch, ...], Probabilities] = {}

    def listen(self, windows: Iterable[Window]) -> None:
        """Hear windows, so that they count when it is decided about others."""
        for window in windows:
            for part in parts(window.speech, PART):
                if part not in self._heard:
                    self._heard[part] = self._ask(part, window)
                    self._evidence.add(self._heard[part], seconds_of(part))

    def are_clear(self, windows: Iterable[Window]) -> bool:
        """Whether every part of the windows, which were listened to, is sure of its language."""
        return all(
            max(self._heard[part].values()) > SURE
            for window in windows
            for part in parts(window.speech, PART)
        )

    def tell_apart(self, windows: Sequence[Window], longest: float) -> list[Window]:
        """The windows with their languages, cut where the language changes.

        Neighbours of one language that a cut left short are joined up to `longest` seconds.
        """
        self.listen(windows)
        found: list[Window] = []
        for window in windows:
            own: list[Window] = []
            for part in parts(window.speech, PART):
                before = own[-1].language if own else None
                heard, seconds = self._heard[part], seconds_of(part)
                language = self._evidence.language_of(heard, seconds, before)
                if language == before:
                    own[-1] = Window(own[-1].speech + part, language)
                else:
                    own.append(Window(part, language))
            if len(own) > 1 and found and _may_join(found[-1], own[0], longest):
                own[0] = Window(found.pop().speech + own[0].speech, own[0].language)
            found += own
        return found


def _may_join(before: Window, after: Window, longest: float) -> bool:
    return (
        before.language == after.language
        and after.speech[0].start - before.speech[-1].end <= PAUSE
        and after.speech[-1].end - before.speech[0].start <= longest
    )
