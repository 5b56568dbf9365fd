"""A session on a pair of descriptors, from the first byte to the exit code.

Both the front and its engines are servers: they differ in their methods, and in what the end of
input means to them.
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
"""How long a stopping server waits for a client that does not read."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the others waiting: what is forwarded must not hold up a ping."""

HELD_MARK: Final = 32 * 1024 * 1024
"""Bytes of the open jobs' params, above which a client that reads no results is not read from
either."""

_CLIENT_GONE_CODE: Final = 1


class Stop:
    """Why and how to stop: `graceful` finishes what is running; `gone` has nobody to answer.

    What runs otherwise is cancelled `by` a signal, or the shutdown.
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
    """Reads on one thread, stops on another.

    The main thread only waits for a reason to stop, whatever the others do. After `idle_exit`
    seconds without a byte of input or an open job, the server ends by itself.
    """

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
        self.framer = LineFramer()
        self.log = log
        self.dispatcher: Dispatcher
        self.on_stop: Callable[[], None] = lambda: None
        """Called last, when what could be answered was."""
        self._input_fd = input_fd
        self._finish_at_end_of_input = finish_at_end_of_input
        self._idle_exit = idle_exit
        self._heard_at = time.monotonic()
        self._stops: queue.SimpleQueue[Stop] = queue.SimpleQueue()

    def stop(self, stop: Stop) -> None:
        """Ask the server to stop; from any thread."""
        self._stops.put(stop)

    def client_gone(self, reason: str) -> None:
        """Stop at once: nobody is left to answer."""
        self.stop(Stop(reason, _CLIENT_GONE_CODE, gone=True))

    def serve(self, dispatcher: Dispatcher) -> int:
        """Serve until there is a reason to stop; return the exit code."""
        self.dispatcher = dispatcher
        sys.setswitchinterval(SWITCH_SECONDS)
        hear((signal.SIGTERM, signal.SIGINT), self._on_signal)
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        stop = self._wait_for_stop()
        while stop.graceful:
            self.log.debug(f"{stop.reason}: finishing what is running")
            threading.Thread(target=self._finish, args=(stop.code,), daemon=True).start()
            stop = self._stops.get()
        self.log.info(f"stopping: {stop.reason}")
        if not stop.gone:
            # On a thread of its own, with a limit: a client that does not read can hold it up.
            drain = threading.Thread(target=self._drain, args=(stop.by,), daemon=True)
            drain.start()
            drain.join(DRAIN_SECONDS)
        self.on_stop()
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
        """How long nothing was asked for, and nothing ran."""
        return min(time.monotonic() - self._heard_at, self.dispatcher.idle_seconds())

    def _drain(self, by: CancelledBy) -> None:
        self.dispatcher.refusal = RpcError("shutting_down")
        self.dispatcher.cancel_all(by)
        self.dispatcher.wait_idle()
        self.writer.flush()

    def _finish(self, code: int) -> None:
        self.dispatcher.wait_idle()
        self.writer.flush()
        self.stop(Stop("all work is done", code))

    def _read(self) -> None:
        try:
            self._read_lines()
        except Exception as error:  # whoever hears nothing any more is of no use
            self.log.unforeseen("reading the input failed", error)
            self.stop(Stop("the input cannot be read any more", _CLIENT_GONE_CODE))

    def _read_lines(self) -> None:
        receive = self.dispatcher.receive
        writer = self.writer
        framer = self.framer
        while True:
            if self.dispatcher.open_bytes > HELD_MARK:
                writer.wait_for_room()
            try:
                data = os.read(self._input_fd, READ_SIZE)
            except OSError as error:  # the peer was killed: a socket says so with an error
                self.log.debug(f"reading the input failed: {error}")
                data = b""
            self._heard_at = time.monotonic()
            lines = framer.feed(data) if data else framer.close()
            replies = []
            for line in lines:
                try:
                    reply = receive(line)
                except Exception as error:
                    # Nothing a client sends may end the reader.
                    self.log.unforeseen("dispatch failed", error)
                    continue
                if reply:
                    replies.append(reply)
            if replies:
                # Waits when the client reads none of them; then nothing more is read here.
                writer.write_control(b"".join(replies))
            if not data:
                break
        self.stop(Stop("end of input", 0, graceful=self._finish_at_end_of_input))

    def _lost_reader(self) -> None:
        self.client_gone("the output cannot be written any more")

    def _on_signal(self, number: signal.Signals) -> None:
        self.stop(Stop(number.name, 128 + number, by="signal"))
