"""`python -m benchmarks.decoding`: reading a recording, beside `faster_whisper.decode_audio`.

Both give 16 kHz mono samples by PyAV. The worker also follows time stamps, compares channels and
survives damage; what that costs is the ratio of CPU times, in interleaved rounds, so that a busy
machine slows down both sides of a round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import conditions, median, median_ratio, number, table, versions, write_json
from tests.containers import RATE, Track, write
from worker.audio import Reading

_SUFFIXES = ("wav", "flac", "mp3", "m4a", "webm")


def main() -> int:
    """Measure, print the table, and return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each recording (10)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the values there")
    options = parser.parse_args()
    values: dict[str, Any] = {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        track = Track(_noise(options.minutes))
        for suffix in _SUFFIXES:
            path = str(write(Path(folder, f"a.{suffix}"), track))
            ours, theirs = _race(path, options.rounds)
            values[suffix] = {"worker": ours, "faster-whisper": theirs}
            ratio = median_ratio(ours, theirs)
            speed = 60 * options.minutes / median(ours)
            rows.append(
                [
                    suffix,
                    number(median(ours)),
                    number(median(theirs)),
                    f"{ratio:.2f}",
                    number(speed),
                ]
            )
    header = ["container", "worker, s", "faster-whisper, s", "ratio", "× real time"]
    print(conditions(versions(("av", "faster-whisper", "numpy"))))
    print(f"\n{table(header, rows)}")
    if options.json:
        write_json(options.json, {"command": sys.argv, "minutes": options.minutes, **values})
    return 0


def _race(path: str, rounds: int) -> tuple[list[float], list[float]]:
    """CPU seconds of both sides in each round."""
    from faster_whisper import decode_audio

    sides: list[Callable[[], object]] = [lambda: list(Reading(path)), lambda: decode_audio(path)]
    times: tuple[list[float], list[float]] = ([], [])
    for warm in (False, *(True,) * rounds):
        for side, found in zip(sides, times, strict=True):
            began = time.process_time()
            side()
            if warm:
                found.append(time.process_time() - began)
    return times


def _noise(minutes: float) -> Any:
    """Stereo noise of speech's loudness: int16, (2, n)."""
    samples = np.random.default_rng(0).normal(0, 2000, (2, round(60 * minutes * RATE)))
    return samples.astype(np.int16)


if __name__ == "__main__":
    sys.exit(main())
