"""The probe's child process: it imports one package, puts it to use, and tells on stdout.

Lines of JSON, as far as it got: `version`, `imported`, `facts`, `failed`, and `done` at the end,
without which it has crashed. Only the standard library is imported besides the package itself.
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
"""The subject that is no package: the hub, asked over the network."""
_LONGEST_TEXT: Final = 20_000


def main(subject: str, parent: int | None, *, use: bool) -> NoReturn:
    """Examine `subject`, tell what came of it, and exit."""
    if parent is not None:
        die_with_parent(parent)
    _, output = claim_stdio()
    _crash_quietly()

    def tell(**event: Any) -> None:
        data = json.dumps(event).encode() + b"\n"
        while data:
            data = data[os.write(output, data) :]

    try:
        if subject == HUB:
            from worker.probe import hub

            tell(facts=hub.ask())
        else:
            _examine(find(subject), use, tell)
    except BaseException as error:  # also SystemExit: whatever an import raises is a finding
        tell(failed=_describe(error))
    tell(done=True)
    # What a package does at the end of a process is no concern of an engine, which ends like this.
    os._exit(0)


def _examine(package: Package, use: bool, tell: Any) -> None:
    try:
        tell(version=metadata.version(package.name))
    except metadata.PackageNotFoundError:
        pass
    started = time.perf_counter()
    module = import_module(package.modules[0])
    for name in package.modules[1:]:
        import_module(name)
    seconds = time.perf_counter() - started
    tell(imported={"seconds": round(seconds, 3), "location": _location(module)})
    if use:
        from worker.probe import uses

        _check_assets(package, Path(_location(module) or "."))
        tell(facts=uses.use(package.name, module))


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
    """The error and its causes: the last cause often says what the first hides."""
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
    """A text of bounded length: whole lines are left out of its middle, lest half a secret is."""
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return "\n...\n".join((text[:half].rpartition("\n")[0], text[-half:].partition("\n")[2]))


if sys.platform == "win32":

    def _crash_quietly() -> None:
        """The Python stack goes to stderr; no dialogue box waits for somebody."""
        import ctypes

        faulthandler.enable()
        fail_critical_errors, no_fault_box, no_open_file_box = 0x0001, 0x0002, 0x8000
        ctypes.windll.kernel32.SetErrorMode(fail_critical_errors | no_fault_box | no_open_file_box)

else:

    def _crash_quietly() -> None:
        """The Python stack goes to stderr, also when the parent sends SIGABRT; no core file."""
        import resource

        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
