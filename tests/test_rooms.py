"""The rooms of the code: who may know of whom, and what the front may weigh."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    *("numpy", "torch", "av", "ctranslate2", "faster_whisper", "onnxruntime", "tokenizers"),
    *("torchaudio", "transformers", "whisperx", "pyannote", "pandas"),
}


def imports_of(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize(
    ("room", "unknown"),
    [
        ("protocol", {"worker", "examples", "tests", "benchmarks", "jsonrpcserver"}),
        ("worker", {"examples", "tests", "benchmarks"}),
        ("examples", {"tests"}),
    ],
)
def test_dependencies_point_one_way(room: str, unknown: set[str]) -> None:
    for file in (ROOT / room).rglob("*.py"):
        assert not {name.partition(".")[0] for name in imports_of(file)} & unknown, file


def test_the_front_imports_nothing_heavy_and_jsonrpcserver_only_for_work() -> None:
    script = (
        "import sys, json\n"
        "import worker.front\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.decode()))
    assert "msgspec" in loaded
    assert not loaded & (
        HEAVY | {"jsonrpcserver", "subprocess", "argparse", "logging", "asyncio", "ctypes"}
    )


def test_the_whole_job_brings_nothing_heavy_into_the_front() -> None:
    script = (
        "import sys, json\n"
        "import worker.front, worker.formats.export, worker.pipeline.pipelines\n"
        "import worker.engines.process, worker.managers.inventory\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not set(ast.literal_eval(done.stdout.decode())) & HEAVY


@pytest.mark.parametrize("kind", ["audio", "whisper", "hub"])
def test_engines_that_need_no_torch_import_none(kind: str) -> None:
    script = (
        "import sys, json\n"
        "from worker.engines import host\n"
        f"host._methods({kind!r})\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.decode()))
    assert not loaded & {"torch", "torchaudio", "transformers", "whisperx", "pyannote"}


def test_every_option_of_faster_whisper_can_be_given() -> None:
    import inspect

    from faster_whisper import BatchedInferencePipeline, WhisperModel

    from protocol.transcription import TranscribeParams

    ours = set(TranscribeParams.__struct_fields__)
    theirs = {
        name
        for pipeline in (WhisperModel, BatchedInferencePipeline)
        for name in inspect.signature(pipeline.transcribe).parameters
    }
    assert theirs - ours == {"self", "log_progress"}


def test_defaults_are_those_of_faster_whisper() -> None:
    import inspect

    from faster_whisper import WhisperModel

    from protocol.transcription import TranscribeParams

    params = TranscribeParams(audio="x")
    for name, parameter in inspect.signature(WhisperModel.transcribe).parameters.items():
        if name in ("self", "audio", "log_progress", "clip_timestamps", "vad_filter"):
            continue
        assert getattr(params, name) == parameter.default, name


def test_what_the_package_ignores_in_batched_mode_is_honoured_or_said_to_be_ignored() -> None:
    import re

    from faster_whisper import BatchedInferencePipeline
    from msgspec import structs

    from protocol.transcription import TranscribeParams
    from worker.engines.whisper_options import _BATCHED_IGNORES

    text = BatchedInferencePipeline.transcribe.__doc__ or ""
    unused = text.partition("Unused Arguments")[2].partition("Returns:")[0]
    documented = set(re.findall(r"^\s+(\w+): ", unused, re.MULTILINE))
    wire = {field.name: field.encode_name for field in structs.fields(TranscribeParams)}
    thresholds = {"compressionRatioThreshold", "logProbThreshold", "noSpeechThreshold"}
    # best_of is passed on to nothing either, though the documentation does not say so.
    honoured = {"bestOf", "maxInitialTimestamp", *thresholds}
    assert {wire[name] for name in documented} | {"bestOf"} == honoured | set(_BATCHED_IGNORES)
    assert not honoured & set(_BATCHED_IGNORES)
