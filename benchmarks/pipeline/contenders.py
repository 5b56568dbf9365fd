"""The programs under comparison, each behind the same interface."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.common import ROOT, Lines, offline_environment
from benchmarks.pipeline.tree import Tree
from worker.client import Client

BATCH: Final = 8
_HERE: Final = Path(__file__).parent


@dataclasses.dataclass
class Models:
    """The folders of the models of one size, and the device that runs them."""

    whisper: Path
    alignment: Path
    diarization: Path
    device: str = "cpu"

    @property
    def compute_type(self) -> str:
        """The packages' default on this device, or the fastest type."""
        return "float16" if self.device == "cuda" else "int8"


@dataclasses.dataclass
class Round:
    """The cost of one run over the recordings, in seconds and megabytes."""

    wall: float
    cpu: float
    first: float | None
    """Seconds until the first segment was available."""
    peak: float
    device_peak: float = 0.0


class Contender(Protocol):
    """A measured program."""

    name: str

    def run(self, files: Sequence[Path], *, whole: bool) -> Round:
        """Process all recordings; `whole` includes alignment and speakers."""

    def close(self) -> None:
        """End the program."""


class Worker:
    """This worker, warm."""

    name = "this worker"

    def __init__(self, models: Models, threads: int) -> None:
        self._recognise: dict[str, Any] = {
            "engine": "faster-whisper",  # random weights have no attention to time words by
            "model": str(models.whisper),
            "language": "en",
            "computeType": models.compute_type,
            "threads": threads,
            "batchSize": BATCH,
            "withoutTimestamps": True,
            "temperature": 0,
            "device": models.device,
            "keepAlive": "forever",
            "partialResultToken": 1,
        }
        self._whole = {
            "align": {"model": str(models.alignment), "device": models.device},
            "diarize": {"model": str(models.diarization), "device": models.device},
        }
        self.client = Client(env=offline_environment())
        self.results: list[dict[str, Any]] = []
        """The transcripts of the last run."""
        self.tree = Tree(self.client.process.pid, models.device)

    def run(self, files: Sequence[Path], *, whole: bool) -> Round:
        params = {**self._recognise, **(self._whole if whole else {})}
        self.tree.forget_peaks()
        cpu, started = self.tree.cpu_seconds, time.perf_counter()
        first: list[float] = []

        def see(method: str, params: Any) -> None:
            if "segments" in params["value"] and not first:
                first.append(time.perf_counter() - started)

        asked = [self.client.send("transcribe", {**params, "audio": str(f)}) for f in files]
        self.results = [self.client.result(id_, see) for id_ in asked]
        wall = time.perf_counter() - started
        cpu = self.tree.cpu_seconds - cpu
        seen = first[0] if first else None
        return Round(wall, cpu, seen, self.tree.peak, self.tree.device_peak)

    def close(self) -> None:
        self.tree.stop()
        self.client.close()


class Script:
    """A package in one of our scripts, which keeps its models loaded."""

    def __init__(self, name: str, script: str, models: Models, *arguments: str) -> None:
        self.name = name
        self._lines = Lines(
            [
                *(sys.executable, str(_HERE / script)),
                *(models.device, models.compute_type, *arguments),
            ]
        )
        self._tree = Tree(self._lines.pid, models.device)
        self._lines.answer()

    def run(self, files: Sequence[Path], *, whole: bool) -> Round:
        self._tree.forget_peaks()
        cpu, started = self._tree.cpu_seconds, time.perf_counter()
        first = None
        for file in files:
            self._lines.ask({"audio": str(file), "batch": BATCH, "whole": whole})
            self._lines.answer()
            first = first or time.perf_counter() - started
            self._lines.answer()
        wall = time.perf_counter() - started
        cpu = self._tree.cpu_seconds - cpu
        return Round(wall, cpu, first, self._tree.peak, self._tree.device_peak)

    def close(self) -> None:
        self._tree.stop()
        self._lines.close()


def faster_whisper(models: Models, threads: int) -> Script:
    """faster-whisper's batched pipeline."""
    script = "faster_whisper_script.py"
    return Script(
        "faster-whisper, batched, warm", script, models, str(models.whisper), str(threads)
    )


def whisperx(models: Models, threads: int) -> Script:
    """The whisperx package."""
    paths = (str(models.whisper), str(models.alignment), str(models.diarization))
    return Script("whisperx package, warm", "whisperx_script.py", models, *paths, str(threads))


class Command:
    """The whisperx command line, which reloads its models: one command for all files, or one each.

    It needs ffmpeg, which a few lines around PyAV replace if it is not installed, and nltk's
    sentence splitter, which it would download: it gets an untrained one.
    """

    def __init__(self, models: Models, threads: int, *, one_a_file: bool) -> None:
        self.name = "whisperx command, one a file" if one_a_file else "whisperx command, one"
        self._one_a_file = one_a_file
        self._scratch = tempfile.TemporaryDirectory()
        self._command = [
            str(Path(sys.executable).with_name("whisperx")),
            *("--model", str(models.whisper), "--align_model", str(models.alignment)),
            *("--diarize_model", str(models.diarization), "--device", "cpu"),
            *("--compute_type", "int8", "--threads", str(threads), "--language", "en"),
            *("--batch_size", str(BATCH), "--output_dir", self._scratch.name),
            *("--output_format", "json", "--verbose", "False"),
            "--temperature_increment_on_fallback=0.2",
        ]
        self._environment = offline_environment() | _stand_ins(Path(self._scratch.name))

    def run(self, files: Sequence[Path], *, whole: bool) -> Round:
        stages = ["--diarize"] if whole else ["--no_align"]
        groups = [[file] for file in files] if self._one_a_file else [list(files)]
        started, cpu, peak = time.perf_counter(), 0.0, 0.0
        for group in groups:
            process = subprocess.Popen(
                [*self._command, *stages, *map(str, group)],
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            tree = Tree(process.pid)
            assert process.stderr
            written = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            tree.stop()
            process.returncode = os.waitstatus_to_exitcode(status)
            process.stderr.close()
            if process.returncode or "Traceback" in written:
                raise RuntimeError(f"{self.name} failed: {written[-2000:]}")
            cpu += usage.ru_utime + usage.ru_stime
            peak = max(peak, tree.peak)
        return Round(time.perf_counter() - started, cpu, None, peak)

    def close(self) -> None:
        self._scratch.cleanup()


def _stand_ins(folder: Path) -> dict[str, str]:
    """An environment in which whisperx finds ffmpeg and its data."""
    import shutil

    import nltk.data
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    nltk.data.path.append(str(folder / "nltk"))  # nltk only writes to folders in its path
    punkt = folder / "nltk" / "tokenizers" / "punkt_tab" / "english"
    punkt.mkdir(parents=True)
    save_punkt_params(PunktParameters(), str(punkt))
    changes = {"NLTK_DATA": str(folder / "nltk")}
    if not shutil.which("ffmpeg"):
        script = folder / "bin" / "ffmpeg"
        script.parent.mkdir()
        script.write_text(
            f"#!{sys.executable}\n"
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from worker.audio import stream\n"
            "path = sys.argv[sys.argv.index('-i') + 1]\n"
            "for block in stream(path): sys.stdout.buffer.write(block.tobytes())\n"
        )
        script.chmod(0o755)
        changes["PATH"] = f"{script.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return changes
