"""One progress stream of several stages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from protocol.progress import ProgressReport, Stage

# About how long each takes on one machine, relative to the others. A guess cannot make the
# percentage go back: that is the highest so far.
_WEIGHTS: Final[dict[Stage, float]] = {
    "decode": 2,
    "recognition": 60,
    "alignment": 15,
    "diarization": 30,
    "assignment": 1,
}


class Progress:
    """Weighs the stages; from any thread."""

    def __init__(self, send: Callable[[ProgressReport], None], stages: Iterable[Stage]) -> None:
        self._send = send
        self._weights = {stage: _WEIGHTS[stage] for stage in stages}
        self._done: dict[Stage, float] = {}
        self._highest = 0.0
        self._lock = threading.Lock()

    def take(self, report: ProgressReport) -> None:
        """Take what one stage tells of itself, and tell the whole."""
        with self._lock:
            if report.stage in self._weights and report.percentage is not None:
                before = self._done.get(report.stage, 0.0)
                self._done[report.stage] = max(before, round(report.percentage, 2))
            gone = sum(self._weights[stage] * done for stage, done in self._done.items())
            self._highest = max(self._highest, round(gone / sum(self._weights.values()), 2))
            self._send(
                replace(
                    report,
                    percentage=self._highest,
                    stages={str(stage): done for stage, done in self._done.items()},
                )
            )

    def finish(self, stage: Stage) -> None:
        """The stage has ended, well or not."""
        self.take(ProgressReport(stage=stage, percentage=100.0))
