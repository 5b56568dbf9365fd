"""Sends one worker requests of all kinds in random order, and samples it whenever it is idle."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression, median
from typing import Any, Final, NamedTuple

from tests.faults.rig import SPEECH, Run, kind_of, resident
from tests.faults.streams import Stream
from tests.support import ALIGNMENT_MODEL, MODEL, RECORDINGS

MB: Final = 1_000_000
_PATIENCE: Final = 600.0
"""Seconds for a reply: each unload means another import of torch, on a busy machine."""
AT_ONCE: Final = 8
"""Number of simultaneously open requests."""


class Sample(NamedTuple):
    """Resources of an idle worker without loaded models."""

    jobs: int
    memory: int
    """Resident bytes of the front, the only process then."""
    descriptors: int
    threads: int
    processes: int
    files: int
    """Temporary files."""


class Life:
    """A running soak: `live` runs some jobs and takes a sample."""

    def __init__(self, seed: int, place: Path, *, alignment: bool) -> None:
        self.run = Run(seed, place)
        self.rng = self.run.rng
        self.worker = self.run.worker("--cancel-grace", "0.3", "--max-models", "2")
        self.copies = [MODEL, shutil.copytree(MODEL, place / "other model")]
        self.samples: list[Sample] = []
        self.asked: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.lost = self.duplicated = 0
        self._open: list[int] = []
        self._wanted: list[tuple[Callable[[], int | None], float]] = [
            (self._ping, 30),
            (self._export, 25),
            (self._transcribe, 20),
            (self._transcribe_to_files, 6),
            (self._error, 15),
            (self._batch, 5),
            (self._rubbish, 5),
            (self._cancel, 8),
            (self._list, 3),
            (self._load, 2),
            (self._unload, 1),
            (self._abort, 1),
            (self._stream, 4),
        ]
        if alignment:
            self._wanted.append((self._align, 0.3))

    def live(self, jobs: int) -> None:
        """Send `jobs` requests, wait for all answers, unload every model, take a sample."""
        works, weights = zip(*self._wanted, strict=True)
        for work in self.rng.choices(works, weights, k=jobs):
            self.asked[work.__name__.strip("_").replace("_", " ")] += 1
            id_ = work()
            if id_ is not None:
                self._open.append(id_)
            if len(self._open) >= AT_ONCE:
                self.worker.wait(self._open.pop(0), timeout=_PATIENCE)
        self.worker.wait(*self.worker.sent, timeout=_PATIENCE)
        self._unload_all()
        self._open.clear()
        self._settle()
        self.samples.append(self._look())

    def end(self) -> None:
        """End the worker, and count what it leaves behind."""
        assert self.worker.finish() == 0
        tally = self.run.end()
        self.lost += tally.lost
        self.duplicated += tally.duplicated
        assert (tally.processes, tally.files) == (0, 0), self.run.strays

    def _unload_all(self) -> None:
        """Unload until no engine is left: a cancelled job may be answered but still ending."""
        give_up = time.monotonic() + 10
        while True:
            self.worker.ask("models/unload", {"whenBusy": "wait"})
            if len(self.run.processes()) == 1 or time.monotonic() > give_up:
                return
            time.sleep(0.1)

    def _settle(self) -> None:
        """Close the account so far: any later reply is a surplus one."""
        lost, duplicated = self.worker.count()
        self.lost += lost
        self.duplicated += duplicated
        for replies in self.worker.replies.values():
            self.answers.update(map(kind_of, replies))
        self.worker.sent.clear()
        self.worker.replies.clear()
        self.worker.messages.clear()

    def _look(self) -> Sample:
        pid = self.worker.pid
        time.sleep(0.3)  # let threads that have answered end
        return Sample(
            jobs=sum(self.asked.values()),
            memory=resident(pid),
            descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
            processes=len(self.run.processes()),
            files=len(self.run.files()),
        )

    # The kinds of requests. Each returns the id of its request, if it sent one.

    def _ping(self) -> int:
        return self.worker.send(self.rng.choice(["ping", "jobs/list"]))

    def _export(self) -> int:
        segment = {"start": 0.0, "end": 1.0, "text": "word " * self.rng.randrange(1, 20_000)}
        params: dict[str, Any] = {"transcript": {"segments": [segment]}}
        params["formats"] = self.rng.sample(["srt", "vtt", "txt", "json", "html"], 2)
        if self.rng.random() < 0.5:
            params |= {"outputDir": str(self.run.output), "name": "result"}
        return self.worker.send("export", params)

    def _transcribe(self) -> int:
        start = self.rng.uniform(0, 2)
        options: dict[str, Any] = {"start": start, "end": start + self.rng.uniform(0.2, 1)}
        if self.rng.random() < 0.3:
            options |= {"progressToken": 1, "partialResultToken": 2}
        return self._ask_for_speech(**options)

    def _transcribe_to_files(self) -> int:
        formats = {"formats": ["srt"], "outputDir": str(self.run.output), "name": "speech"}
        return self._ask_for_speech(end=self.rng.uniform(0.5, 1.5), **formats)

    def _align(self) -> int:
        params = {"audio": str(SPEECH), "text": "one two", "language": "en", "end": 1.0}
        return self.worker.send("align", {**params, "model": str(ALIGNMENT_MODEL)})

    def _error(self) -> int:
        method, params = self.rng.choice(
            [
                ("transcribe", {"audio": "no such file", "model": str(MODEL)}),
                ("transcribe", {"audio": __file__, "model": str(MODEL)}),
                ("transcribe", {"audio": str(SPEECH), "model": str(RECORDINGS)}),
                ("transcribe", {"audio": str(SPEECH), "beamSize": "wide"}),
                ("export", {"transcript": 1, "formats": []}),
                ("no such method", {}),
            ]
        )
        return self.worker.send(method, params)

    def _batch(self) -> int:
        members = [self.worker.request(self.rng.choice(["ping", "jobs/list"])) for _ in range(3)]
        lines = b",".join(line.rstrip() for _, line in members)
        self.worker.write(b"[%b]\n" % lines)
        return members[0][0]

    def _rubbish(self) -> None:
        self.worker.write(self.rng.randbytes(self.rng.randrange(500)).replace(b"\n", b"") + b"\n")

    def _cancel(self) -> int:
        id_ = self.rng.choice([self._transcribe, self._transcribe_to_files])()
        self.run.moment(0.1)
        self.worker.cancel(id_)
        return id_

    def _list(self) -> int:
        return self.worker.send("models/list", {"cachedOnly": True})

    def _load(self) -> int:
        params = {"model": str(self.rng.choice(self.copies)), "task": "recognition", "threads": 1}
        return self.worker.send("models/load", params)

    def _unload(self) -> int:
        busy = self.rng.choice(["refuse", "wait", "skip"])
        return self.worker.send("models/unload", {"whenBusy": busy})

    def _stream(self) -> int:
        stream = Stream(self.worker, f"stream {sum(self.asked.values())}")
        stream.say()
        ended = self.rng.random()
        if ended < 0.7:
            self.worker.send("live/finish", {"stream": stream.name})
        else:
            self.run.moment(0.5)
            self.worker.cancel(stream.id)
        return stream.id

    def _abort(self) -> None:
        engines = [pid for pid in self.run.processes() if pid != self.worker.pid]
        if engines:
            self.run.kill(self.rng.choice(engines), signal.SIGABRT)

    def _ask_for_speech(self, **options: Any) -> int:
        if self.rng.random() < 0.2:
            options["model"] = str(self.rng.choice(self.copies))
        if self.rng.random() < 0.3:
            options["priority"] = "batch"
        return self.worker.transcribe(**options)


class Trend(NamedTuple):
    """The course of one figure over the soak."""

    name: str
    first: float
    """Median of the first quarter of the samples."""
    last: float
    slope: float
    """Slope of the best-fitting line, per thousand jobs."""


def trends(samples: list[Sample]) -> list[Trend]:
    """The course of each figure, without the first sample, which precedes the first use of much."""
    samples = samples[1:]
    quarter = max(1, len(samples) // 4)
    jobs = [sample.jobs / 1000 for sample in samples]
    found = []
    for name in Sample._fields[1:]:
        values = [float(getattr(sample, name)) for sample in samples]
        slope = linear_regression(jobs, values).slope
        found.append(Trend(name, median(values[:quarter]), median(values[-quarter:]), slope))
    return found


def grown(samples: list[Sample], megabytes: float) -> list[str]:
    """The figures that grew, memory by more than some megabytes."""
    allowed = {"memory": megabytes * MB, "threads": 1.0}
    return [
        f"{trend.name}: {trend.first:g} → {trend.last:g}"
        for trend in trends(samples)
        if trend.last - trend.first > allowed.get(trend.name, 0.0)
    ]
