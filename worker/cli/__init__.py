"""The command line for people; what applications start is `serve`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from worker import __version__
from worker.log import LEVELS

_STDIN_HELP = """\
transcription-worker: serving JSON-RPC 2.0 on stdin and stdout, one message a line. For example:
  {"jsonrpc":"2.0","id":1,"method":"transcribe","params":{"audio":"speech.wav","model":"small"}}
Ctrl-D ends it. To transcribe from a terminal: transcription-worker transcribe FILE
"""


def explain_stdin() -> None:
    """Tell a person at a terminal what the program waits for."""
    sys.stderr.write(_STDIN_HELP)


def run(argv: Sequence[str]) -> int:
    """Run the command that `argv` names; return the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "engine":
        from worker.engines.host import main as engine_main

        return engine_main(options.kind, options.parent)
    if options.command == "transcribe":
        from worker.cli.transcribe import main as transcribe_main

        return transcribe_main(options)
    from worker import front

    if sys.stdin is not None and sys.stdin.isatty():
        explain_stdin()
    return front.main(options.log_level, getattr(options, "cancel_grace", None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="transcription-worker",
        description="Local transcription behind JSON-RPC 2.0 on stdin and stdout.",
        epilog="Without a command it serves, as applications want it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--log-level", choices=LEVELS, help="how much to write on stderr (default: warning)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve JSON-RPC on stdin and stdout (the default)")
    serve.add_argument(
        "--cancel-grace",
        type=float,
        metavar="SECONDS",
        help="time for a cancelled job to stop by itself before its engine is ended (0.8)",
    )
    _add_transcribe(commands.add_parser("transcribe", help="transcribe files from the terminal"))
    engine = commands.add_parser("engine")  # no help: for the front alone
    engine.add_argument("kind")
    engine.add_argument("--parent", type=int)
    return parser


def _add_transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio or video")
    parser.add_argument(
        "--model",
        default="small",
        help="a name such as small, a hub id or a model directory; fetched when it is not cached",
    )
    parser.add_argument("--offline", action="store_true", help="never fetch a model")
    parser.add_argument("--language", help="code such as en; detected without it")
    parser.add_argument("--task", choices=["transcribe", "translate"], default="transcribe")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--compute-type", default="default", metavar="TYPE")
    parser.add_argument("--batch-size", type=int, metavar="N", help="use the batched mode")
    parser.add_argument("--engine", choices=["faster-whisper", "whisperx"])
    parser.add_argument("--word-timestamps", action="store_true")
    parser.add_argument("--align", action="store_true", help="exact times of words")
    parser.add_argument(
        "--align-model", metavar="MODEL", help="the model that does it; the usual one by default"
    )
    parser.add_argument(
        "--diarize",
        action="store_true",
        help="who says what; the model may want a token: HF_TOKEN, or the hub's own login",
    )
    parser.add_argument("--diarize-model", metavar="MODEL", help="a hub id or a directory")
    for name in ("num", "min", "max"):
        parser.add_argument(f"--{name}-speakers", type=int, metavar="N")
    parser.add_argument("--channel-speakers", action="store_true", help="each channel is a speaker")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="any other param of the transcribe method, such as beamSize=1",
    )
    parser.add_argument(
        "--formats",
        metavar="LIST",
        help="also write files: any of srt, vtt, ass, txt, tsv, json, csv, lrc, rttm, textgrid",
    )
    parser.add_argument(
        "--output-dir", default=".", metavar="DIR", help="where those files go (here)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON result a line")
