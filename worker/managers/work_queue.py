"""The queue of work for an engine: whose turn is next, and how those who wait learn the outcome."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from protocol.errors import CancelledBy, cancelled

if TYPE_CHECKING:
    from protocol.values import Priority
    from worker.session.job import Caller

T = TypeVar("T")

OVERTAKING: Final = 4
"""So many interactive turns may be taken before one of a batch that waits."""


class WorkItem(Generic[T]):
    """Work that somebody waits for, and may take back until it has begun."""

    told = True
    """Whether the caller is told of what comes before the turn."""
    priority: Priority = "interactive"

    def __init__(self, caller: Caller, work: Callable[[], T], *, download: bool = False) -> None:
        self.caller = caller
        self.download = download
        """Its model may be fetched."""
        self.asked_at = time.monotonic()
        self.result: list[T] = []
        """What came of it, when it was done without an error."""
        self.error: BaseException | None = None
        self._work = work
        self._lock = threading.Lock()
        self._begun = False
        self._done = threading.Event()

    def take(self) -> None:
        """Do it, unless it was taken back."""
        with self._lock:
            if self._done.is_set():
                return
            self._begun = True
        try:
            self.result.append(self._work())
        except BaseException as error:
            self.error = error

    def settle(self) -> None:
        """Tell whoever waits that it is over."""
        self._done.set()

    def withdraw(self, by: CancelledBy) -> None:
        """Take it back: whoever waits is told that it was cancelled."""
        with self._lock:
            if not self._begun:
                self.error = cancelled(by)
                self._done.set()

    def outcome(self) -> T:
        """Wait, and return or raise what came of it."""
        self._done.wait()
        if self.error:
            raise self.error
        return self.result[0]


class WorkQueue(Generic[T]):
    """Things that wait for their turn: interactive ones first, each kind in the order it came.

    A job has one turn at a time in the queue and goes to its end with the next, so that jobs of
    the same kind go on side by side. A batch that waits gets every fifth turn. Not thread-safe.
    """

    def __init__(self) -> None:
        self._interactive: deque[T] = deque()
        self._batch: deque[T] = deque()
        self._overtaken = 0

    def __len__(self) -> int:
        return len(self._interactive) + len(self._batch)

    def __iter__(self) -> Iterator[T]:
        yield from self._interactive
        yield from self._batch

    def put(self, item: T, priority: Priority) -> None:
        """Let it wait."""
        (self._batch if priority == "batch" else self._interactive).append(item)

    def get(self) -> T:
        """Take who is next; raises IndexError when nobody waits."""
        overtakes = bool(self._interactive) and self._overtaken < OVERTAKING
        if overtakes or not self._batch:
            self._overtaken += bool(self._batch)
            return self._interactive.popleft()
        self._overtaken = 0
        return self._batch.popleft()

    @property
    def interactive(self) -> int:
        """How many interactive ones wait."""
        return len(self._interactive)

    def get_interactive(self) -> T | None:
        """Take the next interactive one, if there is one."""
        return self._interactive.popleft() if self._interactive else None
