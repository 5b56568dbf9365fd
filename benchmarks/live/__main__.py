"""`python -m benchmarks.live`: delays, errors and costs of live recognition on real speech.

The recordings are those of benchmarks/real, fed as by a microphone at simulated real time
(`simulate`), with one thread. Delays count from the end of each word, as the same model heard it
offline; errors are compared with that result, and with the truth. The first table has the worker,
the worker without interim results, and whisper_streaming's policy. The second has ten minutes
without speech, the third a minute through the worker, in real time, and with an engine that is
killed; the last three hours of which most is silence.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import (
    check_material,
    conditions,
    material_options,
    offline_environment,
    percentile,
    say,
    table,
    versions,
    write_json,
)
from benchmarks.live import wire
from benchmarks.live.measures import Delays, delays
from benchmarks.live.simulate import Recogniser, Run, simulate
from benchmarks.live.whisper_streaming import WhisperStreaming
from benchmarks.real.score import word_errors
from benchmarks.real.sounds import Sounds, at_level, hum
from benchmarks.real.truth import Recording, load_manifest
from worker.audio import SAMPLE_RATE, decode
from worker.client import Client
from worker.engines.common.speech import Detector
from worker.engines.recognition.live.events import Language, LiveSegment
from worker.engines.recognition.live.listener import WhisperListener
from worker.engines.recognition.live.recogniser import LiveOptions, LiveRecogniser
from worker.engines.recognition.whisper.model import load_encoding_singly

_PACKAGES: Final = ("faster-whisper", "ctranslate2")
_SHORTEST: Final = 5.0  # seconds of a recording
_OTHERS: Final = 4  # recordings in other languages, of different ones
_AFTER: Final = 1.5  # seconds of silence after a recording
_SOUND: Final = 120.0  # seconds of each sound without speech
_HOUR: Final = 3600
_END_SILENCE: Final = LiveOptions().voice.end_silence

Policy = Callable[[str | None], Recogniser]
"""Makes a recogniser for a language; None to detect it."""


@dataclass
class Result:
    """What a policy did with some recordings. Errors are of `reference` words."""

    delays: Delays
    seconds: float = 0.0
    cpu: float = 0.0
    reference: int = 0
    errors: int = 0
    offline_errors: int = 0
    differing: int = 0
    """Words that differ from the offline result."""
    texts: dict[str, str] | None = None

    @property
    def wer(self) -> float:
        """Percent of the words that are wrong."""
        return 100 * self.errors / self.reference

    @property
    def offline_wer(self) -> float:
        """The same, of the offline result."""
        return 100 * self.offline_errors / self.reference


def main() -> int:
    """Measure, print the tables, and return 0."""
    options = _arguments()
    say("loading the model …")
    model = load_encoding_singly(
        str(options.model),
        device="cpu",
        device_index=0,
        compute_type="int8",
        cpu_threads=1,
        local_files_only=True,
    )
    policies: dict[str, Policy] = {
        "**worker**": lambda language: _worker(model, LiveOptions(language)),
        "**worker**, without interims": lambda language: _worker(
            model, LiveOptions(language, interim=False)
        ),
        "whisper_streaming's policy": lambda language: WhisperStreaming(model, language or "en"),
    }
    command = shlex.join(["python", "-m", "benchmarks.live", *sys.argv[1:]])
    print(
        f"`{command}`: model {options.model.name}, int8, one thread; encoding 8 s takes "
        f"{_encoding(model):.0f} ms. {conditions(versions(_PACKAGES))}.\n"
    )
    document: dict[str, Any] = {"command": sys.argv}
    english, others = _chosen(options.recordings)
    if options.only in (None, "speech"):
        offline = _offline(options.model, [*english, *others])
        results: dict[str, Result] = {}
        for name, policy in policies.items():
            results[name] = _measure(name, policy, english, offline)
            document["speech"] = {key: asdict(result) for key, result in results.items()}
            _keep(options.json, document)
        foreign = _measure("other languages", policies["**worker**"], others, offline)
        print(_speech_table(results), flush=True)
        print(f"\n{_foreign(foreign, others)}\n", flush=True)
        print(_goals(results["**worker**"]), flush=True)
        document["other languages"] = asdict(foreign)
    if options.only in (None, "silence"):
        print(f"\n{_sounds_table(policies['**worker**'])}", flush=True)
    if options.only in (None, "wire"):
        print(f"\n{_wire_table(options.model, english)}", flush=True)
    if options.only in (None, "memory"):
        print(f"\n{_memory_table(policies['**worker**'], english, options.hours)}", flush=True)
    _keep(options.json, document)
    return 0


def _keep(path: Path | None, document: dict[str, Any]) -> None:
    if path:
        write_json(path, document)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    material_options(parser)
    parser.add_argument("--only", choices=("speech", "silence", "wire", "memory"))
    parser.add_argument("--hours", type=int, default=3, help="length of the long stream")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("this reads memory from Linux")
    check_material(parser, options)
    return options


def _worker(model: Any, options: LiveOptions) -> LiveRecogniser:
    return LiveRecogniser(WhisperListener(model), Detector(), options)


def _encoding(model: Any) -> float:
    """Milliseconds of CPU time: how fast the machine is at the moment."""
    took = []
    for number in range(7):
        features = np.full((1, model.model.n_mels, 800), number, np.float32)
        started = time.process_time()
        model.model.encode(features)
        took.append(time.process_time() - started)
    return 1000 * percentile(took, 50)


def _chosen(directory: Path) -> tuple[list[Recording], list[Recording]]:
    """English recordings that are long enough, each text once; and some in other languages."""
    english: dict[str, Recording] = {}
    others: dict[str, Recording] = {}
    for recording in load_manifest(directory).values():
        if recording.text and recording.duration >= _SHORTEST and "+" not in recording.language:
            if recording.language == "en":
                english.setdefault(recording.text, recording)
            else:
                others.setdefault(recording.language, recording)
    return list(english.values()), list(others.values())[:_OTHERS]


def _offline(model: Path, recordings: Sequence[Recording]) -> dict[str, dict[str, Any]]:
    """What the worker's recogniser for files makes of the recordings."""
    say("offline …")
    params = {
        "model": str(model),
        "device": "cpu",
        "computeType": "int8",
        "threads": 1,
        "wordTimestamps": True,
    }
    found = {}
    with Client(env=offline_environment()) as client:
        for recording in recordings:
            id_ = client.send("transcribe", {**params, "audio": str(recording.path)})
            found[recording.id] = client.result(id_)
    return found


