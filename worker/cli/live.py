"""`transcription-worker live`: shows what is said while it is said, through its own worker.

Audio goes to the worker in requests, one at a time, and its answer says how much waits there: for a
file, a few seconds are enough to keep the worker busy; what is live goes on at once, up to minutes,
so that a recording has it whatever happens. What the worker cannot take yet waits here
(`live_input`), and so nothing is lost while a model loads, or when recognition is slow.

The main thread sends and receives, and looks for new audio every 50 ms. The first Ctrl-C ends the
input; the words before it are still recognised, printed and written. So the worker must not hear
it.
"""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, get_args

import msgspec
import orjson

from protocol.errors import ErrorObject, RpcError
from protocol.live import LiveTranscribeParams, SampleFormat
from protocol.params import decode_params
from protocol.transcript import ExportParams, Format
from worker.batch.inputs import plain_name
from worker.batch.run import Interrupt
from worker.cli.bar import Bar
from worker.cli.live_input import DECODED, Input, Raw
from worker.cli.screen import Screen
from worker.cli.telling import of_error, of_warning, tell
from worker.cli.transcribe import (
    add_any_option,
    add_model_options,
    add_stage_options,
    add_track_option,
    any_params,
    line,
    model_params,
    page_plays,
    set_params,
    stage_params,
    track,
)
from worker.client import Client, WorkerEndedError
from worker.system.paths import to_wire
from worker.system.stdin import NAME, STDIN, refuse_terminal

_EPILOG = """\
For example: arecord -f S16_LE -r 16000 -c 1 | transcription-worker live
or: ffmpeg -i URL -f s16le -ar 16000 -ac 1 - | transcription-worker live --rate 16000
Ctrl-C ends the input, and what was said before is still printed and written; a second one cancels.
"""
_STREAM: Final = "live"
_TICK: Final = 0.05
"""Seconds between two looks for new audio."""
_QUIET_TICK: Final = 0.2
"""The same where none will come."""
_CHUNK: Final = 1.0
"""Seconds of audio in a request, about."""
_AHEAD: Final = 15.0
"""Seconds of a file that may wait in the worker."""
_LIVE_BACKLOG: Final = 600
"""Seconds of live audio that may, if nobody says otherwise: the most that there can be."""
_FULL: Final = 0.8
"""Share of them at which the worker gets no more for a while."""
_PAUSE: Final = 0.25
"""Seconds of that while."""
_WRITER_SECONDS: Final = 1.0
"""How long, after Ctrl-C, the writer of a pipe has to end as well."""
_OPENING_SECONDS: Final = 1.0
"""How long to wait for audio before the stream opens, and its model loads: what is no audio is
refused before."""
_ALIVE_SECONDS: Final = 60.0
"""After which a pipe that is open but quiet is kept open in the worker too, with no audio."""
_CANCEL_SECONDS: Final = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `live`."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "file",
        nargs="?",
        default=STDIN,
        metavar="FILE",
        help="audio or video to read as if it were live; - is stdin (the default)",
    )
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="the input is samples without a container"
    )
    parser.add_argument(
        "--format", choices=get_args(SampleFormat), help="type of those samples (pcm16)"
    )
    parser.add_argument("--channels", type=int, metavar="N", help="their channels, to mix (1)")
    parser.add_argument(
        "--realtime", action="store_true", help="read no faster than the audio plays"
    )
    add_model_options(parser)
    add_track_option(parser)
    parser.add_argument(
        "--no-interim", action="store_true", help="decode each utterance once, when it has ended"
    )
    add_stage_options(parser)
    parser.add_argument("--record", metavar="FILE.wav", help="also keep all audio in this file")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    parser.add_argument(
        "--formats",
        metavar="LIST",
        help=f"at the end, write files: any of {', '.join(get_args(Format))}",
    )
    parser.add_argument(
        "--output-dir", default=".", metavar="DIR", help="folder for those files (.)"
    )
    parser.add_argument(
        "--name", help="name of those files, without suffix (default: the input's, or stdin)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON, in one line, at the end"
    )
    parser.add_argument(
        "--partials", action="store_true", help="as --json, with each partial result before it"
    )
    add_any_option(parser, "live/transcribe", "endSilence=0.5")


