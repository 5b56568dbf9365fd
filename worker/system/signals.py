"""Signals, heard whichever thread the system gives them to."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable


def hear(numbers: Iterable[signal.Signals], call: Callable[[signal.Signals], None]) -> None:
    """Call `call` from a thread with each of the signals `numbers` that comes.

    Python runs a handler in the main thread alone, and the system may give a signal to any: while
    the main thread waits for a lock, such a signal would go unheeded. What Python writes to the
    wakeup descriptor comes from the thread that was hit (https://docs.python.org/3/library/
    signal.html#signal.set_wakeup_fd). To be called from the main thread.
    """
    heard = frozenset(numbers)
    reader, writer = os.pipe()
    if sys.platform != "win32":  # there, signals do not interrupt, and pipes always block
        os.set_blocking(writer, False)
    threading.Thread(
        target=_listen, args=(reader, heard, call), name="signals", daemon=True
    ).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, lambda *_: None)


def _listen(
    reader: int, heard: frozenset[signal.Signals], call: Callable[[signal.Signals], None]
) -> None:
    while numbers := os.read(reader, 64):
        for number in numbers:
            if number in heard:
                call(signal.Signals(number))
