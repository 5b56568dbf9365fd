"""`transcription-worker check` and `diagnose`: show people what works on this machine.

The exit code is 0 if `check` can import every named package (without names, every critical one of
this flavour), or if `diagnose` finds neither errors nor warnings; otherwise 1, and 2 for wrong
usage. Heavy imports are deferred: these commands must run where the worker does not.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from worker.cli.bar import amount

if TYPE_CHECKING:
    from protocol.environment import Accelerator, Finding, PackageInfo, ProbeResult

COMMANDS: Final = ("check", "diagnose", "probe-child")

_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*")
_DETAIL_LINES: Final = 3
_COLOURS: Final = {
    **dict.fromkeys(("ok", "ready"), "32"),
    **dict.fromkeys(("warning", "degraded"), "33"),
    **dict.fromkeys(("error", "failed"), "31"),
    **dict.fromkeys(("import_failed", "use_failed", "crashed", "timed_out", "absent"), "31"),
    **dict.fromkeys(("info", "missing", "not needed"), "2"),
}
"""Terminal colour codes of the words that are printed in colour."""


def parser() -> argparse.ArgumentParser:
    """A parser for these commands only."""
    parser = argparse.ArgumentParser(prog="transcription-worker", allow_abbrev=False)
    add_commands(parser.add_subparsers(dest="command"))
    return parser


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    check = commands.add_parser("check", help="test whether packages can be imported")
    check.add_argument(
        "packages",
        nargs="*",
        type=_package_name,
        metavar="PACKAGE",
        help="a package such as whisperx (default: the six critical ones)",
    )
    diagnose = commands.add_parser("diagnose", help="test everything that the worker needs here")
    diagnose.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    diagnose.add_argument(
        "--online", action="store_true", help="also contact the hub and check the token"
    )
    for each in (check, diagnose):
        each.add_argument(
            "--timeout",
            type=_seconds,
            default=120.0,
            metavar="SECONDS",
            help="when to give up on a package that hangs (120)",
        )
    child = commands.add_parser("probe-child")  # no help: only the probe starts it
    child.add_argument("subject")
    child.add_argument("--parent", type=int)
    child.add_argument("--use", action="store_true")


def main(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    if options.command == "probe-child":
        from worker.probe.child import main as child_main

        child_main(options.subject, options.parent, use=options.use)
    try:
        from worker.probe import probe  # noqa: F401
    except ImportError as error:
        sys.stderr.write(
            f"transcription-worker: the program cannot start: {error}. Reinstall it: nothing works "
            "without this package.\n"
        )
        return 1
    try:
        return _check(options) if options.command == "check" else _diagnose(options)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130


def _check(options: argparse.Namespace) -> int:
    from worker.probe.probe import check

    with _Waiting() as waiting:
        result = check(options.packages, options.timeout, waiting.progress)
    page = _Page()
    page.packages(result.packages)
    page.findings(result.findings)
    lacking = [each.name for each in result.packages if each.required and not each.available]
    if lacking:
        page.line(page.coloured(f"Not available: {', '.join(lacking)}.", "error"))
    else:
        page.line(page.coloured("Everything works.", "ok"))
    return 1 if lacking else 0


def _diagnose(options: argparse.Namespace) -> int:
    import msgspec

    from protocol.environment import ProbeParams
    from worker.probe.probe import probe

    params = ProbeParams(online=options.online, timeout=options.timeout)
    with _Waiting() as waiting:
        result = probe(params, progress=waiting.progress)
    if options.json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
    else:
        _show(result)
    return 0 if result.health_metrics.overall_score == 100 else 1


def _show(result: ProbeResult) -> None:
    page = _Page()
    place, cpu, memory = result.platform, result.devices.cpu, result.devices.memory
    kind = "frozen" if place.frozen else "from source"
    page.facts(
        ("program", f"transcription-worker {result.worker_version}, {result.flavour}, {kind}"),
        ("executable", place.executable),
        ("python", f"{place.python}, {place.bits} bit, {place.encoding}"),
        ("system", f"{place.system} {place.release} {place.architecture} {place.libc or ''}"),
        ("processor", f"{cpu.model or 'unknown'}, {cpu.usable_threads} of {cpu.threads} threads"),
        ("memory", f"{_size(memory.total)}, {_size(memory.available)} available"),
        *(("accelerator", _accelerator(each)) for each in result.devices.accelerators),
        ("cache", f"{result.cache.directory}, {_size(result.cache.free_disk)} free"),
        *(("", f"{each.repository}, {_size(each.size)}") for each in result.cache.models),
        ("temporary", f"{result.temporary.directory}, {_size(result.temporary.free_disk)} free"),
        ("hub", _hub(result)),
    )
    page.table(
        ("ENVIRONMENT", "STATUS"),
        [(name, each.status) for name, each in result.environments.items()],
    )
    packages = {
        package.name: package
        for environment in result.environments.values()
        if environment.status != "missing"
        for package in environment.packages
    }
    page.packages(list(packages.values()))
    page.findings(result.findings)
    score = result.health_metrics.overall_score
    verdict = "Everything works." if score == 100 else "Problems found."
    page.line(page.coloured(f"{verdict} Score: {score} of 100.", "ok" if score == 100 else "error"))


def _accelerator(device: Accelerator) -> str:
    users = " and ".join(device.usable_by) or "nothing"
    memory = f", {_size(device.memory_total)}" if device.memory_total else ""
    return f"{device.kind}:{device.index} {device.name or ''}{memory}, usable by {users}"


def _hub(result: ProbeResult) -> str:
    hub = result.hub
    token = f"token from {hub.token_source}" if hub.token_source else "no token"
    if hub.reachable is None:
        return f"{hub.endpoint}, {token}; not asked (--online)"
    reached = "reachable" if hub.reachable else "not reachable"
    user = f" of {hub.user}" if hub.user else ""
    return f"{hub.endpoint}, {reached}, {token}{user}"


def _size(size: int | None) -> str:
    return "unknown" if size is None else amount(size)


class _Page:
    """Prints to stdout: in columns and, on a terminal that supports it, in colour."""

    def __init__(self) -> None:
        self._colour = _wants_colour()
        # A path may contain characters that the terminal cannot encode.
        reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")

    def line(self, text: str = "") -> None:
        """Write a line."""
        print(text.rstrip())

    def coloured(self, text: str, word: str) -> str:
        """The text in the colour of a word."""
        code = _COLOURS.get(word)
        return f"\033[{code}m{text}\033[0m" if self._colour and code else text

    def facts(self, *rows: tuple[str, str]) -> None:
        """Print names with their values."""
        width = max(len(name) for name, _ in rows)
        for name, text in rows:
            self.line(f"{name:{width}}  {text}")
        self.line()

    def table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Print aligned columns; words that have a colour are printed in it."""
        widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
        self.line("  ".join(f"{cell:{width}}" for cell, width in zip(head, widths, strict=True)))
        for row in rows:
            cells = (
                self.coloured(cell, cell) + " " * (width - len(cell))
                for cell, width in zip(row, widths, strict=True)
            )
            self.line("  ".join(cells))
        self.line()

    def packages(self, infos: Sequence[PackageInfo]) -> None:
        """Print a table of packages."""
        self.table(
            ("PACKAGE", "VERSION", "STATE", "IMPORT"),
            [
                (
                    each.name,
                    each.version or "-",
                    each.state if each.required or each.available else "not needed",
                    "-" if each.import_seconds is None else f"{each.import_seconds:.1f} s",
                )
                for each in infos
            ],
        )

    def findings(self, findings: Sequence[Finding]) -> None:
        """Print each finding with its remedy, and the end of its detail if that says more."""
        for finding in findings:
            self.line(f"{self.coloured(finding.severity, finding.severity)}: {finding.message}")
            known = finding.severity == "info" or finding.id == "dependency_failed"
            if finding.detail and not known:
                for line in finding.detail.strip().splitlines()[-_DETAIL_LINES:]:
                    self.line(f"    | {line}")
            self.line(f"    {finding.remedy}")
            self.line()


class _Waiting:
    """Shows progress to a user at a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def progress(self, done: int, total: int) -> None:
        """Show that `done` of `total` packages are tested."""
        self._write(f"testing packages: {done} of {total}")

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r{text:40}\r")
            sys.stderr.flush()


def _package_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a package name")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _wants_colour() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty() and _understands_colour()


if sys.platform == "win32":

    def _understands_colour() -> bool:
        """Ask the console to interpret colour codes; old ones cannot."""
        import ctypes

        std_output, processed_output, virtual_terminal = -11, 0x0001, 0x0004
        kernel = ctypes.windll.kernel32
        handle = kernel.GetStdHandle(std_output)
        return bool(kernel.SetConsoleMode(handle, processed_output | virtual_terminal))

else:

    def _understands_colour() -> bool:
        return True
