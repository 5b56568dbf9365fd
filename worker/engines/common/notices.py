"""Warnings that several engines give."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.values import Notice


def memory_saved(option: str, what: str) -> Notice:
    """The warning that the engine lowered `option` to save memory; `what` says what it did."""
    return Notice(kind="memory_saved", option=option, message=f"Memory ran out: {what}.")


def listed(ids: Sequence[int]) -> str:
    """The first ten ids, for a message."""
    return ", ".join(map(str, ids[:10])) + (" …" if len(ids) > 10 else "")