def main(options: argparse.Namespace) -> int:
    """Transcribe until the input or the user ends; 0 for success, 1 for failure, 2 wrong usage."""
    try:
        raw = _raw(options)
        params = _params(options, raw)
        if options.file == STDIN:
            refuse_terminal()
        export = _export(options)
    except (ValueError, RpcError) as error:
        sys.stderr.write(f"transcription-worker: {error}\n")
        return 2
    except OSError as error:
        tell(f"transcription-worker: {error.filename}: {error.strerror}.")
        return 2
    for number in signal.Signals:
        is_ignored = signal.getsignal(number) is signal.SIG_IGN  # as with nohup
        if number.name in ("SIGTERM", "SIGHUP") and not is_ignored:
            signal.signal(number, _exit)
    with Interrupt() as interrupt:
        try:
            with _unheard():
                client = Client()
            with client:
                return _run(client, options, raw, params, export, interrupt)
        except RpcError as error:
            tell(f"{options.file}: {of_error(error)}")
        except WorkerEndedError as error:
            tell(f"{options.file}: {error}{_kept(options)}")
        except KeyboardInterrupt:  # the second one
            sys.stderr.write("\ninterrupted\n")
            return 130
    return 1


def _run(
    client: Client,
    options: argparse.Namespace,
    raw: Raw | None,
    params: dict[str, Any],
    export: dict[str, Any],
    interrupt: Interrupt,
) -> int:
    source = Input(options.file, raw, track(options.track), realtime=options.realtime)
    try:
        source.wait(_OPENING_SECONDS)
        if source.has_ended and source.error:
            raise source.error
        most = _FULL * params["maxBacklog"]
        limit = most if source.is_live else min(most, _AHEAD)
        display = _Display(options, source, diarizes=bool(params.get("diarize")))
        stream = _Stream(client, params, source, limit, interrupt, display)
        try:
            result = stream.run()
        except BaseException:
            display.close()
            stream.cancel()
            raise
    finally:
        source.close()
    display.finish(result)
    if export:
        client.call("export", {**export, "transcript": result})
    if source.error and not interrupt.received:
        raise source.error
    return 0


def _kept(options: argparse.Namespace) -> str:
    """Where the audio is, if it was recorded."""
    return f"; the recording until then is in {options.record}" if options.record else ""


