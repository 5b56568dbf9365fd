"""What PyInstaller only warns of, and what breaks the program all the same.

Its file of warnings names hundreds of modules that nobody needs here. Three kinds matter: a module
that a package of ours asks for, that is there when the build runs, and that the bundle would lack;
a hidden import that no longer exists, because then a hook no longer does what it is for; and a
library that no file was found for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.machinery import PathFinder
from typing import Final

_MISSING: Final = re.compile(r"missing module named '?([\w.]+)'? - imported by (.*)")
_IMPORTER: Final = re.compile(r"'?([\w.]+)'? \(")
_HIDDEN: Final = re.compile(r"Hidden import [\"'](.+?)[\"'] not found")
_LIBRARY: Final = re.compile(r"Library not found: could not resolve '(.+?)', dependency of '(.+?)'")


def problems(
    warnings: str,
    log: Iterable[str],
    *,
    critical: Collection[str],
    excluded: Collection[str],
    allowed: Mapping[str, str],
    importable: Callable[[str], bool],
) -> list[str]:
    """What must not be in a build: a sentence each.

    `warnings` is the text of PyInstaller's file of warnings, `log` what it logged. `critical` are
    top-level packages that must be whole, `excluded` modules that are left out on purpose.
    `allowed` maps patterns of what may be missing nevertheless to the reason.
    """
    found = []
    may_be_missing = re.compile("|".join(f"(?:{each})" for each in allowed) or r"(?!)").fullmatch
    for name, importers in _MISSING.findall(warnings):
        tops = {each.partition(".")[0] for each in (name, *_IMPORTER.findall(importers))}
        if (
            tops & set(critical)
            and not _within(name, excluded)
            and not may_be_missing(name)
            and importable(name)
        ):
            found.append(f"The module {name} is installed, but not in the bundle: {importers}.")
    for message in log:
        if match := _HIDDEN.search(message):
            if not _within(match[1], excluded) and not may_be_missing(match[1]):
                found.append(f"The hidden import {match[1]} does not exist.")
        elif (match := _LIBRARY.search(message)) and not may_be_missing(match[1]):
            found.append(f"The library {match[1]} was not found, which {match[2]} needs.")
    return found


def importable(name: str) -> bool:
    """Whether a module is installed: looked for without importing what it is a part of."""
    path = None
    for end in [*(at for at, char in enumerate(name) if char == "."), len(name)]:
        spec = PathFinder.find_spec(name[:end], path)
        if spec is None:
            return name in sys.builtin_module_names
        path = spec.submodule_search_locations
        if path is None and end < len(name):
            return False
    return True


def _within(name: str, modules: Collection[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in modules)
