"""A recording on stdin, kept in a temporary file: decoders seek in it, which a pipe cannot."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO, Final

from protocol.errors import RpcError
from worker.system import limits
from worker.system.scratch import Scratch

STDIN: Final = "-"
"""The path that stands for stdin."""
NAME: Final = "stdin"
"""Name of its recording."""

_BLOCK: Final = 1 << 20
_ENDING: Final = [each for each in signal.Signals if each.name in ("SIGTERM", "SIGHUP")]


class Spool:
    """The file for stdin. Use it as a context manager: the file vanishes however that ends.

    Signals that end the program raise `SystemExit` while there is a file. What a kill leaves
    behind, the next worker sweeps.
    """

    def __init__(self) -> None:
        self._scratch: Scratch | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._scratch:
            self._scratch.remove()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def read(self) -> Path:
        """Read stdin to its end; return the path of the file. Call it once.

        Raises `RpcError` of the kinds audio_* and storage_failed.
        """
        refuse_terminal()
        self._handlers = {number: signal.signal(number, _exit) for number in _ENDING}
        self._scratch = Scratch(NAME)
        path = self._scratch.path / NAME
        try:
            with path.open("xb") as file:
                size = _copy(sys.stdin.fileno(), file) if sys.stdin is not None else 0
        except OSError as error:
            raise RpcError(
                "storage_failed",
                f"stdin cannot be stored in {path.parent}: {error.strerror}.",
                path=str(path.parent),
            ) from None
        if not size:
            remedy = "Pipe a recording into it; if a program should write it, see whether it did."
            raise RpcError("audio_empty", "stdin is empty.", remedy=remedy)
        return path

    def hidden(self, text: str) -> str:
        """The text, with stdin for the path of the file."""
        return text.replace(str(self._scratch.path / NAME), NAME) if self._scratch else text


def refuse_terminal() -> None:
    """Raise `ValueError` where stdin is a terminal."""
    if sys.stdin is not None and sys.stdin.isatty():
        raise ValueError("stdin is a terminal: pipe a recording into it, or name a file.")


def _copy(source: int, target: BinaryIO) -> int:
    """Copy from a descriptor up to the limit on recordings; return the number of bytes."""
    limit, size = limits.max_audio_size(), 0
    while True:
        try:
            # A read that waits for a whole block would not let Python see a signal meanwhile.
            block = os.read(source, _BLOCK)
        except OSError as error:
            message = f"stdin cannot be read: {error.strerror}."
            remedy = "Pipe a recording into it, or name a file."
            raise RpcError("audio_not_readable", message, remedy=remedy) from None
        if not block:
            return size
        size += len(block)
        if size > limit:
            raise RpcError(
                "audio_too_large",
                f"stdin has more than {limit} bytes, the limit.",
                limit=limit,
            )
        target.write(block)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