class _Display:
    """What the user sees of the stream: segments on stdout; on stderr, what becomes of it."""

    def __init__(self, options: argparse.Namespace, source: Input, *, diarizes: bool) -> None:
        self._file = options.file
        self._source = source
        self._json = options.json or options.partials
        self._partials = options.partials
        self._screen = Screen()
        # Speakers are known at the end, and a pipe should get each line once.
        self._diarizes = diarizes
        self._later = diarizes and not sys.stdout.isatty()
        self._printed: set[int] = set()
        self._interim: int | None = None
        self._bar: Bar | None = None
        self._is_busy = True  # loading at first, and after the input

    def progress(self, value: dict[str, Any]) -> None:
        """Show how far the worker is, while nothing is said."""
        stage = value.get("stage")
        if stage == "ready":
            self.close()
            self._is_busy = False
            if self._source.is_live and sys.stderr.isatty():
                tell("listening; Ctrl-C ends")
        elif stage and stage != "speech" and self._is_busy and sys.stderr.isatty():
            self._bar = self._bar or Bar(self._source.name)
            self._bar.update(value)

    def segments(self, value: dict[str, Any]) -> None:
        """Show a partial result."""
        if self._partials:
            self._print_json(value)
        if self._json:
            return
        self._close_bar()
        for segment in value["segments"]:
            if not segment["final"]:
                self._interim = segment["id"]
                self._screen.show(segment["text"].strip())
                continue
            if segment["id"] == self._interim:
                self._interim = None
                self._screen.show("")
            if segment["id"] not in self._printed and segment["text"].strip():
                self._printed.add(segment["id"])
                if not (self._later or (self._diarizes and "speaker" in segment)):
                    self._screen.write(line(segment))

    def ending(self) -> None:
        """Say that the end has begun."""
        self._is_busy = True
        if sys.stderr.isatty():
            self._screen.show("")
            tell("finishing; Ctrl-C again cancels")

    def input_ended(self) -> None:
        """From now on there may be stages to wait for."""
        self._is_busy = True

    def finish(self, result: dict[str, Any]) -> None:
        """Show the result, and what else the user should know."""
        self.close()
        for message in [*self._source.notices, *map(of_warning, result["warnings"])]:
            tell(f"{self._file}: {message}")
        if self._json:
            self._print_json({"file": to_wire(self._file), **result})
        elif not result["segments"]:
            tell(f"{self._file}: no speech found")
        elif self._diarizes:
            if not self._later:
                tell("with speakers:")
            for segment in result["segments"]:
                self._screen.write(line(segment))

    def close(self) -> None:
        """Leave nothing on the terminal that is not final."""
        self._screen.show("")
        self._close_bar()

    def _close_bar(self) -> None:
        if self._bar:
            self._bar.__exit__()
            self._bar = None

    def _print_json(self, value: dict[str, Any]) -> None:
        sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
        sys.stdout.buffer.flush()


class _Stream:
    """The stream while it is open: sends what the input has, and passes on what the worker says."""

    def __init__(
        self,
        client: Client,
        params: dict[str, Any],
        source: Input,
        limit: float,
        interrupt: Interrupt,
        display: _Display,
    ) -> None:
        self._client = client
        self._source = source
        self._limit = limit
        self._interrupt = interrupt
        self._display = display
        self._appended: int | None = None
        """The request that is not answered yet."""
        self._audio = b""
        """What it sends, until the worker has it."""
        self._resume_at = 0.0
        self._sent_at = time.monotonic()
        self._has_sent = False
        self._is_stopping = False
        self._has_finished = False
        self._request = client.send("live/transcribe", params)
        self._is_open = True

    def run(self) -> dict[str, Any]:
        """Serve until the stream ends; return its result.

        Raises `RpcError`, `WorkerEndedError`, and `KeyboardInterrupt` for a second Ctrl-C.
        """
        while True:
            self._stop_if_told()
            self._send()
            tick = _QUIET_TICK if self._has_finished else _TICK
            try:
                message = self._client.next_message(tick)
            except queue.Empty:
                continue
            if "method" in message:
                self._notified(message)
            elif message["id"] == self._request:
                self._is_open = False
                if "error" in message:
                    raise _error(message)
                if not self._has_finished:
                    tell("the stream ended before its input did")
                result: dict[str, Any] = message["result"]
                return result
            elif message["id"] == self._appended:
                self._answered(message)

    def cancel(self) -> None:
        """Discard the stream, if it is open; wait a little for the worker to confirm that."""
        until = time.monotonic() + _CANCEL_SECONDS
        try:
            if self._is_open:
                self._client.cancel(self._request)
            while self._is_open and (left := until - time.monotonic()) > 0:
                self._is_open = self._client.next_message(left).get("id") != self._request
        except (queue.Empty, WorkerEndedError):
            pass

    def _stop_if_told(self) -> None:
        if self._interrupt.received and not self._is_stopping:
            self._is_stopping = True
            self._display.ending()
            self._source.stop(_WRITER_SECONDS)

    def _send(self) -> None:
        """Send the next audio, or the end, if the worker takes it now."""
        waits = self._appended is not None or time.monotonic() < self._resume_at
        if self._has_finished or waits:
            return
        self._audio = self._audio or self._source.take(_CHUNK)
        is_quiet = time.monotonic() > self._sent_at + _ALIVE_SECONDS
        if self._audio or (is_quiet and not self._source.has_ended):
            self._sent_at = time.monotonic()
            self._has_sent = True
            audio = b64encode(self._audio).decode()
            self._appended = self._client.send("live/append", {"stream": _STREAM, "audio": audio})
        elif self._source.has_ended:
            if self._source.error and not (self._has_sent or self._is_stopping):
                raise self._source.error
            self._has_finished = True
            self._display.input_ended()
            self._client.send("live/finish", {"stream": _STREAM})

    def _answered(self, message: dict[str, Any]) -> None:
        self._appended = None
        if "error" in message:
            error = _error(message)
            if error.kind == "live_overrun":
                self._resume_at = time.monotonic() + _PAUSE  # the same audio again
            elif error.kind in ("live_stream_unknown", "live_stream_finished"):
                self._resume_at = float("inf")  # the stream has ended; its answer says why
            else:
                raise error
            return
        self._audio = b""
        ahead = message["result"]["backlog"] - self._limit
        if ahead > 0:
            self._resume_at = time.monotonic() + min(ahead, _PAUSE)

    def _notified(self, message: dict[str, Any]) -> None:
        if message["method"] != "$/progress":
            return
        params = message["params"]
        if params["token"] == "segments":
            self._display.segments(params["value"])
        else:
            self._display.progress(params["value"])


