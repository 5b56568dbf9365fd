"""`transcription-worker transcribe`: files from a terminal, through a worker of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from protocol.errors import RpcError
from worker.client import Client, WorkerEndedError


def main(options: argparse.Namespace) -> int:
    """Transcribe each file; return 0 when all went well, 1 otherwise, 2 for wrong usage."""
    try:
        extra = dict(_parse_option(text) for text in options.option)
    except ValueError as error:
        sys.stderr.write(f"transcription-worker: {error}\n")
        return 2
    failures = 0
    with Client() as client:
        for file in options.files:
            try:
                _transcribe(client, file, options, extra)
            except RpcError as error:
                failures += 1
                remedy = error.data.get("remedy", "")
                sys.stderr.write(f"{file}: {error.message} {remedy}".rstrip() + "\n")
            except WorkerEndedError as error:
                sys.stderr.write(f"{file}: {error}\n")
                return 1
            except KeyboardInterrupt:
                sys.stderr.write("\ninterrupted\n")
                return 130
    return 1 if failures else 0


def _transcribe(
    client: Client, file: str, options: argparse.Namespace, extra: dict[str, Any]
) -> None:
    params = {
        "audio": str(Path(file).absolute()),
        "model": _model(options.model),
        "download": not options.offline,
        "task": options.task,
        "device": options.device,
        "computeType": options.compute_type,
        "wordTimestamps": options.word_timestamps,
        "progressToken": "progress",
        **({} if options.json else {"partialResultToken": "segments"}),
        **({"language": options.language} if options.language else {}),
        **({"batchSize": options.batch_size} if options.batch_size else {}),
        **extra,
    }
    with _Bar(Path(file).name) as bar:

        def show(method: str, notification: dict[str, Any]) -> None:
            if method != "$/progress":
                return
            value = notification["value"]
            if notification["token"] == "progress":
                bar.update(value)
            else:
                for segment in value["segments"]:
                    bar.write(
                        f"[{clock(segment['start'])} - {clock(segment['end'])}] {segment['text']}"
                    )

        result = client.result(client.send("transcribe", params), show)
    warnings = result["warnings"]
    if options.formats:
        exported = client.call(
            "export",
            {
                "transcript": result,
                "formats": options.formats.split(","),
                "outputDir": str(Path(options.output_dir).absolute()),
                "name": Path(file).stem,
            },
        )
        warnings = warnings + exported["warnings"]
    for warning in warnings:
        sys.stderr.write(f"{file}: {warning['message']}\n")
    if options.json:
        sys.stdout.buffer.write(orjson.dumps({"file": file, **result}) + b"\n")
        sys.stdout.buffer.flush()
    elif not result["segments"]:
        sys.stderr.write(f"{file}: no speech found\n")


class _Bar:
    """A progress bar on a terminal; nothing when stderr is none."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=100,
            desc=title,
            unit="%",
            leave=False,
            disable=not sys.stderr.isatty(),
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, value: dict[str, Any]) -> None:
        """Show a progress value."""
        if value["kind"] != "report":
            return
        self._bar.set_postfix_str(value["stage"])
        if "percentage" in value:
            self._bar.update(value["percentage"] - self._bar.n)

    def write(self, line: str) -> None:
        """Print a line on stdout, above the bar."""
        self._bar.clear()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        self._bar.refresh()


def clock(seconds: float) -> str:
    """Seconds as H:MM:SS.mmm."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _model(name: str) -> str:
    """A directory as an absolute path; any other name as it is."""
    return str(Path(name).absolute()) if Path(name).is_dir() else name


def _parse_option(text: str) -> tuple[str, Any]:
    """NAME=JSON; a value that is no JSON is taken for a string."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"--option wants NAME=JSON, not {text!r}")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value
