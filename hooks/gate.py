"""Finds, among PyInstaller's warnings, those that mean a broken bundle.

Its warning file names hundreds of modules that nothing here needs. Three kinds matter: a module
that one of our packages imports and that is installed, but not in the bundle; a hidden import that
no longer exists, so that its hook no longer works; and a library whose file was not found.
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
    """Return one sentence per problem that must stop the build.

    `warnings` is the text of PyInstaller's warning file, `log` its log messages. `critical` are the
    top-level packages that must be complete, `excluded` the modules excluded on purpose. `allowed`
    maps patterns of modules and libraries that may be missing to the reason.
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
            found.append(f"{match[2]} needs the library {match[1]}, which was not found.")
    return found


def importable(name: str) -> bool:
    """Whether a module is installed; does not import its parent packages."""
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
