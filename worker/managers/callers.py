"""Callers of an engine that are not jobs: one stage of a job, or several jobs that share a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from protocol.progress import ProgressReport
from worker.session.job import Caller, Cancellable

_decode_report = msgspec.json.Decoder(ProgressReport).decode


class CallbackCaller(Cancellable):
    """Passes an engine's progress reports, and its partial results as JSON, to functions."""

    def __init__(
        self,
        on_report: Callable[[ProgressReport], None],
        on_partial: Callable[[bytes], None] = lambda value: None,
    ) -> None:
        super().__init__()
        self._on_report = on_report
        self._on_partial = on_partial

    def report(self, report: ProgressReport) -> None:
        """Pass on a report of the front's own."""
        self._on_report(report)

    def forward_partials(self, values: Sequence[bytes]) -> None:
        """Pass on parts of the result that the engine wrote, each as JSON."""
        for value in values:
            if self.cancelled:
                return
            self._on_partial(value)

    def forward_report(self, value: bytes) -> None:
        """Pass on a progress report that the engine wrote, as JSON."""
        if not self.cancelled:
            self._on_report(_decode_report(value))


class SharedCaller(CallbackCaller):
    """Stands for several callers that wait for the same load or download: each gets its progress.

    `callers` returns them as they are now. With `preliminary` their own work comes after this, so
    that they get its progress without a percentage, which would be none of theirs.
    """

    def __init__(
        self, callers: Callable[[], Iterable[Caller]], *, preliminary: bool = False
    ) -> None:
        def tell(report: ProgressReport) -> None:
            if preliminary:
                report.percentage = None
            for caller in callers():
                caller.report(report)

        super().__init__(tell)
