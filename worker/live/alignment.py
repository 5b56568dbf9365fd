"""Times the words of each segment exactly, once it is final, from the stream's recording."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.alignment import AlignmentOptions, AlignResult, SegmentText
from protocol.errors import RpcError, cancelled
from worker.engines.contract import EngineAlignParams, Source
from worker.managers.callers import CallbackCaller
from worker.managers.resolve import alignment_model
from worker.pipeline.stage import stage_failed
from worker.session.lane import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.live import LiveSegment
    from worker.live.recorder import Recorder
    from worker.live.stream import Stream
    from worker.managers.lease import Lease
    from worker.managers.pool import ModelPool
    from worker.system.log import Log

_AROUND: Final = 0.5
"""Seconds of audio around a segment."""
_WRITTEN_SECONDS: Final = 10.0
"""How long to wait for the recording."""


class LiveAlignment:
    """Aligns on a thread of its own; a language that cannot be aligned costs one warning."""

    def __init__(
        self,
        stream: Stream,
        options: AlignmentOptions,
        recorder: Recorder,
        pool: ModelPool,
        log: Log,
    ) -> None:
        self._stream = stream
        self._options = options
        self._recorder = recorder
        self._pool = pool
        self._log = log
        self._caller = CallbackCaller(lambda report: None)
        self._failed: set[str] = set()
        self._queue: queue.SimpleQueue[LiveSegment | None] = queue.SimpleQueue()
        stream.on_final = self._queue.put
        self._thread = threading.Thread(target=self._run, name="alignment", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all final segments are aligned."""
        self._queue.put(None)
        self._thread.join()

    def stop(self) -> None:
        """Stop, whatever is left; from any thread."""
        self._caller.stop("stage")
        self._queue.put(None)

    def _run(self) -> None:
        params = self._stream.params
        with ExitStack() as leases:

            @cache
            def lease_for(language: str) -> Lease:
                model = alignment_model(self._options, language, params.download)
                lease = self._pool.lease(
                    model, priority=params.priority, keep_alive=params.keep_alive
                )
                return leases.enter_context(lease)

            for segment in iter(self._queue.get, None):
                if segment.language in self._failed or self._caller.cancelled:
                    continue
                try:
                    self._align(segment, lease_for)
                except BaseException as error:
                    self._fail(segment.language, failure(error, "align", self._log))

    def _align(self, segment: LiveSegment, lease_for: Callable[[str], Lease]) -> None:
        lease = lease_for(segment.language)
        end = min(segment.end + _AROUND, self._stream.duration)
        if not self._recorder.wait(end, _WRITTEN_SECONDS):
            raise self._recorder.failure or RpcError("storage_failed")
        request = EngineAlignParams(
            source=Source(
                path=str(self._recorder.path), start=max(0.0, segment.start - _AROUND), end=end
            ),
            segments=[
                SegmentText(id=segment.id, text=segment.text, start=segment.start, end=segment.end)
            ],
            language=segment.language,
            options=self._options,
        )
        reply = lease.run(self._caller, lambda: lease.perform(self._caller, "align", request))
        result = msgspec.json.decode(b"".join(reply), type=AlignResult)
        self._stream.note(result.warnings)
        for aligned in result.segments:
            if aligned.words:
                self._stream.align(aligned)

    def _fail(self, language: str, error: RpcError) -> None:
        if error.kind == cancelled("stage").kind:
            return
        self._failed.add(language)
        message = f"Segments in {language} keep the decoder's times. {error.message}"
        self._stream.note([stage_failed("align", error, message)])
