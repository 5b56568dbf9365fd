"""Work queued for an engine: which item is next, and how the caller that waits gets its result."""

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
"""How many interactive items may go before one of a batch that waits."""


class WorkItem(Generic[T]):
    """Work that a caller waits for, and may withdraw until it has begun."""

    hears_of_load = True
    """Whether the caller gets progress of a load before its own work begins."""
    priority: Priority = "interactive"

    def __init__(self, caller: Caller, work: Callable[[], T], *, download: bool = False) -> None:
        self.caller = caller
        self.download = download
        """The worker may fetch the model."""
        self.queued_at = time.monotonic()
        self.result: list[T] = []
        """Holds the result, once the work has ended without an error."""
        self.error: BaseException | None = None
        self._work = work
        self._lock = threading.Lock()
        self._begun = False
        self._settled = threading.Event()

    def do(self) -> None:
        """Do the work, unless it was withdrawn."""
        with self._lock:
            if self._settled.is_set():
                return
            self._begun = True
        try:
            self.result.append(self._work())
        except BaseException as error:
            self.error = error

    def settle(self) -> None:
        """Wake the caller that waits in `outcome`."""
        self._settled.set()

    def withdraw(self, by: CancelledBy) -> None:
        """Drop the work if it has not begun: its caller gets the error cancelled."""
        with self._lock:
            if not self._begun:
                self.error = cancelled(by)
                self._settled.set()

    def outcome(self) -> T:
        """Wait, then return the result or raise the error."""
        self._settled.wait()
        if self.error:
            raise self.error
        return self.result[0]


class WorkQueue(Generic[T]):
    """Interactive items first, then those of batches; each in the order in which they came.

    A job has one item at a time in the queue and queues the next when that is done, so that jobs
    of the same priority take turns. A batch that waits gets every fifth turn. Not thread-safe.
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
        """Add an item."""
        (self._batch if priority == "batch" else self._interactive).append(item)

    def get(self) -> T:
        """Remove and return the next item; raises IndexError when the queue is empty."""
        overtakes = bool(self._interactive) and self._overtaken < OVERTAKING
        if overtakes or not self._batch:
            self._overtaken += bool(self._batch)
            return self._interactive.popleft()
        self._overtaken = 0
        return self._batch.popleft()

    @property
    def interactive(self) -> int:
        """How many interactive items wait."""
        return len(self._interactive)

    def get_interactive(self) -> T | None:
        """Remove and return the next interactive item; None when there is none."""
        return self._interactive.popleft() if self._interactive else None
