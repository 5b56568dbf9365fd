"""Faults amid live streams: no final word is lost, and no audio without being told."""

from __future__ import annotations

import base64
import json
import time
import wave
from typing import Any, Final

import numpy as np

from tests.faults.rig import Reply, Run, Worker, kind_of, python
from tests.faults.storage import worker_with_a_disk
from tests.support import MODEL, PATIENCE, WORKER, samples_of, wait_until

RATE: Final = 16_000
CHUNK: Final = 1600

_CLIENT: Final = """
import subprocess, sys, time
lines = open(sys.argv[1], "rb").readlines()
worker = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
for line in lines:
    worker.stdin.write(line)
    worker.stdin.flush()
    time.sleep(0.02)
time.sleep(600)
"""


class Stream:
    """A live stream of six seconds of speech, as often as it is said."""

    def __init__(self, worker: Worker, name: str, **options: Any) -> None:
        self.worker = worker
        self.name = name
        self.sent = 0
        """Samples."""
        params = opening(name, **options)
        self.id = worker.send("live/transcribe", params)

    def say(self) -> None:
        """Append the speech and a second of silence."""
        for line in chunks(self.name):
            self.worker.write(line)
        self.sent += len(speech())

    def finish(self) -> Reply:
        """End the input; return the reply."""
        self.worker.send("live/finish", {"stream": self.name})
        return self.worker.wait(self.id)[0]

    def told(self) -> dict[int, str]:
        """The text of each final segment, by its id; it never changes."""
        found: dict[int, str] = {}
        for message in self.worker.messages:
            params = message.get("params", {})
            if params.get("token") != f"{self.name} segments":
                continue
            for segment in params["value"]["segments"]:
                if segment["final"]:
                    assert found.setdefault(segment["id"], segment["text"]) == segment["text"]
                else:
                    assert segment["id"] not in found
        return {id_: text for id_, text in found.items() if text}

    def check(self, reply: Reply) -> None:
        """The result has all that was told, and all the time that was sent."""
        assert kind_of(reply) == "result", reply
        result = reply["result"]
        assert {each["id"]: each["text"] for each in result["segments"]} == self.told()
        assert abs(result["duration"] - self.sent / RATE) < 0.01


def speech() -> Any:
    """Six seconds of speech, and one of silence."""
    return np.concatenate([samples_of("en-02.flac"), np.zeros(RATE, np.int16)])


def opening(name: str, **options: Any) -> dict[str, Any]:
    """Params that open a stream."""
    return {
        "stream": name,
        "model": str(MODEL),
        "language": "en",
        "encoderContext": 30,
        "threads": 1,
        "partialResultToken": f"{name} segments",
        **options,
    }


def chunks(name: str) -> list[bytes]:
    """The speech, as notifications."""
    samples = speech()
    return [
        line(
            "live/append",
            {"stream": name, "audio": base64.b64encode(samples[k : k + CHUNK].tobytes()).decode()},
        )
        for k in range(0, len(samples), CHUNK)
    ]


