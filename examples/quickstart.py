"""Transcribe a recording through the worker, and show what goes over the pipe.

    python -m examples.quickstart [FILE] [--model NAME]

Without arguments: the demo recording and the small test model of this repository, which knows
some forty words. A real model (`--model small`) is fetched from the hub once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from protocol.errors import RpcError
from worker.client import Client

TESTS = Path(__file__).parent.parent / "tests"
TEST_MODEL = TESTS / "models" / "whisper"
DEMO = TESTS / "recordings" / "demo.flac"
MAX_WIDTH = 200


class Screen:
    """Prints messages shortened, in colour on a terminal."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty()

    def line(self, direction: str, line: bytes) -> None:
        """A raw line of the protocol: `>` to the worker, `<` from it."""
        text = line.decode()
        if len(text) > MAX_WIDTH:
            text = f"{text[: MAX_WIDTH - 20]} … ({len(line)} bytes)"
        self._print("36" if direction == ">" else "90", f"{direction} {text}")

    def segment(self, segment: dict[str, Any]) -> None:
        """A segment, as a person reads it."""
        self._print("1", f"    {segment['start']:7.2f} - {segment['end']:6.2f}  {segment['text']}")

    def say(self, text: str = "") -> None:
        """Plain text."""
        self._print("0", text)

    def _print(self, code: str, text: str) -> None:
        print(f"\x1b[{code}m{text}\x1b[0m" if self._colour else text, flush=True)


def main() -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("audio", nargs="?", default=str(DEMO), metavar="FILE")
    parser.add_argument("--model", default=str(TEST_MODEL))
    options = parser.parse_args()
    screen = Screen()
    shown: list[bytes] = []

    def on_line(direction: str, line: bytes) -> None:
        # Messages come on the client's reading thread; those from the worker are printed below.
        if direction == ">":
            screen.line(direction, line)
        else:
            shown.append(line)

    def on_notification(method: str, params: dict[str, Any]) -> None:
        screen.line("<", orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params}))
        for segment in params["value"].get("segments", ()):
            screen.segment(segment)

    screen.say("Starting a worker; > goes to its stdin, < comes from its stdout.\n")
    with Client(on_line=on_line) as client:
        client.call("initialize", {"clientInfo": {"name": "quickstart"}})
        screen.line("<", shown[-1])
        params = {
            "audio": options.audio,
            "model": options.model,
            "download": options.model != str(TEST_MODEL),
            "progressToken": "progress",
            "partialResultToken": "segments",
        }
        try:
            result = client.result(client.send("transcribe", params), on_notification)
        except RpcError as error:
            screen.line("<", shown[-1])
            screen.say(f"\n{error.message} {error.data.get('remedy', '')}")
            return 1
        screen.line("<", shown[-1])
        client.call("shutdown")
        screen.line("<", shown[-1])
        client.notify("exit")
    timings = result["timings"]
    screen.say()
    screen.say(f"Language {result['language']}, {len(result['segments'])} segments.")
    screen.say(
        f"{result['duration']:.1f} s of audio: model loaded in {timings['load']:.2f} s, "
        f"recognised in {timings['recognition']:.2f} s "
        f"(real-time factor {result['realTimeFactor']:.3f}, {result['device']}, "
        f"{result['computeType']})."
    )
    if options.model == str(TEST_MODEL):
        screen.say()
        screen.say("That was the test model, which knows some forty words. For real speech:")
        screen.say("  .venv/bin/transcription-worker transcribe FILE --model small")
        screen.say("  .venv/bin/python -m examples.quickstart FILE --model small")
        screen.say("The first use fetches the model from the hub; after that no network is used.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
