"""Handles signals no matter to which thread the system delivers them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable


def hear(numbers: Iterable[signal.Signals], call: Callable[[signal.Signals], None]) -> None:
    """Call `call`, on a thread, with each signal in `numbers` that arrives.

    Python runs handlers only in the main thread, but the system may deliver a signal to any thread:
    while the main thread waits for a lock, it would not notice. The thread that gets the signal
    writes its number to the wakeup descriptor (https://docs.python.org/3/library/signal.html
    #signal.set_wakeup_fd), which we read. Call this from the main thread.
    """
    heard = frozenset(numbers)
    reader, writer = os.pipe()
    if sys.platform != "win32":  # on Windows, pipes always block, but signals do not interrupt
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
