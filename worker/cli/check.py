"""`transcription-worker check` and `diagnose`: what works on this machine, for people.

Exit code 0 says that all is well: `check` can import every package that it was asked for, or,
asked for none, all the critical ones that this flavour is meant to have; `diagnose` has found
neither an error nor a warning. 1 says that something is not well, 2 that the command was used
wrongly.
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
"""Of words, as terminals number them."""


def parser() -> argparse.ArgumentParser:
    """For these commands alone."""
    parser = argparse.ArgumentParser(prog="transcription-worker", allow_abbrev=False)
    add_commands(parser.add_subparsers(dest="command"))
    return parser


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    check = commands.add_parser("check", help="try whether the packages can be imported")
    check.add_argument(
        "packages",
        nargs="*",
        type=_package_name,
        metavar="PACKAGE",
        help="such as whisperx; without any, the six that everything rests on",
    )
    diagnose = commands.add_parser("diagnose", help="try all that the worker needs of this machine")
    diagnose.add_argument("--json", action="store_true", help="one JSON object, for programs")
    diagnose.add_argument(
        "--online", action="store_true", help="also ask the hub, and whether it takes the token"
    )
    for each in (check, diagnose):
        each.add_argument(
            "--timeout",
            type=_seconds,
            default=120.0,
            metavar="SECONDS",
            help="after which a package that hangs is given up (120)",
        )
    child = commands.add_parser("probe-child")  # no help: for the probe alone
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
            f"transcription-worker: the program itself cannot start: {error}. Install it again: "
            "without this package nothing of it works.\n"
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
        page.line(page.coloured("All is well.", "ok"))
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
    verdict = "All is well." if score == 100 else "Not all is well."
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
    """Writes on stdout: in columns and, on a terminal that wants it, in colour."""

    def __init__(self) -> None:
        self._colour = _wants_colour()
        # A path may hold what the terminal cannot show.
        reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")

    def line(self, text: str = "") -> None:
        """Write a line."""
        print(text.rstrip())

    def coloured(self, text: str, word: str) -> str:
        """The text in the colour that a word has."""
        code = _COLOURS.get(word)
        return f"\033[{code}m{text}\033[0m" if self._colour and code else text

    def facts(self, *rows: tuple[str, str]) -> None:
        """Names with what is said of them."""
        width = max(len(name) for name, _ in rows)
        for name, text in rows:
            self.line(f"{name:{width}}  {text}")
        self.line()

    def table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Columns as wide as what is in them; words that have a colour are shown in it."""
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
        """A table of packages."""
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
        """Each with its remedy, and the end of its detail where that tells more."""
        for finding in findings:
            self.line(f"{self.coloured(finding.severity, finding.severity)}: {finding.message}")
            known = finding.severity == "info" or finding.id == "dependency_failed"
            if finding.detail and not known:
                for line in finding.detail.strip().splitlines()[-_DETAIL_LINES:]:
                    self.line(f"    | {line}")
            self.line(f"    {finding.remedy}")
            self.line()


class _Waiting:
    """Tells a person at a terminal how far the work is."""

    def __init__(self) -> None:
        self._shown = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def progress(self, done: int, total: int) -> None:
        """So many of so many are done."""
        self._write(f"trying packages: {done} of {total}")

    def _write(self, text: str) -> None:
        if self._shown:
            sys.stderr.write(f"\r{text:40}\r")
            sys.stderr.flush()


def _package_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a package")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def _wants_colour() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty() and _understands_colour()


if sys.platform == "win32":

    def _understands_colour() -> bool:
        """Ask the console to; those of old cannot."""
        import ctypes

        std_output, processed_output, virtual_terminal = -11, 0x0001, 0x0004
        kernel = ctypes.windll.kernel32
        handle = kernel.GetStdHandle(std_output)
        return bool(kernel.SetConsoleMode(handle, processed_output | virtual_terminal))

else:

    def _understands_colour() -> bool:
        return True
