"""When somebody speaks: Silero VAD, window by window as the audio comes.

One window of 32 ms is heard at a time, so that the sizes of the chunks change nothing, and silence
costs the same however long it lasts (3 ms of CPU per second).

Speech begins where the probability rises above one threshold, and ends where it has stayed below
another for a while: as in faster-whisper's `get_speech_timestamps`, but without the end in sight.
Positions are samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from worker.audio import SAMPLE_RATE
from worker.engines.common.speech import WINDOW

if TYPE_CHECKING:
    from worker.audio import Samples


class Detector(Protocol):
    """Silero, or what stands in for it."""

    def hear(self, samples: Samples) -> Samples:
        """The probability of speech in each of the next windows."""


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """When speech begins and ends."""

    threshold: float = 0.5
    """Probability above which somebody speaks, and"""
    release: float = 0.35
    """below which nobody does."""
    shortest: float = 0.1
    """Seconds that speech lasts at least; less is a click."""
    end_silence: float = 0.8
    """Seconds without speech that end an utterance."""


class Voice:
    """Hears windows, and knows the speech that is going on."""

    def __init__(self, detector: Detector, options: VoiceOptions) -> None:
        self._detector = detector
        self._options = options
        self.start: int | None = None
        """Where the speech began, if there is any."""
        self.silent_from: int | None = None
        """Where it paused, if it does."""
        self.speaking = False
        """Whether the speech has lasted long enough."""

    def hear(self, window: Samples, position: int) -> float:
        """Take in the window at a position; return the probability of speech."""
        options = self._options
        probability = float(self._detector.hear(window)[0])
        if probability >= options.threshold:
            self.silent_from = None
            if self.start is None:
                self.start = position
        elif self.start is not None and probability < options.release:
            self.silent_from = self.silent_from or position
        if self.start is not None:
            until = self.silent_from or position + WINDOW
            long_enough = until - self.start > options.shortest * SAMPLE_RATE
            self.speaking = self.speaking or long_enough
            if self.silent_from and not self.speaking:
                self.forget()
        return probability

    def has_ended(self, position: int) -> bool:
        """Whether the silence before a position is long enough to end the speech."""
        if self.silent_from is None:
            return False
        return position - self.silent_from >= self._options.end_silence * SAMPLE_RATE

    def forget(self) -> None:
        """Wait for speech to begin."""
        self.start = self.silent_from = None
        self.speaking = False
