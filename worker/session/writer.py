"""The writer of a session: one thread writes all messages, whole and in order.

Three rules keep a slow peer from blocking the session or filling the memory: control replies
overtake results, a newer progress report replaces an older one that still waits, and a producer
waits while too much is unread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Final

from worker.system.stdio import READ_SIZE

HIGH_WATER: Final = 1024 * 1024
"""Unread bytes above which producers wait until the peer reads again."""
CONGESTED: Final = 64 * 1024
"""Unread bytes above which the peer counts as slow."""


class Writer:
    """Writes whole messages, each of which ends with a line feed, to a descriptor.

    When the peer is gone, it calls `on_broken` once and drops everything that follows.
    """

    def __init__(self, fd: int, on_broken: Callable[[], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)  # the thread waits for work
        self._room = threading.Condition(self._lock)  # producers wait for the peer
        self._queue: list[bytes] = []
        self._reports: dict[bytes, int] = {}  # token of a waiting report -> place in the queue
        self._pending = 0  # bytes queued or being written
        self._control: list[bytes] = []
        self._control_pending = 0
        self._broken = False
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    @property
    def congested(self) -> bool:
        """Whether the peer reads more slowly than we write."""
        return self._pending > CONGESTED

    def write(self, *chunks: bytes) -> None:
        """Queue `chunks`, which together are one or more whole messages."""
        size = sum(map(len, chunks))
        with self._lock:
            while self._pending > HIGH_WATER and not self._broken:
                self._room.wait()
            if self._broken:
                return
            self._queue += chunks
            self._pending += size
            self._reports.clear()  # a report never overtakes another message
            self._wake.notify()

    def wait_for_room(self) -> None:
        """Wait until the peer has read enough, or is gone."""
        with self._lock:
            self._room.wait_for(lambda: self._broken or self._pending <= HIGH_WATER)

    def write_report(self, token: bytes, line: bytes) -> None:
        """Queue a progress report; it replaces the token's last one if that still waits."""
        with self._lock:
            if self._broken:
                return
            place = self._reports.get(token)
            if place is None:
                self._reports[token] = len(self._queue)
                self._queue.append(line)
                self._pending += len(line)
            else:
                self._pending += len(line) - len(self._queue[place])
                self._queue[place] = line
            self._wake.notify()

    def write_control(self, lines: bytes) -> None:
        """Queue whole messages that overtake everything else that waits."""
        with self._lock:
            while self._control_pending > HIGH_WATER and not self._broken:
                self._room.wait()
            if self._broken:
                return
            self._control.append(lines)
            self._control_pending += len(lines)
            self._wake.notify()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the queue is empty; return False if `timeout` seconds pass first."""
        with self._lock:
            return self._room.wait_for(
                lambda: self._broken or not (self._pending or self._control_pending), timeout
            )

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    while not (self._queue or self._control):
                        self._wake.wait()
                    batch, self._queue = self._queue, []
                    self._reports.clear()
                self._write_control()
                for chunk in _merged(batch):
                    self._write_all(chunk)
                    if self._control and chunk.endswith(b"\n"):  # not within a message
                        self._write_control()
        except OSError:  # EPIPE, ECONNRESET: the peer is gone
            with self._lock:
                self._broken = True
                self._queue.clear()
                self._control.clear()
                self._room.notify_all()
            self._on_broken()

    def _write_control(self) -> None:
        with self._lock:
            lines, self._control = b"".join(self._control), []
        if not lines:
            return
        view = memoryview(lines)
        while view:
            view = view[os.write(self._fd, view) :]
        with self._lock:
            self._control_pending -= len(lines)
            self._room.notify_all()

    def _write_all(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            # Small writes, so that producers go on as soon as the peer reads.
            written = os.write(self._fd, view[:READ_SIZE])
            view = view[written:]
            with self._lock:
                self._pending -= written
                if self._pending <= HIGH_WATER:
                    self._room.notify_all()


def _merged(batch: list[bytes]) -> Iterable[bytes]:
    """Join small neighbours, so that many short messages cost one system call."""
    if len(batch) == 1:
        yield batch[0]
        return
    group: list[bytes] = []
    size = 0
    for chunk in batch:
        if size + len(chunk) > READ_SIZE and group:
            yield b"".join(group)
            group, size = [], 0
        group.append(chunk)
        size += len(chunk)
    yield b"".join(group)
