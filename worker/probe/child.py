"""The probe's child process: imports one package, uses it, and reports each step on stdout.

It writes one JSON object per line: `version`, `imported`, `facts` or `failed`, and finally `done`;
without `done`, it crashed. Besides the package it imports only the standard library.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import sys
import time
import traceback
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final, NoReturn

from worker.probe.packages import Package, find
from worker.system.stdio import claim_stdio
from worker.system.watch import die_with_parent

HUB: Final = "@hub"
"""The subject that is not a package: the hub, contacted over the network."""
_LONGEST_TEXT: Final = 20_000


def main(subject: str, parent: int | None, *, use: bool) -> NoReturn:
    """Examine `subject`, report the outcome, and exit."""
    if parent is not None:
        die_with_parent(parent)
    _, output = claim_stdio()
    _crash_quietly()

    def report(**event: Any) -> None:
        data = json.dumps(event).encode() + b"\n"
        while data:
            data = data[os.write(output, data) :]

    try:
        if subject == HUB:
            from worker.probe import hub

            report(facts=hub.ask())
        else:
            _examine(find(subject), use, report)
    except BaseException as error:  # also SystemExit: anything an import raises is a finding
        report(failed=_describe(error))
    report(done=True)
    # Engines end with `_exit` too, so exit handlers of a package cannot harm them.
    os._exit(0)


def _examine(package: Package, use: bool, report: Any) -> None:
    try:
        report(version=metadata.version(package.name))
    except metadata.PackageNotFoundError:
        pass
    started = time.perf_counter()
    module = import_module(package.modules[0])
    for name in package.modules[1:]:
        import_module(name)
    seconds = time.perf_counter() - started
    report(imported={"seconds": round(seconds, 3), "location": _location(module)})
    if use:
        from worker.probe import uses

        _check_assets(package, Path(_location(module) or "."))
        report(facts=uses.use(package.name, module))


def _location(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    if file:
        return str(Path(file).parent)
    return next(iter(getattr(module, "__path__", ())), None)


def _check_assets(package: Package, directory: Path) -> None:
    for pattern in package.assets:
        if not any(directory.glob(pattern)):
            path = str(directory / pattern)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _describe(error: BaseException) -> dict[str, Any]:
    """The error and its causes: the last cause often explains what the first hides."""
    causes: list[str] = []
    paths: list[str] = []
    at: BaseException | None = error
    while at is not None and len(causes) < 8:
        causes.append(f"{type(at).__name__}: {at}")
        if isinstance(at, FileNotFoundError) and isinstance(at.filename, str):
            paths.append(at.filename)
        at = at.__cause__ or at.__context__
    return {
        "causes": [_cut(cause) for cause in causes],
        "path": paths[-1] if paths else None,
        "traceback": _cut("".join(traceback.format_exception(error))),
    }


def _cut(text: str) -> str:
    """Shorten a text by whole lines from its middle: half a secret could not be redacted."""
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return "\n...\n".join((text[:half].rpartition("\n")[0], text[-half:].partition("\n")[2]))


if sys.platform == "win32":

    def _crash_quietly() -> None:
        """Write the Python stack to stderr, and open no dialogue box that waits for a user."""
        import ctypes

        faulthandler.enable()
        fail_critical_errors, no_fault_box, no_open_file_box = 0x0001, 0x0002, 0x8000
        ctypes.windll.kernel32.SetErrorMode(fail_critical_errors | no_fault_box | no_open_file_box)

else:

    def _crash_quietly() -> None:
        """Write the Python stack to stderr, also on the parent's SIGABRT, but no core file."""
        import resource

        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
