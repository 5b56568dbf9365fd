"""Draws progress bars of single requests on the terminal."""

from __future__ import annotations

import sys
from typing import Any


class Bar:
    """Shows `$/progress` values, a percentage or a download's bytes, if stderr is a terminal."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=100,
            desc=title,
            unit="%",
            leave=False,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}",
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, value: dict[str, Any]) -> None:
        """Show a progress value."""
        if value["kind"] != "report":
            return
        text = value["stage"]
        if "bytesDone" in value:
            done, total = value["bytesDone"], value["bytesTotal"]
            text += f" {amount(done)} of {amount(total)}"
            files = value["filesDone"], value["filesTotal"]
            text += ", {} of {} files".format(*files)
        self._bar.set_postfix_str(text)
        if "percentage" in value:
            self._bar.update(value["percentage"] - self._bar.n)

    def write(self, line: str) -> None:
        """Print a line on stdout, above the bar."""
        self._bar.clear()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        self._bar.refresh()


def amount(size: float) -> str:
    """Bytes as people read them: `484 MB`."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
