"""Lines on stdout, and below them on a terminal, in place, text that may still change."""

from __future__ import annotations

import io
import os
import shutil
import sys
from typing import Final, TextIO

from worker.formats.breaking import clusters, width

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_CONTROLS: Final = dict.fromkeys([*range(32), *range(127, 160)], " ")


class Screen:
    """Writes to stdout, or to `out`. Only a terminal gets text that is not final."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        if isinstance(self._out, io.TextIOWrapper):
            self._out.reconfigure(errors="replace")  # no character may end a stream of hours
        terminal = os.environ.get("TERM")
        self._draws = self._out.isatty() and terminal != "dumb"
        # Older consoles of Windows would print the codes.
        is_old = sys.platform == "win32" and "WT_SESSION" not in os.environ and not terminal
        self._dims = not is_old and not os.environ.get("NO_COLOR")
        self._text = ""
        self._columns = 0  # that it takes on the screen

    def show(self, text: str) -> None:
        """Replace the text on the last line by this one; none removes it."""
        if not self._draws or text == self._text:
            return
        self._text = text
        # In the last column, some terminals would begin a new line.
        text = tail(text.translate(_CONTROLS), shutil.get_terminal_size().columns - 1)
        columns = width(text)
        rest = " " * (self._columns - columns)
        shown = f"{_DIM}{text}{_PLAIN}" if self._dims and text else text
        back = f"\r{shown}" if rest else ""  # the cursor stands behind the text
        self._out.write(f"\r{shown}{rest}{back}" if text else f"\r{rest}\r")
        self._out.flush()
        self._columns = columns

    def write(self, line: str) -> None:
        """Write a line above the text."""
        text = self._text
        self.show("")
        self._out.write(line + "\n")
        self._out.flush()
        self.show(text)


def tail(text: str, columns: int) -> str:
    """The end of the text, which is the newest, in at most that many columns."""
    if width(text) <= columns:
        return text
    for _, end in clusters(text):
        if width(text[end:]) <= columns - 1:
            return "…" + text[end:]
    return ""
