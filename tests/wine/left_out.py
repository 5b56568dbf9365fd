"""Leaves out the tests that cannot pass under Wine: left_out.txt names each, with the reason.

A pytest plugin. An entry that fits no test of a file that was collected ends the run: the list
holds nothing that is no longer true.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

_LIST: Final = Path(__file__).with_name("left_out.txt")
_TESTS: Final = Path(__file__).parents[1]


def entries() -> list[str]:
    """Files, tests, or tests with one parameter, relative to the tests' folder.

    Above each group of them, a comment says why.
    """
    lines = _LIST.read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Do not even import a file that is named as a whole: it may need modules of POSIX."""
    return True if _name(collection_path) in entries() else None


@pytest.hookimpl(tryfirst=True)  # before tests are deselected for other reasons
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = {item: f"{_name(item.path)}::{item.nodeid.partition('::')[2]}" for item in items}
    listed = set(entries())
    fits = {item: listed & {name, name.partition("[")[0]} for item, name in names.items()}
    items[:] = [item for item in items if not fits[item]]
    config.hook.pytest_deselected(items=[item for item in fits if fits[item]])
    if not any("::" in argument for argument in config.args):
        whole = {_name(item.path) for item in fits}
        unused = listed.difference(*fits.values())
        stale = [entry for entry in unused if "::" in entry and entry.partition("::")[0] in whole]
        if stale:
            raise pytest.UsageError(f"{_LIST.name} names tests that do not exist: {sorted(stale)}")


def _name(path: Path) -> str:
    return path.relative_to(_TESTS).as_posix() if path.is_relative_to(_TESTS) else ""
