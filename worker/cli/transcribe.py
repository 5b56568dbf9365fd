"""`transcription-worker transcribe`: transcribes files in the terminal, through its own worker."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, get_args

import orjson

from protocol.errors import RpcError
from protocol.transcript import Format
from worker.cli.bar import Bar
from worker.cli.telling import of_error, of_warning, tell
from worker.client import Client, WorkerEndedError
from worker.models.families import RECOGNISERS
from worker.system.paths import is_utf8, to_wire
from worker.system.stdin import NAME, STDIN, Spool, refuse_terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `transcribe`."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio or video; - reads one from stdin"
    )
    add_job_options(parser)
    parser.add_argument(
        "--formats", metavar="LIST", help=f"also write files: any of {', '.join(get_args(Format))}"
    )
    parser.add_argument(
        "--output-dir", default=".", metavar="DIR", help="folder for those files (.)"
    )
    parser.add_argument(
        "--name", help="name of those files, without suffix (default: the recording's, or stdin)"
    )
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="keep results in DIR, and continue from those in it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one result per line")


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `job_params` reads."""
    add_model_options(parser)
    add_track_option(parser)
    parser.add_argument("--task", choices=["transcribe", "translate"], default="transcribe")
    parser.add_argument("--batch-size", type=int, metavar="N", help="decode N windows at a time")
    parser.add_argument("--engine", choices=RECOGNISERS)
    parser.add_argument("--word-timestamps", action="store_true")
    add_stage_options(parser)
    parser.add_argument("--channel-speakers", action="store_true", help="each channel is a speaker")
    add_any_option(parser, "transcribe", "beamSize=1")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `model_params` reads."""
    parser.add_argument(
        "--model",
        default="small",
        help="a name such as small, a hub id or a model directory; downloaded if not cached",
    )
    parser.add_argument("--offline", action="store_true", help="never download a model")
    parser.add_argument("--language", help="code such as en (default: detect it)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--compute-type", default="auto", metavar="TYPE")


def add_track_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that `track` reads."""
    parser.add_argument(
        "--track", metavar="TRACK", help="audio track: its index, from 0, or a language tag"
    )


def add_stage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `stage_params` reads."""
    parser.add_argument("--align", action="store_true", help="time words exactly")
    parser.add_argument(
        "--align-model", metavar="MODEL", help="alignment model (default: that of the language)"
    )
    parser.add_argument(
        "--diarize",
        action="store_true",
        help="assign speakers; the model may need a token: HF_TOKEN, or the hub's own login",
    )
    parser.add_argument("--diarize-model", metavar="MODEL", help="a hub id or a directory")
    parser.add_argument(
        "--voice",
        action="append",
        metavar="FILE",
        help="a voice that `enroll` made known; repeat it for several",
    )
    for name in ("num", "min", "max"):
        parser.add_argument(f"--{name}-speakers", type=int, metavar="N")


def add_any_option(parser: argparse.ArgumentParser, method: str, example: str) -> None:
    """Add the option that `any_params` reads."""
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help=f"any other param of the {method} method, such as {example}",
    )


def job_params(options: argparse.Namespace) -> dict[str, Any]:
    """Params of `transcribe` for any recording; raises `ValueError` for a malformed --option."""
    return {
        **model_params(options),
        "task": options.task,
        **set_params(
            engine=options.engine,
            wordTimestamps=options.word_timestamps or None,  # left open, --diarize wants them
            track=track(options.track),
            batchSize=options.batch_size,
            channelSpeakers=options.channel_speakers or None,
            formats=options.formats.split(",") if options.formats else None,
        ),
        **stage_params(options),
        **any_params(options),
    }


def model_params(options: argparse.Namespace) -> dict[str, Any]:
    """Params that say which model to use, and how."""
    return {
        "model": to_wire(options.model),
        "download": not options.offline,
        "device": options.device,
        "computeType": options.compute_type,
        **set_params(language=options.language),
    }


def stage_params(options: argparse.Namespace) -> dict[str, Any]:
    """Params of the stages after recognition that are asked for."""
    return set_params(
        align=_stage(options.align, model=options.align_model),
        diarize=_stage(
            options.diarize,
            model=options.diarize_model,
            numSpeakers=options.num_speakers,
            minSpeakers=options.min_speakers,
            maxSpeakers=options.max_speakers,
            voices=options.voice and [to_wire(Path(each).absolute()) for each in options.voice],
        ),
    )


def any_params(options: argparse.Namespace) -> dict[str, Any]:
    """The params given as --option; raises `ValueError` for a malformed one."""
    return dict(_parse_option(text) for text in options.option)


def page_plays(params: dict[str, Any], audio: Path, folder: Path) -> dict[str, Any]:
    """The params, so that an html page in `folder` plays the recording from its present path."""
    formats, options = params.get("formats"), params.get("formatOptions", {})
    if not isinstance(formats, list) or "html" not in formats or not isinstance(options, dict):
        return params
    if "audio" in options or "embedAudio" in options:
        return params
    try:
        beside = Path(os.path.relpath(audio, folder)).as_posix()
    except ValueError:  # on another drive: the page asks for the recording
        return params
    if not is_utf8(beside):
        return params
    return {**params, "formatOptions": {**options, "audio": beside}}


def main(options: argparse.Namespace) -> int:
    """Transcribe each file; return 0 if all succeeded, 1 otherwise, 2 for wrong usage."""
    try:
        params = job_params(options) | set_params(
            checkpoint=options.checkpoint and to_wire(options.checkpoint),
            name=options.name and to_wire(options.name),
        )
        _check_files(options.files, params)
    except ValueError as error:
        sys.stderr.write(f"transcription-worker: {error}\n")
        return 2
    names = _names(options.files, Path(options.output_dir).absolute()) if options.formats else {}
    failures = 0
    with Spool() as spool, Client() as client:
        for file in options.files:
            try:
                _transcribe(client, spool, file, options, set_params(name=names.get(file)) | params)
            except RpcError as error:
                failures += 1
                tell(spool.hidden(f"{file}: {of_error(error)}"))
            except WorkerEndedError as error:
                tell(f"{file}: {error}")
                return 1
            except KeyboardInterrupt:
                _stop(client)
                sys.stderr.write("\ninterrupted\n")
                return 130
            except SystemExit:  # another signal
                _stop(client)
                raise
    return 1 if failures else 0


def _stop(client: Client) -> None:
    """Let the worker cancel its job and clean up. On Windows it heard of Ctrl-C, and could not."""
    if sys.platform != "win32":
        client.process.terminate()


def _check_files(files: list[str], params: dict[str, Any]) -> None:
    """Raise `ValueError` for files that cannot be transcribed together."""
    if len(files) > 1 and "name" in params:
        raise ValueError("a name is that of one recording's files: give one recording, or no name.")
    if STDIN in files:
        if files.count(STDIN) > 1:
            raise ValueError("stdin holds one recording: give - once.")
        refuse_terminal()


def _names(files: list[str], folder: Path) -> dict[str, str]:
    """The name of each recording's files: no two get the same."""
    from worker.batch.inputs import Task, make_names_unique, plain_name

    paths = {file: Path(NAME if file == STDIN else file).absolute() for file in files}
    tasks = {
        path: Task(input="", path=path, folder=folder, name=plain_name(path), params={})
        for path in paths.values()
    }
    make_names_unique(list(tasks.values()))
    return {file: tasks[path].name for file, path in paths.items()}


