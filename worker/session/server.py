"""A session on a pair of descriptors, from the first byte to the exit code.

The front and its engines are both servers; they differ in their methods, in how they write, and in
what the end of input means to them. One thread reads and another writes. The main thread does
nothing but wait for a reason to stop, so that neither a slow client nor native code can keep the
process from ending.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from protocol.errors import CancelledBy, RpcError
from protocol.framing import LineFramer
from worker.session.dispatcher import Dispatcher
from worker.session.writer import Writer
from worker.system.log import Log
from worker.system.signals import hear
from worker.system.stdio import READ_SIZE

DRAIN_SECONDS: Final = 1.5
"""How long a server that stops waits for a client that does not read."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the others waiting: a large result must not hold up a ping."""

HELD_MARK: Final = 32 * 1024 * 1024
"""Bytes of the open jobs' params above which the server stops reading from a client that does not
read its results."""

_CLIENT_GONE_CODE: Final = 1


class Stop:
    """Why and how to stop.

    A `graceful` stop lets the open jobs finish; otherwise they are cancelled, and their errors say
    `by` what. With `gone`, the client has gone and gets no answers.
    """

    def __init__(
        self,
        reason: str,
        code: int,
        *,
        by: CancelledBy = "shutdown",
        graceful: bool = False,
        gone: bool = False,
    ) -> None:
        self.reason = reason
        self.code = code
        self.by = by
        self.graceful = graceful
        self.gone = gone


class Server:
    """Serves one dispatcher. After `idle_exit` seconds without input and open jobs, it ends."""

    def __init__(
        self,
        input_fd: int,
        output_fd: int,
        log: Log,
        *,
        finish_at_end_of_input: bool,
        idle_exit: float | None = None,
    ) -> None:
        self.writer = Writer(output_fd, self._lost_reader)
        self.log = log
        self._framer = LineFramer()
        self._input_fd = input_fd
        self._finish_at_end_of_input = finish_at_end_of_input
        self._idle_exit = idle_exit
        self._heard_at = time.monotonic()
        self._stops: queue.SimpleQueue[Stop] = queue.SimpleQueue()

    @property
    def max_line_bytes(self) -> int:
        """Bytes of the longest line that is served; a longer one is answered with an error."""
        return self._framer.max_line_bytes

    def limit_lines(self, max_line_bytes: int) -> None:
        """Change the longest line that is served."""
        self._framer.max_line_bytes = max_line_bytes

    def stop(self, stop: Stop) -> None:
        """Ask the server to stop; from any thread."""
        self._stops.put(stop)

    def client_gone(self, reason: str) -> None:
        """Stop at once, without answers; from any thread."""
        self.stop(Stop(reason, _CLIENT_GONE_CODE, gone=True))

    def serve(
        self,
        dispatcher: Dispatcher,
        on_stop: Callable[[], None] = lambda: None,
        on_end_of_input: Callable[[], None] = lambda: None,
    ) -> int:
        """Serve until there is a reason to stop; return the exit code.

        `on_end_of_input` is called when no more input will come, before the open jobs are finished.
        `on_stop` is called last, after every answer that could be given. To be called from the main
        thread, once.
        """
        self._dispatcher = dispatcher
        sys.setswitchinterval(SWITCH_SECONDS)
        hear((signal.SIGTERM, signal.SIGINT), self._on_signal)
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        stop = self._wait_for_stop()
        while stop.graceful:
            on_end_of_input()
            self.log.debug(f"{stop.reason}: finishing the open jobs")
            threading.Thread(target=self._finish, args=(stop.code,), daemon=True).start()
            stop = self._stops.get()
        self.log.info(f"stopping: {stop.reason}")
        if not stop.gone:
            # On a thread, with a time limit: a client that does not read would hold it up.
            drain = threading.Thread(target=self._drain, args=(stop.by,), daemon=True)
            drain.start()
            drain.join(DRAIN_SECONDS)
        on_stop()
        return stop.code

    def _wait_for_stop(self) -> Stop:
        if self._idle_exit is None:
            return self._stops.get()
        while True:
            try:
                return self._stops.get(timeout=max(0.0, self._idle_exit - self._idle_seconds()))
            except queue.Empty:
                if self._idle_seconds() >= self._idle_exit:
                    return Stop(f"idle for {self._idle_exit:g} s", 0, graceful=True)

    def _idle_seconds(self) -> float:
        """How long no input has come and no job has been open."""
        return min(time.monotonic() - self._heard_at, self._dispatcher.idle_seconds())

    def _drain(self, by: CancelledBy) -> None:
        self._dispatcher.refusal = RpcError("shutting_down")
        self._dispatcher.cancel_all(by)
        self._dispatcher.wait_idle()
        self.writer.flush()

    def _finish(self, code: int) -> None:
        self._dispatcher.wait_idle()
        self.writer.flush()
        self.stop(Stop("all work is done", code))

    def _read(self) -> None:
        try:
            self._read_lines()
        except Exception as error:  # a server that cannot read is of no use
            self.log.unforeseen("reading the input failed", error)
            self.stop(Stop("the input cannot be read any more", _CLIENT_GONE_CODE))

    def _read_lines(self) -> None:
        receive = self._dispatcher.receive
        writer = self.writer
        framer = self._framer
        while True:
            if self._dispatcher.open_bytes > HELD_MARK:
                writer.wait_for_room()
            try:
                data = os.read(self._input_fd, READ_SIZE)
            except OSError as error:  # a socket whose peer was killed
                self.log.debug(f"reading the input failed: {error}")
                data = b""
            self._heard_at = time.monotonic()
            lines = framer.feed(data) if data else framer.close()
            replies = []
            for line in lines:
                try:
                    reply = receive(line)
                except Exception as error:  # nothing that a client sends may end the reader
                    self.log.unforeseen("dispatch failed", error)
                    continue
                if reply:
                    replies.append(reply)
            if replies:
                # Waits while the client does not read them: then it may not send more either.
                writer.write_control(b"".join(replies))
            if not data:
                break
        self.stop(Stop("end of input", 0, graceful=self._finish_at_end_of_input))

    def _lost_reader(self) -> None:
        self.client_gone("the output cannot be written any more")

    def _on_signal(self, number: signal.Signals) -> None:
        self.stop(Stop(number.name, 128 + number, by="signal"))
