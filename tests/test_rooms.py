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


FLOORS: tuple[tuple[str, ...], ...] = (
    ("protocol",),
    ("worker.system",),
    ("worker.models", "worker.session", "worker.stage_clock", "worker.client"),
    ("worker.audio", "worker.formats", "worker.probe", "worker.engines.contract"),
    ("worker.engines.common", "worker.managers", "worker.batch"),
    ("worker.engines.hub", "worker.engines.decoding", "worker.engines.lane", "worker.pipeline"),
    ("worker.live",),
    (
        "worker.engines.recognition",
        "worker.engines.alignment",
        "worker.engines.diarization",
        "worker.engines.host",
        "worker.methods",
    ),
    ("worker.front",),
    ("worker.cli",),
    ("worker.__main__",),
)
"""From the ground up: a room imports itself and rooms on lower floors, never a neighbour."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
STRANGERS = {
    "worker.probe": {"worker.session", "worker.audio", "worker.engines"},
    "worker.batch": {"worker.session", "worker.engines"},
    **{
        room: {f"worker.engines.{each}" for each in ("common", "hub", "decoding", "lane")}
        for room in (
            *("worker.managers", "worker.pipeline", "worker.live"),
            *("worker.methods", "worker.front"),
        )
    },
}
"""Lower floors that a room must not know all the same: the front is not an engine, for one."""


def imports_of(file: Path) -> set[str]:
    """What a file imports, wherever it does: modules, and names that may be modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room_of(module: str) -> str | None:
    """The room of a module; None for one of no room of ours, such as a bare package."""
    return next((room for room in FLOOR if f"{module}.".startswith(f"{room}.")), None)


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


def test_no_import_points_up_or_sideways() -> None:
    for file in sorted((ROOT / "worker").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        own = room_of(module)
        if own is None:
            assert not any(name.startswith("worker") for name in imports_of(file)), file
            continue
        for name in imports_of(file):
            other = room_of(name)
            if other and other != own:
                assert FLOOR[other] < FLOOR[own], f"{module} imports {name}"
                strangers = STRANGERS.get(own, set())
                assert not any(f"{name}.".startswith(f"{each}.") for each in strangers), (
                    f"{module} imports {name}"
                )


def test_every_module_has_a_room() -> None:
    for file in (ROOT / "worker").rglob("*.py"):
        if file.name != "__init__.py":
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            assert room_of(module), module


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
        "import worker.front, worker.formats.export, worker.pipeline.queue\n"
        "import worker.managers.engine_process, worker.managers.inventory\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not set(ast.literal_eval(done.stdout.decode())) & HEAVY


@pytest.mark.parametrize("kind", ["audio", "whisper", "faster-whisper", "live", "hub"])
def test_engines_import_their_libraries_with_the_work(kind: str) -> None:
    # So that a missing one is an error of the request, and not the end of the process.
    script = (
        "import sys, json\n"
        "from worker.engines import host\n"
        f"host._methods(host._engine({kind!r}))\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.decode()))
    assert not loaded & HEAVY


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
    # Null leaves these to the engine.
    decided = {"clip_timestamps", "vad_filter", "without_timestamps", "multilingual"}
    for name, parameter in inspect.signature(WhisperModel.transcribe).parameters.items():
        if name in {"self", "audio", "log_progress", *decided}:
            continue
        assert getattr(params, name) == parameter.default, name


def test_batched_mode_honours_an_option_or_reports_it_ignored() -> None:
    import re

    from faster_whisper import BatchedInferencePipeline
    from msgspec import structs

    from protocol.transcription import TranscribeParams
    from worker.engines.recognition.options import _BATCHED_IGNORES

    text = BatchedInferencePipeline.transcribe.__doc__ or ""
    unused = text.partition("Unused Arguments")[2].partition("Returns:")[0]
    documented = set(re.findall(r"^\s+(\w+): ", unused, re.MULTILINE))
    wire = {field.name: field.encode_name for field in structs.fields(TranscribeParams)}
    thresholds = {"compressionRatioThreshold", "logProbThreshold", "noSpeechThreshold"}
    # best_of is passed on to nothing either, though the documentation does not say so.
    honoured = {"bestOf", "maxInitialTimestamp", *thresholds}
    assert {wire[name] for name in documented} | {"bestOf"} == honoured | set(_BATCHED_IGNORES)
    assert not honoured & set(_BATCHED_IGNORES)