def _measure(
    name: str,
    policy: Policy,
    recordings: Sequence[Recording],
    offline: dict[str, dict[str, Any]],
) -> Result:
    result = Result(Delays(), texts={})
    for recording in recordings:
        samples = np.concatenate([decode(str(recording.path)), _silence(_AFTER)])
        run = simulate(policy(None), samples)
        expected = offline[recording.id]
        words = [word for segment in expected["segments"] for word in segment["words"]]
        result.delays += delays(run, words)
        language = recording.text_language
        errors, count = word_errors(recording.text, run.text, language)
        result.reference += count
        result.errors += errors
        result.offline_errors += word_errors(recording.text, expected["text"], language)[0]
        result.differing += word_errors(expected["text"], run.text, language)[0]
        result.seconds += recording.duration
        result.cpu += run.cpu
        assert result.texts is not None
        result.texts[recording.id] = f"{_language(run)}: {run.text}"
        say(f"  {name}, {recording.id}: {run.cpu / run.seconds:.2f} s of CPU per second")
    return result


def _language(run: Run) -> str:
    told = [t.event.language for t in run.told if isinstance(t.event, Language)]
    segments = [t.event.language for t in run.told if isinstance(t.event, LiveSegment)]
    return (told or segments or ["none"])[-1]


def _speech_table(results: dict[str, Result]) -> str:
    header = (
        f"{next(iter(results.values())).seconds:.0f} s of speech",
        "word end → final, p50 / p95 s",
        "→ first shown, p50 / p95 s",
        "end of voice → final, p95 s",
        "WER %",
        "offline %",
        "differing %",
        "erased per word",
        "final, then revised",
        "CPU s per s",
    )
    rows = []
    for name, result in results.items():
        found = result.delays
        rows.append(
            (
                name,
                f"{_both(found.commit)}",
                f"{_both(found.shown)}",
                f"{percentile(found.ended, 95):.2f}",
                f"{result.wer:.1f}",
                f"{result.offline_wer:.1f}",
                f"{100 * result.differing / result.reference:.1f}",
                f"{found.erased / found.words:.2f}",
                str(found.revised),
                f"{result.cpu / result.seconds:.2f}",
            )
        )
    return table(header, rows)


def _both(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):.2f} / {percentile(values, 95):.2f}"


def _foreign(result: Result, recordings: Sequence[Recording]) -> str:
    languages = ", ".join(recording.language for recording in recordings)
    right = sum(
        (result.texts or {})[recording.id].startswith(f"{recording.text_language}:")
        for recording in recordings
    )
    return (
        f"Other languages ({languages}; {right} of {len(recordings)} detected): "
        f"WER {result.wer:.1f} %, offline {result.offline_wer:.1f} %; word end → final "
        f"{_both(result.delays.commit)} s."
    )


