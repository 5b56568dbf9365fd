"""What an engine does when memory runs out: less at once, and it says so."""

from __future__ import annotations

from protocol.values import Notice


def memory_saved(option: str, remedy: str) -> Notice:
    """The warning that `option` is not what it was to be; `remedy` says what was done."""
    return Notice(kind="memory_saved", option=option, message=f"Memory ran out: {remedy}.")