def _raw(options: argparse.Namespace) -> Raw | None:
    """Samples without a container, if the options describe such. Raises `ValueError`."""
    if options.rate is None:
        if options.format or options.channels:
            raise ValueError("samples without a container need --rate HZ too.")
        return None
    channels = 1 if options.channels is None else options.channels
    if channels < 1:
        raise ValueError("--channels must be at least 1.")
    return Raw(options.format or "pcm16", options.rate, channels)


def _params(options: argparse.Namespace, raw: Raw | None) -> dict[str, Any]:
    """Params of `live/transcribe`. Raises `ValueError` and `RpcError`."""
    form = raw or DECODED
    given = any_params(options)
    given.pop("formatOptions", None)
    params = {
        "stream": _STREAM,
        "format": form.format,
        "sampleRate": form.rate,
        "maxBacklog": _LIVE_BACKLOG,
        **model_params(options),
        "interim": not options.no_interim,
        **stage_params(options),
        **set_params(record=options.record and to_wire(Path(options.record).absolute())),
        "overwrite": options.overwrite,
        **given,
        "progressToken": "progress",
        "partialResultToken": "segments",
    }
    decode_params(orjson.dumps(params), LiveTranscribeParams)
    return params


def _export(options: argparse.Namespace) -> dict[str, Any]:
    """Params of `export` without the transcript, or none. What would fail then fails now.

    Raises `ValueError`, `RpcError`, and `OSError` for the folder.
    """
    if not options.formats:
        return {}
    folder = Path(options.output_dir).absolute()
    job = {"formats": options.formats.split(",")}
    job |= set_params(formatOptions=any_params(options).get("formatOptions"))
    audio = options.record or (options.file if options.file != STDIN else None)
    if audio:
        job = page_plays(job, Path(audio).absolute(), folder)
    name = (
        to_wire(options.name)
        if options.name
        else plain_name(Path(NAME if options.file == STDIN else options.file))
    )
    params = {
        "formats": job["formats"],
        "outputDir": to_wire(folder),
        "name": name,
        **set_params(options=job.get("formatOptions")),
    }
    decode_params(orjson.dumps({**params, "transcript": {"segments": []}}), ExportParams)
    folder.mkdir(parents=True, exist_ok=True)
    return params


def _error(message: dict[str, Any]) -> RpcError:
    return RpcError.from_object(msgspec.convert(message["error"], ErrorObject))


def _exit(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


@contextmanager
def _unheard() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C."""
    if sys.platform == "win32":
        import ctypes

        ignore: Callable[[None, int], int] = ctypes.windll.kernel32.SetConsoleCtrlHandler
        ignore(None, 1)
        try:
            yield
        finally:
            ignore(None, 0)
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
