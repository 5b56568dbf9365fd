"""`transcription-worker enroll`: makes a voice known by its name, through its own worker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from protocol.errors import RpcError
from worker.cli.bar import Bar
from worker.cli.telling import of_error, of_warning, tell
from worker.cli.transcribe import set_params
from worker.client import Client, WorkerEndedError
from worker.system.paths import to_wire


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `enroll`."""
    parser.description = (
        "Write a voice print, so that --voice FILE calls the speaker by this name. The file is "
        "biometric data: it belongs to you, and deleting it forgets the voice."
    )
    parser.add_argument("name", metavar="NAME", help="what the speaker will be called")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings in which only this person speaks"
    )
    parser.add_argument("--output", metavar="FILE", help="the voice print (default: NAME.voice)")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")
    parser.add_argument("--diarize-model", metavar="MODEL", help="a hub id or a directory")
    parser.add_argument("--offline", action="store_true", help="never download a model")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def main(options: argparse.Namespace) -> int:
    """Enroll a voice; return 0 if that succeeded, 1 otherwise, 130 for Ctrl-C."""
    output = Path(options.output or f"{options.name}.voice").absolute()
    params: dict[str, Any] = {
        "name": options.name,
        "recordings": [{"audio": to_wire(Path(each).absolute())} for each in options.files],
        "output": to_wire(output),
        "overwrite": options.overwrite,
        "download": not options.offline,
        "device": options.device,
        "progressToken": "progress",
        **set_params(model=options.diarize_model and to_wire(options.diarize_model)),
    }
    with Client() as client, Bar(options.name) as bar:

        def show(method: str, notification: dict[str, Any]) -> None:
            if method == "$/progress":
                bar.update(notification["value"])

        try:
            result = client.result(client.send("speakers/enroll", params), show)
        except RpcError as error:
            tell(f"{options.name}: {of_error(error)}")
            return 1
        except WorkerEndedError as error:
            tell(f"{options.name}: {error}")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\ninterrupted\n")
            return 130
    for warning in result["warnings"]:
        tell(f"{options.name}: {of_warning(warning)}")
    print(f"{output}: {result['seconds']} s of speech")
    return 0
