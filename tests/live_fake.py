"""A worker of which the tests know what it says: a segment for each second of a stream.

`python -m tests.live_fake COMMAND…` runs the program with this worker; MODE is how it behaves, and
HEARD the path of a file that gets all requests, one a line. ALIVE is in seconds.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from typing import Any

PROGRAM = [sys.executable, "-m", "tests.live_fake"]
MODE = os.environ.get("MODE", "")


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def progress(token: str, value: dict[str, Any]) -> None:
    send({"method": "$/progress", "params": {"token": token, "value": value}})


class Stream:
    """Hears seconds."""

    def __init__(self, id_: int, params: dict[str, Any]) -> None:
        self.id = id_
        self.params = params
        self.second: int = params["sampleRate"] * (2 if params["format"] == "pcm16" else 4)
        self.size = 0
        self.told = 0
        self.began = time.monotonic()
        self.most = 0.0
        self.refusals = 3 if MODE == "full" else 0
        progress("progress", {"kind": "begin", "title": "live"})
        progress("progress", {"kind": "report", "stage": "load", "message": "small"})
        progress("progress", {"kind": "report", "stage": "ready"})

    def backlog(self) -> float:
        speed = {"slow": 20.0, "stuck": 0.0}.get(MODE, float("inf"))
        return max(0.0, self.size / self.second - speed * (time.monotonic() - self.began))

    def append(self, audio: bytes) -> None:
        self.size += len(audio)
        self.most = max(self.most, self.backlog())
        while (self.told + 1) * self.second <= self.size:
            if MODE == "dies" and self.told == 2:
                sys.exit(3)
            self.say(self.told, f"second {self.told}", final=True)
            if MODE == "aligns":
                self.say(self.told, f"second {self.told}", final=True)
            self.told += 1
        if self.size > self.told * self.second:
            self.say(self.told, f"part of {self.told}", final=False)

    def say(self, id_: int, text: str, *, final: bool) -> None:
        segment = {"id": id_, "start": float(id_), "end": id_ + 1.0, "text": text, "final": final}
        progress("segments", {"segments": [{**segment, "language": "en", "words": []}]})

    def end(self) -> dict[str, Any]:
        if self.size > self.told * self.second:
            self.say(self.told, "the rest", final=True)
        speaker = {"speaker": "SPEAKER_00"} if self.params.get("diarize") else {}
        segments = [
            {"id": i, "start": float(i), "end": i + 1.0, "text": f"second {i}", **speaker}
            for i in range(self.told)
        ]
        warnings = [{"kind": "x", "message": "A warning."}] if MODE == "warns" else []
        return {"segments": segments, "warnings": warnings, "most": self.most}


def serve() -> int:
    stream: Stream | None = None
    heard = open(os.environ["HEARD"], "w") if "HEARD" in os.environ else None  # noqa: PTH123, SIM115
    for text in sys.stdin:
        if heard:
            heard.write(text)
            heard.flush()
        message = json.loads(text)
        method, params, id_ = message["method"], message.get("params", {}), message.get("id")
        if method == "live/transcribe" and MODE == "refuses":
            data = {"kind": "model_not_found", "remedy": "Choose another one."}
            send({"id": id_, "error": {"code": -32000, "message": "No such model.", "data": data}})
        elif method == "live/transcribe":
            stream = Stream(id_, params)
        elif method == "export":
            send({"id": id_, "result": {"files": []}})
        elif stream is None:
            data = {"kind": "live_stream_unknown"}
            send({"id": id_, "error": {"code": -32041, "message": "No stream.", "data": data}})
        elif method == "live/append" and stream.refusals:
            stream.refusals -= 1
            data = {"kind": "live_overrun"}
            send({"id": id_, "error": {"code": -32043, "message": "Too far.", "data": data}})
        elif method == "live/append":
            stream.append(base64.b64decode(params["audio"]))
            known = {"audioReceived": 0, "audioDecoded": 0, "backlog": stream.backlog()}
            send({"id": id_, "result": known})
        elif method == "live/finish":
            send({"id": id_, "result": {"audioReceived": 0, "audioDecoded": 0, "backlog": 0}})
            if MODE != "hangs":
                send({"id": stream.id, "result": stream.end()})
        elif method == "$/cancelRequest":
            error = {"code": -32800, "message": "Cancelled.", "data": {"kind": "cancelled"}}
            send({"id": stream.id, "error": error})
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(serve())
    from unittest import mock

    from worker.cli import run

    alive = float(os.environ.get("ALIVE", "60"))
    with (
        mock.patch("worker.client.program", lambda: PROGRAM),
        mock.patch("worker.cli.live._ALIVE_SECONDS", alive),
    ):
        sys.exit(run(sys.argv[1:]))