def _transcribe(
    client: Client, spool: Spool, file: str, options: argparse.Namespace, job: dict[str, Any]
) -> None:
    audio = spool.read() if file == STDIN else Path(file).absolute()
    params = {**job, "audio": to_wire(audio), "progressToken": "progress"}
    if options.formats:
        folder = Path(options.output_dir).absolute()
        if file != STDIN:
            params = page_plays(params, audio, folder)
        params["outputDir"] = to_wire(folder)
    # Alignment and diarization change segments later, so print only the final ones.
    live = not (options.json or "align" in params or "diarize" in params)
    if live:
        params["partialResultToken"] = "segments"
    with Bar(NAME if file == STDIN else Path(file).name) as bar:

        def show(method: str, notification: dict[str, Any]) -> None:
            if method != "$/progress":
                return
            value = notification["value"]
            if notification["token"] == "progress":
                bar.update(value)
            else:
                for segment in value["segments"]:
                    bar.write(line(segment))

        result = client.result(client.send("transcribe", params), show)
    for warning in result["warnings"]:
        tell(f"{file}: {of_warning(warning)}")
    if options.json:
        sys.stdout.buffer.write(orjson.dumps({"file": to_wire(file), **result}) + b"\n")
        sys.stdout.buffer.flush()
    elif not result["segments"]:
        tell(f"{file}: no speech found")
    elif not live:
        for segment in result["segments"]:
            print(line(segment), flush=True)


def set_params(**params: Any) -> dict[str, Any]:
    """The params that are set."""
    return {name: value for name, value in params.items() if value is not None}


def track(text: str | None) -> int | str | None:
    """An index, if it is one, or else a language tag."""
    return int(text) if text and text.isdecimal() else text


def _stage(wanted: bool, **options: Any) -> dict[str, Any] | None:
    """A stage's options, or None: setting any of them requests the stage."""
    given = set_params(**options)
    return given if wanted or given else None


def line(segment: dict[str, Any]) -> str:
    """A segment as it is printed: its times, its speaker and its text."""
    speaker = f"{segment['speaker']}: " if "speaker" in segment else ""
    return f"[{clock(segment['start'])} - {clock(segment['end'])}] {speaker}{segment['text']}"


def clock(seconds: float) -> str:
    """Seconds as H:MM:SS.mmm."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _parse_option(text: str) -> tuple[str, Any]:
    """Parse NAME=JSON; a value that is not JSON is a string."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"--option needs NAME=JSON, not {text!r}")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value
