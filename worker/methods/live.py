"""The methods of live streams.

`live/transcribe` is a job, and the stream as long as it is open. The stream exists as soon as the
request is read, so that its audio may follow at once. The other methods are answered by the
session's reader, in the order in which they come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from protocol.errors import RpcError, cancelled
from protocol.params import decode_params
from worker.session.job import Later
from worker.session.lane import Lane, Method, answer_aside

if TYPE_CHECKING:
    from protocol.live import LiveStreamResult
    from worker.live.stream import Stream
    from worker.managers.model import Model
    from worker.managers.pool import ModelPool
    from worker.session.job import Job, Json
    from worker.system.log import Log


class LiveMethods:
    """Serves the requests about streams, and knows which are open."""

    def __init__(self, pool: ModelPool, log: Log) -> None:
        self._pool = pool
        self._log = log
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}
        self._models: set[bytes] = set()
        """The keys of the models that streams use, each by itself."""

    def lanes(self) -> dict[str, Lane]:
        """The lane of the method that opens a stream, by its name."""
        methods: dict[str, Method] = {"live/transcribe": self._transcribe}
        return dict.fromkeys(methods, _StreamLane(methods, self._log, self._open))

    def requests(self) -> dict[str, Callable[[bytes], bytes]]:
        """Methods that are answered at once."""
        return {
            "live/append": partial(self._append, paced=True),
            "live/commit": self._commit,
            "live/finish": self._finish,
        }

    def notifications(self) -> dict[str, Callable[[bytes], bytes]]:
        """The same, where they differ as notifications."""
        return {"live/append": self._append_unasked}

    def finish_all(self) -> None:
        """End the input of all streams: nothing more can come."""
        for stream in self._open_streams():
            stream.finish()

    def _open(self, job: Job) -> None:
        """Open the stream of a job. On the session's reader. Raises `RpcError`."""
        from protocol.live import LiveTranscribeParams
        from worker.live.stream import Stream

        params = decode_params(job.params, LiveTranscribeParams)
        with self._lock:
            other = self._streams.get(params.stream)
            if other and not other.job.finished:
                raise RpcError("live_stream_exists", stream=params.stream)
            self._streams[params.stream] = Stream(job, params)

    def _transcribe(self, job: Job) -> Later:
        """Serve `live/transcribe`."""
        with self._lock:
            mine = [each for each in self._streams.values() if each.job is job]
        if not mine:  # cancelled, and another stream has its name by now
            raise cancelled("client")
        [stream] = mine

        def work() -> Json:
            from worker.live.work import LiveWork

            model = self._take_model(stream)
            try:
                return LiveWork(stream, model, self._pool, self._log).run()
            finally:
                with self._lock:
                    self._models.discard(model.key)
                    if self._streams.get(stream.params.stream) is stream:
                        del self._streams[stream.params.stream]

        return answer_aside(job, f"Listening to {stream.params.stream}", work, self._log)

    def _take_model(self, stream: Stream) -> Model:
        """A model that no other stream uses: each needs an engine of its own."""
        from worker.managers.resolve import live_model

        number = 0
        with self._lock:
            while (model := live_model(stream.params, number)).key in self._models:
                number += 1
            self._models.add(model.key)
        return model

    def _append(self, raw: bytes, *, paced: bool) -> bytes:
        from protocol.live import LiveAppendParams

        params = decode_params(raw, LiveAppendParams)
        stream = self._stream(params.stream)
        return msgspec.json.encode(stream.append(params.audio, params.at, paced=paced))

    def _append_unasked(self, raw: bytes) -> bytes:
        """Take in the audio of a notification: what is wrong with it is told with the result."""
        try:
            return self._append(raw, paced=False)
        except RpcError as error:
            name = _name_in(raw)
            with self._lock:
                stream = self._streams.get(name) if name else None
            if stream is None:
                raise
            stream.refuse(error)
            return b"null"

    def _commit(self, raw: bytes) -> bytes:
        return self._status(raw, lambda stream: stream.commit())

    def _finish(self, raw: bytes) -> bytes:
        return self._status(raw, lambda stream: stream.finish())

    def _status(self, raw: bytes, act: Callable[[Stream], LiveStreamResult]) -> bytes:
        from protocol.live import LiveStreamParams

        params = decode_params(raw, LiveStreamParams)
        return msgspec.json.encode(act(self._stream(params.stream)))

    def _stream(self, name: str) -> Stream:
        with self._lock:
            stream = self._streams.get(name)
        if stream is None or stream.job.finished:
            raise RpcError("live_stream_unknown", f"No stream {name} is open.", stream=name)
        return stream

    def _open_streams(self) -> list[Stream]:
        with self._lock:
            return [each for each in self._streams.values() if not each.job.finished]


class _StreamLane(Lane):
    """A lane whose jobs take effect when they are read, before their turn comes."""

    def __init__(
        self, methods: Mapping[str, Method], log: Log, begin: Callable[[Job], None]
    ) -> None:
        super().__init__(methods, log)
        self._begin = begin

    def submit(self, job: Job) -> None:
        """Queue a job. Raises `RpcError` if it cannot begin."""
        self._begin(job)
        super().submit(job)


def _name_in(raw: bytes) -> str | None:
    """The stream that params name, whatever else is wrong with them."""
    try:
        name: Any = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("stream")
        return msgspec.json.decode(name, type=str) if name else None
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None
