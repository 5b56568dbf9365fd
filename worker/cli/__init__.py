"""The command line: picks the command and imports only what it needs.

People use `transcribe`, `live`, `batch`, `models`, `check` and `diagnose`; applications start
`serve`.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from worker import __version__
from worker.system.log import LEVELS

_STDIN_HELP = """\
transcription-worker: serving JSON-RPC 2.0 on stdin and stdout, one message per line. For example:
  {"jsonrpc":"2.0","id":1,"method":"transcribe","params":{"audio":"speech.wav","model":"small"}}
{end} ends it. To transcribe from a terminal: transcription-worker transcribe FILE
"""
_NO_INTERPRETER = """\
transcription-worker is not a Python interpreter: to see what works on this machine, use its \
commands check PACKAGE and diagnose.
"""


def explain_stdin() -> None:
    """Tell a user at a terminal what the program is waiting for."""
    end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
    sys.stderr.write(_STDIN_HELP.replace("{end}", end))


def run(argv: Sequence[str]) -> int:
    """Run the command in `argv`; return the exit code."""
    if sys.platform == "win32":
        _write_utf8()
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except OSError as error:
        if not _reader_is_gone(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + 13  # as if SIGPIPE had ended us


def _reader_is_gone(error: OSError) -> bool:
    """Whether nobody reads our output any more, as in `… | head`."""
    if sys.platform == "win32" and error.errno == errno.EINVAL:
        return error.filename is None
    return isinstance(error, BrokenPipeError)


def _write_utf8() -> None:
    """Windows would write a pipe or a file in a code page, which lacks most characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


def _run(argv: Sequence[str]) -> int:
    if argv[0].startswith(("-c", "-m")):  # applications probe a Python interpreter like this
        sys.stderr.write(_NO_INTERPRETER)
        return 2
    if argv[0] == "engine":  # only the front starts this
        return _engine(argv[1:])
    from worker.cli import check

    if argv[0] in check.COMMANDS:  # they must run even if the imports below fail
        return check.main(check.parser().parse_args(argv))
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "transcribe":
        from worker.cli.transcribe import main as transcribe_main

        return transcribe_main(options)
    if options.command == "live":
        from worker.cli import live

        return live.main(options)
    if options.command == "enroll":
        from worker.cli import enroll

        return enroll.main(options)
    if options.command == "batch":
        from worker.cli import batch

        return batch.main(options)
    if options.command in check.COMMANDS:
        return check.main(options)
    if options.command == "models":
        from worker.cli import models

        return models.main(options)
    if sys.stdin is not None and sys.stdin.isatty():
        explain_stdin()
    from worker.cli import serve

    return serve.main(options)


def _engine(argv: Sequence[str]) -> int:
    from worker.engines.host import main

    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--parent", type=int)
    options = parser.parse_args(argv)
    return main(options.kind, options.parent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="transcription-worker",
        description="Local transcription behind JSON-RPC 2.0 on stdin and stdout.",
        epilog="Without a command, it runs serve.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--log-level", choices=LEVELS, help="how much to write to stderr (default: warning)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    from worker.cli.batch import add_options as add_batch_options
    from worker.cli.check import add_commands as add_probe_commands
    from worker.cli.enroll import add_options as add_enroll_options
    from worker.cli.live import add_options as add_live_options
    from worker.cli.models import add_commands as add_models_commands
    from worker.cli.serve import add_options as add_serve_options
    from worker.cli.transcribe import add_options as add_transcribe_options

    serve = commands.add_parser("serve", help="serve JSON-RPC on stdin and stdout (the default)")
    add_serve_options(serve)
    add_transcribe_options(
        commands.add_parser("transcribe", help="transcribe files from the terminal")
    )
    add_live_options(
        commands.add_parser("live", help="transcribe a microphone or a stream while it runs")
    )
    add_batch_options(
        commands.add_parser("batch", help="transcribe many files, folders or a manifest")
    )
    add_enroll_options(commands.add_parser("enroll", help="make a voice known by its name"))
    add_probe_commands(commands)
    add_models_commands(commands.add_parser("models", help="list, download or remove models"))
    return parser
