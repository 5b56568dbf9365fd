"""Turns the outcomes of packages into findings: one per cause, with a remedy.

A package that fails because of another one is explained by that root cause.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from protocol.environment import Finding, PackageState, Severity
from worker.probe import packages, signatures
from worker.probe.outcomes import Failure, Outcome
from worker.probe.packages import Package
from worker.probe.signatures import Explanation, Place

Required = Callable[[Package], bool]
"""Whether this flavour needs a package."""

DEPENDENCY_FAILED: Final = "dependency_failed"
_SEVERITIES: Final = ("error", "warning", "info")
_STAGES: Final = {"import": "Importing", "use": "Using"}

# Only these known texts in stderr explain a crash: the others are mostly warnings.
_CRASH_BY: Final = {
    *("cuda_library_missing", "wrong_architecture", "out_of_memory", "disk_full"),
    *("versions_do_not_match", "system_too_old", "driver_too_old"),
}


def of_packages(
    outcomes: Mapping[str, Outcome], required: Required, timeout: float
) -> Iterator[Finding]:
    """Findings about packages, each explained by its root cause."""
    for outcome in outcomes.values():
        package, failure = outcome.package, outcome.failure
        severity: Severity | None = "error" if required(package) else package.optional
        absent = outcome.absent and not outcome.version
        if severity is None or (absent and package.optional):
            continue  # nothing needs it
        if failure is None:
            if outcome.version is None and packages.is_known(package) and severity != "info":
                yield _no_metadata(outcome)
        elif cause := root_cause(outcome, outcomes):
            deeper = _finding(cause, severity, timeout)
            yield Finding(
                id=DEPENDENCY_FAILED,
                severity=severity,
                message=f"{package.name} cannot be imported: {deeper.message}",
                remedy=deeper.remedy,
                package=package.name,
                detail=failure.detail,
            )
        else:
            yield _finding(outcome, severity, timeout)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Errors first, and causes before what they cause."""
    return sorted(
        found, key=lambda each: (_SEVERITIES.index(each.severity), each.id == DEPENDENCY_FAILED)
    )


NOT_ON_INTEL_MACS: Final = (
    "They need PyTorch 2.8, which is not built for Intel Macs: use a Mac with Apple's processor, "
    "Linux or Windows."
)
_INSTALL_FULL: Final = "pip install 'transcription-worker[full]'"


def is_intel_mac() -> bool:
    """Whether this program runs as one for Intel Macs."""
    return sys.platform == "darwin" and platform.machine() == "x86_64"


NOT_IN_LITE: Final = "The packages for alignment, diarization and whisperx are not installed."


def lite() -> Finding:
    """The finding for an installation without torch: what works, and how to get the rest."""
    frozen = Place("").frozen
    return Finding(
        id="lite",
        severity="info",
        message=f"{NOT_IN_LITE} Recognition, speech detection and word times work without them.",
        remedy=NOT_ON_INTEL_MACS
        if is_intel_mac()
        else "If you need them, use the full build of the application."
        if frozen
        else f"If you need them: {_INSTALL_FULL}, which takes several GB.",
    )


def state(failure: Failure | None) -> PackageState:
    """The state of a package."""
    if failure is None:
        return "ok"
    if failure.kind != "raised":
        return failure.kind
    return "import_failed" if failure.stage == "import" else "use_failed"


