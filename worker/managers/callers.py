"""Who stands in the place of a job towards an engine: a stage of it, or several jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from protocol.progress import ProgressReport, read_progress
from worker.session.job import Caller, Cancellable

TOKENS = {"progressToken": 0, "partialResultToken": 1}
"""What a part asks its engine for."""


_PROGRESS: Final = b"%d" % TOKENS["progressToken"]
_decode_report = msgspec.json.Decoder(ProgressReport).decode


class Part(Cancellable):
    """Hands on what the engine tells of progress, and the parts of its result, as JSON."""

    def __init__(
        self,
        on_report: Callable[[ProgressReport], None],
        on_partial: Callable[[bytes], None] = lambda value: None,
    ) -> None:
        super().__init__()
        self._on_report = on_report
        self._on_partial = on_partial

    def report(self, report: ProgressReport) -> None:
        """Tell how far the work is."""
        self._on_report(report)

    def forward(self, lines: bytes) -> None:
        """Take notifications that the engine wrote."""
        for line in lines.splitlines():
            if self.cancelled:
                return
            token, value = read_progress(line)
            if token == _PROGRESS:
                self._on_report(_decode_report(value))
            else:
                self._on_partial(value)

    def forward_report(self, token: bytes, line: bytes) -> None:
        """Take a progress report that the engine wrote."""
        self.forward(line)


class Shared(Part):
    """Work that several callers wait for, a load or a download: each is told how far it is.

    `callers` tells who they are now. Where it only comes before what they are to do, the share
    that is done is none of theirs.
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
