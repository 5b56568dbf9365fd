"""The whole probe: `probe` answers `environment/probe`, `devices` answers `environment/devices`.

Both may be called from any thread. They call `raise_if_cancelled` ten times a second; if it raises,
they kill the children and let its exception through. `environment` extends the process's
environment, for example with the client's token.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from protocol.environment import (
    DevicesParams,
    DevicesResult,
    EnvironmentInfo,
    EnvironmentStatus,
    Finding,
    Flavour,
    HealthMetrics,
    PackageInfo,
    ProbeParams,
    ProbeResult,
)
from worker import __version__
from worker.probe import devices as _devices
from worker.probe import findings as _findings
from worker.probe import packages, surroundings
from worker.probe.children import Children
from worker.probe.outcomes import BLOCKED, Outcome, ask_hub, examine
from worker.probe.packages import BASE, FULL, PACKAGES, Package
from worker.probe.signatures import Place

Progress = Callable[[int, int], None]
"""Called with the number of examined packages, and the number of all packages."""

_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})
_LOST: Final = {"error": 10, "warning": 5}
"""Points lost for a finding that belongs to no environment."""
_WORTH: Final[dict[EnvironmentStatus, float]] = {"ready": 1.0, "degraded": 0.5, "failed": 0.0}


def _never() -> None:
    """The default `raise_if_cancelled`: never cancels."""


def _silent(done: int, total: int) -> None:
    """The default `progress`: ignores it."""


class Check(NamedTuple):
    """The result of `check`."""

    packages: list[PackageInfo]
    findings: list[Finding]
    flavour: Flavour


def probe(
    params: ProbeParams,
    raise_if_cancelled: Callable[[], None] = _never,
    *,
    environment: Mapping[str, str] = _NO_VARIABLES,
    progress: Progress = _silent,
) -> ProbeResult:
    """Test everything that the worker needs on this machine."""
    started = time.monotonic()
    variables = {**os.environ, **environment}
    with Children(environment, params.timeout, raise_if_cancelled) as children:
        answer: list[Mapping[str, Any]] = []
        smi: list[_devices.Smi] = []
        others: list[Callable[[], None]] = [lambda: smi.append(_devices.ask_smi(children))]
        if params.online:
            others.append(lambda: answer.append(ask_hub(children)))
        outcomes = _examine(children, PACKAGES, progress, use=True, others=others)
        outcomes |= _underlying(children, outcomes)
    flavour = _flavour(outcomes.values())
    required = partial(_is_required, flavour)
    machine = _devices.describe(outcomes, smi[0])
    place = surroundings.describe_platform()
    cache, of_cache = surroundings.describe_cache(variables)
    temporary, of_temporary = surroundings.describe_temporary(variables)
    hub, of_hub = surroundings.describe_hub(variables, answer[0] if answer else None)
    found = _findings.in_order(
        [
            *_findings.of_packages(outcomes, required, params.timeout),
            *_devices.findings(machine, outcomes, smi[0], full=flavour == "full"),
            *surroundings.bundle_findings(place),
            *of_cache,
            *of_temporary,
            *of_hub,
            *_of_flavour(flavour),
        ]
    )
    environments = _environments(outcomes, found, flavour, required)
    redactor = children.redactor
    return redactor.struct(
        ProbeResult(
            worker_version=__version__,
            flavour=flavour,
            health_metrics=HealthMetrics(
                overall_score=score(environments, found),
                errors=sum(finding.severity == "error" for finding in found),
                warnings=sum(finding.severity == "warning" for finding in found),
                seconds=round(time.monotonic() - started, 3),
            ),
            environments=environments,
            findings=found,
            devices=machine,
            platform=place,
            cache=cache,
            temporary=temporary,
            hub=hub,
            environment_variables=surroundings.variables(variables, redactor),
        )
    )


def devices(
    params: DevicesParams,
    raise_if_cancelled: Callable[[], None] = _never,
    *,
    environment: Mapping[str, str] = _NO_VARIABLES,
) -> DevicesResult:
    """List the compute devices. Imports torch, which is slow, only if there may be a GPU."""
    hinted = _devices.hints()
    names = [*(["torch"] if hinted else []), *_devices.QUICK]
    with Children(environment, params.timeout, raise_if_cancelled) as children:
        smi: list[_devices.Smi] = []
        outcomes = _examine(
            children,
            [packages.find(name) for name in names],
            _silent,
            use=True,
            others=[lambda: smi.append(_devices.ask_smi(children))],
        )
    found = _devices.describe(outcomes, smi[0])
    torch = outcomes.get("torch")
    full = torch is not None and torch.recorded
    flavour: Flavour = "full" if full else "lite"
    result = DevicesResult(
        cpu=found.cpu,
        memory=found.memory,
        accelerators=found.accelerators,
        findings=[
            *_findings.of_packages(outcomes, partial(_is_required, flavour), params.timeout),
            *_devices.findings(found, outcomes, smi[0], full=full),
        ],
    )
    return children.redactor.struct(result)


def check(names: Sequence[str], timeout: float, progress: Progress = _silent) -> Check:
    """Import the named packages, each in a child; without names, the critical ones.

    All named packages are required. Without names, packages that only the flavour `full` needs are
    required only in that flavour.
    """
    chosen = list(dict.fromkeys(map(packages.find, names or packages.CRITICAL)))
    wanted = set(chosen)
    with Children(_NO_VARIABLES, timeout, _never) as children:
        outcomes = _examine(children, chosen, progress, use=False)
        outcomes |= _underlying(children, outcomes)
    flavour = _flavour(outcomes.values())

    def required(package: Package) -> bool:
        return package in wanted and (bool(names) or _is_required(flavour, package))

    found = _findings.in_order(
        finding
        for finding in _findings.of_packages(outcomes, required, timeout)
        if finding.package in {package.name for package in wanted}
    )
    infos = [_package(outcomes[package.name], required, found) for package in chosen]
    redacted = children.redactor.struct
    return Check(list(map(redacted, infos)), list(map(redacted, found)), flavour)


def score(environments: Mapping[str, EnvironmentInfo], found: Iterable[Finding]) -> int:
    """How much of this flavour works on this machine, from 0 to 100.

    100 times the mean over the flavour's environments: 1 if ready, 1/2 if degraded, 0 if failed.
    Each error that concerns no package of them takes 10 points off, each warning 5. The score is 0
    if the environment `worker` failed. So 100 means neither errors nor warnings.
    """
    worth = [_WORTH[each.status] for each in environments.values() if each.status != "missing"]
    if environments["worker"].status == "failed":
        return 0
    inside = {package.name for each in environments.values() for package in each.packages}
    lost = sum(_LOST.get(each.severity, 0) for each in found if each.package not in inside)
    return max(0, int(100 * sum(worth) / len(worth)) - lost)


def _examine(
    children: Children,
    chosen: Sequence[Package],
    progress: Progress,
    *,
    use: bool,
    others: Sequence[Callable[[], None]] = (),
) -> dict[str, Outcome]:
    """Examine packages in parallel, together with `others`."""
    done: list[Outcome] = []

    def task(package: Package) -> None:
        needs = _findings.all_needs(package)
        if any(each.hangs and each.package.name in needs for each in done):
            done.append(BLOCKED._replace(package=package))
        else:
            done.append(examine(children, package, use=use))
        progress(len(done), len(chosen))

    children.side_by_side([*others, *(partial(task, package) for package in chosen)])
    by_name = {outcome.package.name: outcome for outcome in done}
    return {package.name: by_name[package.name] for package in chosen}


def _underlying(children: Children, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """If nothing explains why a package cannot be imported, examine everything that it needs."""
    needs = [
        name
        for outcome in outcomes.values()
        if outcome.fails_to_import and not _findings.root_cause(outcome, outcomes)
        for name in _findings.all_needs(outcome.package)
    ]
    chosen = [packages.find(name) for name in dict.fromkeys(needs) if name not in outcomes]
    return _examine(children, chosen, _silent, use=False)


def _flavour(outcomes: Iterable[Outcome]) -> Flavour:
    """`full` if a package that only it has is installed."""
    names = packages.TRACES_IN_BUNDLE if Place("").frozen else packages.TRACES
    traced = any(each.recorded for each in outcomes if each.package.name in names)
    return "full" if traced else "lite"


def _is_required(flavour: Flavour, package: Package) -> bool:
    if package.optional:
        return False
    here = {**BASE, **FULL} if flavour == "full" else BASE
    return any(package.name in names for names in here.values())


def _package(
    outcome: Outcome, required: _findings.Required, found: Iterable[Finding]
) -> PackageInfo:
    failure = outcome.failure
    about = (each.message for each in found if each.package == outcome.package.name)
    return PackageInfo(
        name=outcome.package.name,
        available=failure is None,
        state=_findings.state(failure),
        required=required(outcome.package),
        version=outcome.version,
        location=outcome.location,
        import_seconds=outcome.seconds,
        error=next(about, "It is not installed.") if failure else None,
    )


def _environments(
    outcomes: Mapping[str, Outcome],
    found: Sequence[Finding],
    flavour: Flavour,
    required: _findings.Required,
) -> dict[str, EnvironmentInfo]:
    infos = {name: _package(outcome, required, found) for name, outcome in outcomes.items()}
    result = {}
    for name, members in {**BASE, **FULL}.items():
        about = [finding for finding in found if finding.package in members]
        errors = [finding.message for finding in about if finding.severity == "error"]
        missing = flavour == "lite" and name in FULL
        if missing:
            status: EnvironmentStatus = "missing"
            errors = [_findings.NOT_IN_LITE]
        elif errors:
            status = "failed"
        elif any(finding.severity == "warning" for finding in about):
            status = "degraded"
        else:
            status = "ready"
        result[name] = EnvironmentInfo(
            status=status, packages=[infos[member] for member in members], errors=errors
        )
    return result


def _of_flavour(flavour: Flavour) -> Iterable[Finding]:
    if flavour == "lite":
        yield _findings.lite()