def root_cause(outcome: Outcome, outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """The package whose failure explains why this one cannot be imported."""
    if not outcome.fails_to_import:
        return None
    for name in all_needs(outcome.package):
        other = outcomes.get(name)
        if other and other.failure and other.failure.stage == "import":
            deeper = root_cause(other, outcomes)
            return deeper or other
    return None


def all_needs(package: Package) -> Sequence[str]:
    """Names of the packages that a package needs, directly or indirectly."""
    found: list[str] = []
    waiting = list(package.needs)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += packages.find(name).needs
    return found


def _finding(outcome: Outcome, severity: Severity, timeout: float) -> Finding:
    failure = outcome.failure
    assert failure is not None
    place = Place(outcome.package.name, outcome.version)
    explanation = _explain(failure, place)
    if failure.kind == "absent":
        id_, message, remedy = _absent(outcome, place)
    elif failure.kind == "timed_out":
        id_ = f"{failure.stage}_timed_out"
        message = f"{_STAGES[failure.stage]} {place.package} took longer than {timeout:g} s."
        remedy = _hangs(place)
    elif failure.kind == "crashed":
        id_ = f"{failure.stage}_crashed"
        message = f"{_STAGES[failure.stage]} {place.package} crashed: {failure.cause}."
        remedy = _crashes(failure, place)
    else:
        id_ = f"{failure.stage}_failed"
        what = {"import": "cannot be imported", "use": "can be imported but does not work"}
        why = explanation.message if explanation else failure.cause
        message = f"{place.package} {what[failure.stage]}: {_short(why)}"
        remedy = signatures.install_again(place)
    if explanation and failure.kind != "absent":
        id_, remedy = explanation.id, explanation.remedy
        if failure.kind == "crashed":
            message = f"{message.rstrip('.')} ({explanation.message})."
    return Finding(
        id=id_,
        severity=severity,
        message=message,
        remedy=remedy,
        package=place.package,
        detail=None if failure.kind == "absent" else failure.detail,
    )


def _explain(failure: Failure, place: Place) -> Explanation | None:
    known = signatures.explain(f"{failure.text}\n{failure.cause}", place)
    if known is None and failure.path:
        return signatures.asset_missing(failure.path, place)
    if known and failure.kind == "crashed" and known.id not in _CRASH_BY:
        return None
    return known


def _absent(outcome: Outcome, place: Place) -> tuple[str, str, str]:
    if outcome.version is not None:
        return (
            "package_damaged",
            f"{place.package} {outcome.version} is recorded as installed, but its code is missing.",
            signatures.install_again(place),
        )
    if place.frozen:
        return (
            "package_missing",
            f"This build of the program does not contain {place.package}.",
            "Use a build that contains it; if this one should, report that to its developers.",
        )
    known = packages.is_known(outcome.package)
    if known and packages.is_only_in_full(place.package) and is_intel_mac():
        return "package_missing", f"{place.package} is not installed.", NOT_ON_INTEL_MACS
    if not known:
        remedy = f"pip install {place.package}"
    elif packages.is_only_in_full(place.package):
        remedy = _INSTALL_FULL
    else:
        remedy = "pip install --force-reinstall transcription-worker"
    return (
        "package_missing",
        f"{place.package} is not installed.",
        f"Install it into this program's Python: {remedy}.",
    )


def _no_metadata(outcome: Outcome) -> Finding:
    place = Place(outcome.package.name)
    return Finding(
        id="metadata_missing",
        severity="warning",
        message=f"{place.package} works, but its metadata is missing: other packages cannot check "
        "its version.",
        remedy="Report this to the application's developers: their build must contain the metadata "
        f"(dist-info) of {place.package}."
        if place.frozen
        else signatures.install_again(place),
        package=place.package,
    )


def _hangs(place: Place) -> str:
    slow = place.choose(
        linux="If the machine is busy or its disk is slow, try again with a larger --timeout. ",
        darwin="The system may still be verifying new files, or the disk is slow: try again. ",
        win32="Security software may be scanning its files, which takes minutes after an "
        "installation: try again, or make an exception for the folder. ",
    )
    return slow + "If it always hangs: " + signatures.install_again(place)


def _crashes(failure: Failure, place: Place) -> str:
    if "SIGILL" in failure.cause or "illegal instruction" in failure.cause:
        return (
            "The package uses instructions that this processor does not have. Install a build for "
            "older processors, or use another machine."
        )
    if place.platform == "win32":
        return (
            "Install Microsoft's Visual C++ redistributable 2015-2022 (x64) from "
            "https://aka.ms/vs/17/release/vc_redist.x64.exe. If it still crashes: "
            + signatures.install_again(place)
        )
    return signatures.install_again(place) + " The detail shows where it crashed."


def _short(text: str) -> str:
    """The first line, as a sentence."""
    line = text.strip().partition("\n")[0]
    line = line if len(line) <= 300 else line[:297] + "..."
    return line if line.endswith(".") else line + "."
