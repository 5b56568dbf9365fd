"""Feeds a recording as a microphone would, at simulated real time.

The clock of the simulation is that of the audio; what a step costs is taken from the CPU clock of
this process and added. So a neighbour's load delays no word, and an hour of silence takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from worker.audio import SAMPLE_RATE
from worker.engines.recognition.live.events import Event, LiveSegment, LiveWord

if TYPE_CHECKING:
    from worker.audio import Samples

CHUNK: Final = 0.1
"""Seconds of audio that come at once."""


class Recogniser(Protocol):
    """What is simulated: `LiveRecogniser`, or another policy."""

    @property
    def backlog(self) -> float:
        """Seconds of audio that were fed and not dealt with."""

    def feed(self, samples: Samples) -> None:
        """Take in samples."""

    def finish(self) -> None:
        """No more come."""

    def step(self, lag: float = 0.0) -> list[Event] | None:
        """Do the next piece of work; None if there is none."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and when it was told, in seconds of the stream's clock."""

    at: float
    event: Event


@dataclass
class Run:
    """What came of a recording."""

    seconds: float
    cpu: float = 0.0
    """Seconds of CPU time."""
    told: list[Told] = field(default_factory=list)

    @property
    def words(self) -> list[LiveWord]:
        """The final words."""
        latest = {t.event.id: t.event for t in self.told if isinstance(t.event, LiveSegment)}
        return [word for segment in latest.values() for word in segment.words if word.final]

    @property
    def text(self) -> str:
        """Their text."""
        return "".join(word.word for word in self.words).strip()


def simulate(
    recogniser: Recogniser, samples: Samples, watch: Callable[[float], None] = lambda seconds: None
) -> Run:
    """Feed all samples, and finish. `watch` is told the time of the stream after each chunk."""
    run = Run(len(samples) / SAMPLE_RATE)
    size = round(CHUNK * SAMPLE_RATE)
    now = 0.0
    place = 0
    while True:
        # All that came until now; if nothing did, wait for it.
        now = max(now, min(len(samples), place + size) / SAMPLE_RATE)
        while place < len(samples) and min(len(samples), place + size) / SAMPLE_RATE <= now:
            recogniser.feed(samples[place : place + size])
            place += size
        if place >= len(samples):
            recogniser.finish()
        while True:
            started = time.process_time()
            events = recogniser.step(recogniser.backlog)
            took = time.process_time() - started
            run.cpu += took
            now += took
            if events is None:
                break
            run.told += [Told(now, event) for event in events]
            if place < len(samples) and now >= (place + size) / SAMPLE_RATE:
                break
        watch(now)
        if place >= len(samples) and events is None:
            return run
