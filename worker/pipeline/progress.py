"""One progress stream from several stages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from protocol.progress import ProgressReport, Stage

# Roughly how long each stage takes, relative to the others. A wrong guess cannot make the
# percentage go back: the job reports the highest so far.
_WEIGHTS: Final[dict[Stage, float]] = {
    "decode": 2,
    "recognition": 60,
    "alignment": 15,
    "diarization": 30,
    "assignment": 1,
}


class JobProgress:
    """Computes the percentage of the job from those of its stages; from any thread."""

    def __init__(self, send: Callable[[ProgressReport], None], stages: Iterable[Stage]) -> None:
        self._send = send
        self._weights = {stage: _WEIGHTS[stage] for stage in stages}
        self._percentages: dict[Stage, float] = {}
        self._highest = 0.0
        self._lock = threading.Lock()

    def take(self, report: ProgressReport) -> None:
        """Take the report of one stage, and send it with the percentage of the job."""
        with self._lock:
            if report.stage in self._weights and report.percentage is not None:
                before = self._percentages.get(report.stage, 0.0)
                self._percentages[report.stage] = max(before, round(report.percentage, 2))
            done = sum(self._weights[stage] * each for stage, each in self._percentages.items())
            self._highest = max(self._highest, round(done / sum(self._weights.values()), 2))
            self._send(
                replace(
                    report,
                    percentage=self._highest,
                    stages={str(stage): each for stage, each in self._percentages.items()},
                )
            )

    def finish(self, stage: Stage) -> None:
        """Report the end of a stage, whether or not it succeeded."""
        self.take(ProgressReport(stage=stage, percentage=100.0))