def _goals(result: Result) -> str:
    found = result.delays
    beyond = percentile(found.ended, 95) - _END_SILENCE
    goals: list[tuple[str, float, float, str]] = [
        ("word end → final, p50", percentile(found.commit, 50), 1.2, "s"),
        ("the same, p95", percentile(found.commit, 95), 2.0, "s"),
        ("word end → first shown, p50", percentile(found.shown, 50), 0.6, "s"),
        (f"end of voice → final, p95, beyond {_END_SILENCE} s", beyond, 0.5, "s"),
        ("WER beyond that of the same model offline", result.wer - result.offline_wer, 2.0, "%"),
        ("CPU per second of speech", result.cpu / result.seconds, 0.35, "s"),
        ("words revised after they were final", found.revised, 0, ""),
    ]
    rows = [
        (
            name,
            f"≤ {goal:g} {unit}",
            f"{value:.2f} {unit}" if value <= goal else f"**{value:.2f} {unit}: missed**",
        )
        for name, value, goal, unit in goals
    ]
    return table(("goal", "target", "measured"), rows)


def _sounds_table(policy: Policy) -> str:
    rows = []
    for name, samples in _sounds():
        run = simulate(policy(None), samples)
        shown = {
            (told.event.id, word.word)
            for told in run.told
            if isinstance(told.event, LiveSegment)
            for word in told.event.words
        }
        rows.append((name, str(len(run.words)), str(len(shown)), f"{run.cpu / run.seconds:.4f}"))
        say(f"  {name}: {run.text}")
    return table((f"{_SOUND:.0f} s of", "final words", "words shown", "CPU s per s"), rows)


def _sounds() -> Iterator[tuple[str, Any]]:
    count = round(_SOUND * SAMPLE_RATE)
    sounds = Sounds(7)
    yield "silence", np.zeros(count, np.float32)
    yield "pink noise", at_level(sounds.pink(count), -35).astype(np.float32)
    yield "hum", at_level(hum(count), -30).astype(np.float32)
    yield "music", at_level(sounds.music(count), -20).astype(np.float32)
    yield "clicks of keys", at_level(sounds.typing(count), -30).astype(np.float32)


def _wire_table(model: Path, recordings: Sequence[Recording]) -> str:
    """A minute of speech through the worker, and the same with an engine that is killed."""
    speech = np.concatenate([decode(str(recording.path)) for recording in recordings])
    speech = np.concatenate([speech[: 60 * SAMPLE_RATE], _silence(_AFTER)])
    seconds = len(speech) / SAMPLE_RATE
    plain, killed = wire.run(model, speech), wire.run(model, speech, kill=True)
    latency = plain.result["latency"]
    rows = [
        ("word end → first shown, p50 / p95 s", _told_delay(latency["shown"])),
        ("word end → final, p50 / p95 s", _told_delay(latency["final"])),
        ("front, CPU s per s", f"{plain.front_cpu / seconds:.4f}"),
        ("engine, CPU s per s", f"{plain.engine_cpu / seconds:.2f}"),
        ("front, resident MB", f"{plain.front_memory / 1e6:.0f}"),
        ("engine killed → model loaded, s", f"{killed.load:.2f}"),
        ("engine killed → words up to date, s", f"{killed.caught_up:.2f}"),
        ("words, and with a killed engine", f"{_words(plain)}, {_words(killed)}"),
    ]
    return table((f"{seconds:.0f} s through the worker", "measured"), rows)


def _told_delay(delay: dict[str, float]) -> str:
    return f"{delay['p50']:.2f} / {delay['p95']:.2f}"


def _words(seen: wire.Seen) -> int:
    return sum(len(segment["words"]) for segment in seen.result["segments"])


def _memory_table(policy: Policy, recordings: Sequence[Recording], hours: int) -> str:
    """Twenty seconds of speech every ten minutes."""
    speech = np.concatenate([decode(str(recording.path)) for recording in recordings])
    speech = speech[: 20 * SAMPLE_RATE]
    recogniser = policy(None)
    rows = []
    for hour in range(hours + 1):
        # The first minutes make room for what every stream needs.
        spans = 6 if hour else 1
        started, words = time.process_time(), 0
        for _ in range(spans):
            words += _feed(recogniser, speech)
            for _ in range(580):
                words += _feed(recogniser, _silence(1.0))
        seconds = spans * 600
        cpu = (time.process_time() - started) / seconds
        rows.append((f"hour {hour}" if hour else "start", str(words), f"{cpu:.4f}", _resident()))
        say(f"  {rows[-1]}")
    return table(("long stream", "final words", "CPU s per s", "resident MB"), rows)


def _feed(recogniser: Recogniser, samples: Any) -> int:
    """Feed samples in chunks; return how many words became final with their segments."""
    words = 0
    for place in range(0, len(samples), 1600):
        recogniser.feed(samples[place : place + 1600])
        while (events := recogniser.step()) is not None:
            segments = [event for event in events if isinstance(event, LiveSegment)]
            words += sum(len(segment.words) for segment in segments if segment.final)
    return words


def _resident() -> str:
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return f"{int(line.split()[1]) / 1024:.1f}"


def _silence(seconds: float) -> Any:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


if __name__ == "__main__":
    started = time.perf_counter()
    code = main()
    say(f"took {time.perf_counter() - started:.0f} s")
    sys.exit(code)
