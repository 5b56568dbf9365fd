"""A stream through the worker, in real time: what its client sees, and what a lost engine costs.

The engine is killed amid speech. Its successor has to load the model, and to hear again what was
not final; the stream is behind until it has caught up.
"""

from __future__ import annotations

import base64
import os
import queue
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.common import offline_environment
from worker.audio import SAMPLE_RATE, Samples
from worker.client import Client

_CHUNK: Final = 0.1
_CAUGHT_UP: Final = 1.0
"""Seconds of lag within which a stream counts as up to date."""


@dataclass
class Seen:
    """What a stream cost, and what its client saw. Times are in seconds."""

    result: dict[str, Any] = field(default_factory=dict)
    front_cpu: float = 0.0
    engine_cpu: float = 0.0
    front_memory: int = 0
    """Bytes."""
    load: float = 0.0
    """From a kill to the model's load, and"""
    caught_up: float = 0.0
    """to the first words that are up to date."""


class _Stream:
    def __init__(self, client: Client, model: Path) -> None:
        self._client = client
        self._killed_at = 0.0
        self.seen = Seen()
        self.speaking = False
        self.ready = False
        self._id = client.send(
            "live/transcribe",
            {
                "stream": "stream",
                "model": str(model),
                "computeType": "int8",
                "device": "cpu",
                "threads": 1,
                "progressToken": "progress",
                "partialResultToken": "segments",
            },
        )

    def append(self, samples: Samples) -> None:
        audio = base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()
        self._client.notify("live/append", {"stream": "stream", "audio": audio})

    def receive(self, until: float) -> None:
        """Take what comes until a time of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            try:
                message = self._client.next_message(left)
            except queue.Empty:
                return
            self._take(message.get("method", ""), message.get("params", {}))

    def kill_engine(self) -> None:
        [engine] = psutil.Process(self._client.process.pid).children()
        self.seen.engine_cpu += _cpu(engine)
        self._killed_at = time.monotonic()
        os.kill(engine.pid, signal.SIGKILL)

    def finish(self) -> Seen:
        front = psutil.Process(self._client.process.pid)
        self._client.send("live/finish", {"stream": "stream"})
        self.seen.result = self._client.result(self._id, self._take)
        self.seen.engine_cpu += sum(map(_cpu, front.children()))
        self.seen.front_cpu = _cpu(front)
        self.seen.front_memory = front.memory_info().rss
        return self.seen

    def _take(self, method: str, params: dict[str, Any]) -> None:
        value = params.get("value", {})
        since = time.monotonic() - self._killed_at
        if value.get("stage") == "ready":
            self.ready = True
            self.seen.load = since if self._killed_at else 0.0
        elif value.get("stage") == "speech":
            self.speaking = value["speech"] == "started"
        elif "lag" in value and self.seen.load and not self.seen.caught_up:
            self.seen.caught_up = since if value["lag"] < _CAUGHT_UP else 0.0


def run(model: Path, samples: Samples, *, kill: bool = False) -> Seen:
    """Stream the samples as a microphone would; with `kill`, without the engine from the middle."""
    with Client(env=offline_environment()) as client:
        stream = _Stream(client, model)
        while not stream.ready:
            stream.receive(time.monotonic() + 0.1)
        began = time.monotonic()
        size = round(_CHUNK * SAMPLE_RATE)
        killed = not kill
        for place in range(0, len(samples), size):
            stream.receive(began + (place + size) / SAMPLE_RATE)
            stream.append(samples[place : place + size])
            if not killed and place > len(samples) / 2 and stream.speaking:
                killed = True
                stream.kill_engine()
        return stream.finish()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
