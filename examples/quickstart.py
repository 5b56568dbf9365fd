"""Runs a whole job (words, speakers, subtitles) and prints every message on the worker's pipes.

    python -m examples.quickstart [FILE] [--model NAME] [--align] [--diarize]

Without arguments, real models, downloaded once (see examples/models), transcribe a telephone call
of two people; with the flavour `full`, they tell who speaks. If they cannot be downloaded, this
repository's small test models, which know some forty words, transcribe a recording of three voices.
FILE replaces the recording; `--model small` downloads another model from the hub, once.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from examples.models import MODELS, call
from examples.models.install import install, is_installed
from protocol.errors import RpcError
from worker.client import Client

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "quickstart"
TEST_MODELS = ROOT / "tests" / "models"
TEST_RECORDING = ROOT / "tests" / "mixtures" / "mixture-15.flac"
RECOGNITION = "base"
DIARIZATION = "diarization"
CALL = "call"
MAX_WIDTH = 200
FULL = find_spec("pyannote") is not None and find_spec("torch") is not None


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
        """A segment, formatted for people."""
        speaker = f"{segment['speaker']}: " if "speaker" in segment else ""
        times = f"{segment['start']:7.2f} - {segment['end']:6.2f}"
        self._print("1", f"    {times}  {speaker}{segment['text']}")
        if segment["words"]:
            words = (f"{word['word'].strip()} {word['start']:.2f}" for word in segment["words"])
            self._print("90", f"                      {', '.join(words)}")

    def say(self, text: str = "") -> None:
        """Plain text."""
        self._print("0", text)

    def _print(self, code: str, text: str) -> None:
        print(f"\x1b[{code}m{text}\x1b[0m" if self._colour else text, flush=True)


def main() -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("audio", nargs="?", metavar="FILE")
    parser.add_argument("--model", metavar="NAME", help="use this model of the hub")
    parser.add_argument("--align", action="store_true", help="time words exactly, with a model")
    parser.add_argument("--diarize", action="store_true", help="with --model; needs a hub token")
    options = parser.parse_args()
    screen = Screen()
    shown: list[bytes] = []
    job, real = _choose(options, screen)

    def on_line(direction: str, line: bytes) -> None:
        # Runs on the client's reading thread; the worker's messages are printed further below.
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
            **job,
            "formats": ["srt"],
            "outputDir": str(OUTPUT),
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
    _summarize(screen, result)
    _hint(screen, real=real)
    return 0


def _choose(options: argparse.Namespace, screen: Screen) -> tuple[dict[str, Any], bool]:
    """Choose the params of the job; also return whether its models know real speech."""
    if options.model is not None:
        hub = {"align": options.align, "diarize": options.diarize, "download": True}
        return {"audio": options.audio or str(TEST_RECORDING), "model": options.model, **hub}, True
    names = [RECOGNITION, CALL, *([DIARIZATION] if FULL else [])]
    reasons = [] if options.audio else install(names, screen.say)
    if not reasons and is_installed(RECOGNITION):
        real: dict[str, Any] = {
            "audio": options.audio or str(call() / "sample.wav"),
            "model": str(MODELS / RECOGNITION),
            "wordTimestamps": True,
        }
        if options.align:
            real |= {"align": True, "download": True}
        if FULL and is_installed(DIARIZATION):
            real["diarize"] = {"model": str(MODELS / DIARIZATION)}
        return real, True
    for reason in reasons:
        screen.say(reason)
    if reasons:
        screen.say("Using a recording of three voices and the small test models instead.\n")
    small: dict[str, Any] = {
        "audio": options.audio or str(TEST_RECORDING),
        "model": str(TEST_MODELS / "whisper"),
    }
    if FULL:
        small["align"] = {"model": str(TEST_MODELS / "alignment")}
        small["diarize"] = {"model": str(TEST_MODELS / "diarization")}
    return small, False


def _summarize(screen: Screen, result: dict[str, Any]) -> None:
    """Print a summary of the result."""
    timings = result["timings"]
    screen.say()
    for warning in result["warnings"]:
        screen.say(f"Warning: {warning['message']}")
    speakers = f", speakers {', '.join(result['speakers'])}" if "speakers" in result else ""
    screen.say(
        f"Language {result['language']}, {len(result['segments'])} segments{speakers}; "
        f"{result['duration']:.1f} s of audio on {result['device']} ({result['computeType']})."
    )
    stages = timings["stages"].items()
    spans = (f"{name} {span['begin']:.1f}-{span['end']:.1f}" for name, span in stages)
    screen.say(f"Seconds since the request: {', '.join(spans)}.")
    (written,) = result["files"]
    screen.say(f"\n{written['path']}:\n")
    screen.say(Path(written["path"]).read_text("utf-8").rstrip())


def _hint(screen: Screen, *, real: bool) -> None:
    """Suggest what to try next."""
    screen.say()
    if not real:
        screen.say(
            "These were the test models, which know some forty words. `make models` installs"
        )
        screen.say("models for real speech; the worker downloads others when it first uses them:")
    else:
        screen.say(
            "Try your own recording, with these models or with larger ones, which the worker"
        )
        screen.say("downloads when it first uses them (after that it needs no network):")
        screen.say("  .venv/bin/python -m examples.quickstart FILE")
    align = " --align" if FULL else ""
    screen.say(f"  .venv/bin/python -m examples.quickstart FILE --model small{align}")
    screen.say(f"  .venv/bin/transcription-worker transcribe FILE --model small{align}")
    if not FULL:
        screen.say("For speakers and exact word times, which need several GB: make FLAVOR=full run")


if __name__ == "__main__":
    sys.exit(main())
