"""Logs: lines on stderr, and `$/logMessage` notifications for clients that want them.

The front does not use `logging`, whose import would add several milliseconds to every start.
Libraries inside the engines do; `adopt_logging` forwards their messages to a `Log`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Final

LEVELS: Final = ("error", "warning", "info", "debug")
LEVEL_VARIABLE: Final = "TRANSCRIPTION_WORKER_LOG"
DEFAULT_LEVEL: Final = "warning"

Listener = Callable[[str, str, str], None]


class Log:
    """Writes `TIME LEVEL NAME[PID] MESSAGE`; `listener` gets (level, name, message) as well."""

    def __init__(self, name: str, level: str | None = None) -> None:
        self.name = name
        level = level or os.environ.get(LEVEL_VARIABLE, "").lower()
        self.level = level if level in LEVELS else DEFAULT_LEVEL
        self._prefix = f"{name}[{os.getpid()}]"
        self._listener: Listener | None = None
        self._listener_level = DEFAULT_LEVEL

    def listen(self, listener: Listener, level: str) -> None:
        """Also hand messages of `level` and above to `listener`."""
        self._listener, self._listener_level = listener, level

    @property
    def finest(self) -> str:
        """The most detailed level that stderr or the listener takes."""
        levels = (self.level, self._listener_level if self._listener else self.level)
        return max(levels, key=LEVELS.index)

    def error(self, message: str) -> None:
        """Log that something failed."""
        self.write("error", message)

    def unforeseen(self, what: str, error: BaseException) -> None:
        """Log an unforeseen error with its traceback."""
        try:
            from traceback import format_exception

            self.error(f"{what}: {''.join(format_exception(error))}")
        except Exception:  # out of descriptors or memory: write what is at hand
            _write_stderr(what + "\n")

    def warning(self, message: str) -> None:
        """Log something that a user should know."""
        self.write("warning", message)

    def info(self, message: str) -> None:
        """Log a step in the life of the worker."""
        self.write("info", message)

    def debug(self, message: str) -> None:
        """Log details for debugging."""
        self.write("debug", message)

    def write(self, level: str, message: str) -> None:
        """Log one line; line breaks become `\\n`."""
        message = message.replace("\n", "\\n")
        if _at_least(level, self.level):
            _write_stderr(f"{timestamp()} {level.upper():7} {self._prefix} {message}\n")
        if self._listener and _at_least(level, self._listener_level):
            self._listener(level, self.name, message)

    def relay(self, line: str) -> None:
        """Log a line of an engine's stderr: a log line of ours, or else a library's output.

        The latter is for developers: the result tells users what concerns them.
        """
        fields = line.split(None, 3)
        ours = len(fields) == 4 and fields[1].lower() in LEVELS
        level = fields[1].lower() if ours else "debug"
        if _at_least(level, self.level):
            _write_stderr(line + "\n")
        if self._listener and _at_least(level, self._listener_level):
            name = fields[2].partition("[")[0] if ours else "engine"
            self._listener(level, name, fields[3] if ours else line)


def timestamp(at: float | None = None) -> str:
    """A time (seconds since the epoch), or now: in UTC, ISO 8601 with milliseconds."""
    at = time.time() if at is None else at
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03}Z"


def adopt_logging(log: Log) -> None:
    """Forward the standard library's `logging` and `warnings` to `log`.

    Libraries use them, and so does our code inside the hub engine. Errors stay errors; everything
    else is for developers, and becomes `debug`.
    """
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = "error" if record.levelno >= logging.ERROR else "debug"
            log.write(level, f"{record.name}: {record.getMessage()}")

    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [Handler()]
    root.setLevel(logging.DEBUG if log.level == "debug" else logging.ERROR)


def _at_least(level: str, threshold: str) -> bool:
    return LEVELS.index(level) <= LEVELS.index(threshold)


def _write_stderr(text: str) -> None:
    try:
        os.write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:
        sys.stderr = None  # nobody reads it any more; the work goes on
