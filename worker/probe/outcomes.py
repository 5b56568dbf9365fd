"""Examines a package in a child, and turns the child's events or its crash into an `Outcome`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from worker.probe.child import HUB
from worker.probe.children import Children, Ended
from worker.probe.packages import Package
from worker.probe.redaction import Redactor
from worker.system.child_environment import OFFLINE
from worker.system.program import program

_TAIL_LINES: Final = 40
_LONGEST_DETAIL: Final = 8000

# Exit codes with which Windows reports a crash.
_NTSTATUS: Final = {
    0xC0000005: "an access violation",
    0xC000001D: "an illegal instruction",
    0xC0000135: "a DLL that was not found",
    0xC0000139: "a DLL that lacks a function",
    0xC000007B: "a DLL of another architecture",
    0xC00000FD: "a stack overflow",
    0xC0000409: "a fatal error in native code",
}


class Failure(NamedTuple):
    """Why a package cannot be used."""

    stage: Literal["import", "use"]
    kind: Literal["absent", "raised", "crashed", "timed_out"]
    cause: str
    """The exception, or how the process ended."""
    text: str
    """The text to search for signatures: all causes, or the end of stderr."""
    detail: str | None
    path: str | None = None
    """The file that was not found."""


class Outcome(NamedTuple):
    """The result of examining a package."""

    package: Package
    version: str | None = None
    location: str | None = None
    seconds: float | None = None
    facts: Mapping[str, Any] = {}
    failure: Failure | None = None

    @property
    def recorded(self) -> bool:
        """Whether its metadata or its code is installed."""
        return self.version is not None or not self.absent

    @property
    def hangs(self) -> bool:
        """Whether its import hangs."""
        failure = self.failure
        return failure is not None and (failure.stage, failure.kind) == ("import", "timed_out")

    @property
    def fails_to_import(self) -> bool:
        """Whether its code is installed, but its import fails."""
        return self.failure is not None and self.failure.stage == "import" and not self.absent

    @property
    def absent(self) -> bool:
        """Whether its code is not installed."""
        return self.failure is not None and self.failure.kind == "absent"


BLOCKED: Final = Outcome(
    Package("", ()),
    failure=Failure("import", "timed_out", "a package that it needs hangs", "", None),
)
"""Outcome of a package that was not tried, because the import of one that it needs hangs."""


def examine(children: Children, package: Package, *, use: bool) -> Outcome:
    """Import `package` in its own child; with `use`, also use it there."""
    flags = ["--use"] if use else []
    command = [*_command(), package.name, *flags]
    try:
        ended = children.run(command, environment=OFFLINE)
    except OSError as error:
        cause = f"its process did not start: {error.strerror or error}"
        return Outcome(package, failure=Failure("import", "crashed", cause, str(error), None))
    return _outcome(package, ended, children.redactor)


def ask_hub(children: Children) -> Mapping[str, Any]:
    """The hub's answer, or why it could not be asked: facts as `worker.probe.hub` returns them."""
    try:
        ended = children.run([*_command(), HUB])
    except OSError as error:
        return {"reachable": False, "error": str(error)}
    events = _events(ended.output, children.redactor)
    failed = events.get("failed")
    why = failed["causes"][0] if failed else "its client gave no answer"
    return events.get("facts") or {"reachable": False, "error": why}


def _command() -> list[str]:
    return [*program(), "probe-child", "--parent", str(os.getpid())]


def _events(output: str, redactor: Redactor) -> dict[str, Any]:
    """The child's events; other lines date from before it guarded its stdout."""
    events: dict[str, Any] = {}
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events |= redactor.plain(event)
    return events


def _outcome(package: Package, ended: Ended, redactor: Redactor) -> Outcome:
    events = _events(ended.output, redactor)
    imported = events.get("imported")
    outcome = Outcome(
        package,
        version=events.get("version"),
        location=imported and imported["location"],
        seconds=imported and imported["seconds"],
        facts=events.get("facts", {}),
    )
    stage: Literal["import", "use"] = "use" if imported else "import"
    if failed := events.get("failed"):
        return outcome._replace(failure=_raised(package, stage, failed))
    if not events.get("done"):
        return outcome._replace(failure=_ended(stage, ended.code, redactor.text(ended.errors)))
    return outcome


def _raised(package: Package, stage: Literal["import", "use"], failed: Any) -> Failure:
    causes: list[str] = failed["causes"]
    top = package.modules[0]
    names = (f"'{top}'", *(f"'{top[:at]}'" for at, char in enumerate(top) if char == "."))
    absent = stage == "import" and causes[0].startswith("ModuleNotFoundError")
    absent = absent and any(causes[0].endswith(f"No module named {name}") for name in names)
    return Failure(
        stage,
        "absent" if absent else "raised",
        causes[0],
        "\n".join(causes),
        failed["traceback"][-_LONGEST_DETAIL:],
        failed["path"],
    )


def _ended(stage: Literal["import", "use"], code: int | None, errors: str) -> Failure:
    tail = "\n".join(errors.splitlines()[-_TAIL_LINES:])[-_LONGEST_DETAIL:]
    if code is None:
        return Failure(stage, "timed_out", "it took too long", "", tail or None)
    return Failure(stage, "crashed", _cause_of_death(code), tail, tail or None)


def _cause_of_death(code: int) -> str:
    if code < 0:
        try:
            return f"its process was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"its process was ended by signal {-code}"
    if code > 0xFFFF:
        what = _NTSTATUS.get(code, "an unknown status")
        return f"its process was ended by {what} (0x{code:08X})"
    return f"its process exited with code {code}"