def line(method: str, params: dict[str, Any]) -> bytes:
    """A notification."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


def a_stream_whose_engine_is_killed_at_any_moment_keeps_its_words(run: Run) -> None:
    worker = run.worker()
    stream = Stream(worker, "stream")
    for _ in range(2):
        stream.say()
        engine = run.engine("live")
        run.moment(1.5)
        run.kill(engine)
    stream.say()
    reply = stream.finish()
    stream.check(reply)
    assert reply["result"]["gaps"] == []
    assert reply["result"]["segments"]
    assert worker.finish() == 0


def a_stream_that_is_cancelled_at_any_moment_leaves_the_engine_to_the_next(run: Run) -> None:
    worker = run.worker()
    for number in range(3):
        stream = Stream(worker, f"stream {number}")
        stream.say()
        run.moment(1.0)
        worker.cancel(stream.id)
        assert kind_of(worker.wait(stream.id)[0]) in ("cancelled", "result")
    stream = Stream(worker, "last")
    stream.say()
    stream.check(stream.finish())
    assert worker.finish() == 0


def a_stream_whose_client_stops_reading_gets_its_words_later(run: Run) -> None:
    worker = run.worker()
    stream = Stream(worker, "stream", maxBacklog=600)
    stream.say()
    wait_until(stream.told)
    worker.reading.clear()
    for _ in range(10):
        stream.say()
    run.moment(2.0)
    worker.reading.set()
    reply = stream.finish()
    stream.check(reply)
    assert reply["result"]["gaps"] == []
    assert worker.finish() == 0


def a_stream_of_a_killed_client_leaves_a_whole_recording(run: Run) -> None:
    record = run.place / "kept.wav"
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "live/transcribe",
        "params": opening("stream", record=str(record)),
    }
    lines = run.place / "lines"
    lines.write_bytes(b"".join([json.dumps(request).encode() + b"\n", *chunks("stream")]))
    client = run.spawn(python(_CLIENT, str(lines), *WORKER))
    wait_until(lambda: record.exists() and record.stat().st_size > 2 * RATE)
    run.moment(1.0)
    client.kill()
    client.wait()
    with wave.open(str(record)) as file:
        kept = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(kept) >= RATE - CHUNK
    assert np.array_equal(kept, speech()[: len(kept)])


def a_stream_recorded_onto_a_full_disk_goes_on_and_tells_that(run: Run) -> None:
    worker, disk = worker_with_a_disk(run)
    disk.leave(run.rng.randrange(2 * RATE))
    stream = Stream(worker, "stream", record=str(disk.path / "kept.wav"))
    stream.say()
    reply = stream.finish()
    if kind_of(reply) == "export_failed":  # there was not even room for the file
        return
    stream.check(reply)
    assert [each["kind"] for each in reply["result"]["warnings"]] == ["recording_failed"]
    assert worker.finish() == 0


def a_stream_that_is_flooded_tells_what_is_lost_and_hurts_no_other_work(run: Run) -> None:
    worker = run.worker()
    stream = Stream(worker, "stream", maxBacklog=run.rng.choice([1, 3]))
    other = worker.transcribe()
    for _ in range(12):
        stream.say()
    assert kind_of(worker.ask("ping")) == "result"
    reply = stream.finish()
    stream.check(reply)
    assert kind_of(worker.wait(other)[0]) == "result"
    kinds = [each["kind"] for each in reply["result"]["warnings"]]
    assert bool(reply["result"]["gaps"]) == ("audio_lost" in kinds)
    assert worker.finish() == 0


def the_end_of_input_amid_streams_leaves_no_word_unsaid(run: Run) -> None:
    worker = run.worker()
    streams = [Stream(worker, name) for name in ("one", "two")]
    for stream in streams:
        stream.say()
    run.moment(2.0)
    ending = time.monotonic()
    assert worker.finish() == 0
    assert time.monotonic() - ending < PATIENCE
    for stream in streams:
        stream.check(worker.wait(stream.id)[0])


def rubbish_for_a_stream_costs_none_of_its_words(run: Run) -> None:
    worker = run.worker()
    stream = Stream(worker, "stream")
    good = chunks("stream")
    bad = [
        line("live/append", {"stream": "stream", "audio": "?"}),
        line("live/append", {"stream": "stream", "audio": "AAAA", "at": 1e9}),
        line("live/append", {"stream": "stream"}),
        line("live/append", {"stream": "other", "audio": ""}),
        line("live/commit", {"stream": 7}),
        b"\xff\xfe{\n",
    ]
    for each in good:
        worker.write(each)
        if run.rng.random() < 0.2:
            worker.write(run.rng.choice(bad))
    stream.sent += len(speech())
    stream.check(stream.finish())
    assert worker.finish() == 0
