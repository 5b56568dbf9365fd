"""What the tests share: the trained model, the recordings with their truth, and workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import MODEL, TOKEN, WORKER, Session, load_truth, long_recording

# On a busy machine an example may take any time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "TRANSCRIPTION_WORKER_")
"""Prefixes of the developer's variables that would change what the worker does."""

MODULES_OF_FULL = (
    *("align_languages", "alignment", "batch_threads", "diarization", "live_models"),
    *("live_stages", "long_diarization", "pipeline", "privacy", "ray", "score"),
    *("speaker_clustering", "whisperx"),
)
"""Modules whose tests need more than the flavour `lite`, which leaves them out."""

TESTS_OF_FULL = (
    "test_catalogue.py::test_alignment_models_by_language*",
    "test_catalogue.py::test_torchaudios_bundles*",
    "test_checkpoints.py::test_a_killed_whole_job*",
    "test_cuda.py::test_preloaded_cuda_libraries*",
    "test_cuda.py::test_whisperx*",
    "test_freezing.py::test_excluded_packages_may_be_missing",
    "test_memory_savings.py::test_alignment*",
    "test_memory_savings.py::test_diarization*",
    "test_openrpc.py::test_example_of_a_method_is_true[[]align]",
    "test_openrpc.py::test_example_of_a_method_is_true[[]diarize]",
    "test_openrpc.py::test_example_of_a_method_is_true[[]speakers/enroll]",
    "test_overtaking.py::test_a_whole_job*",
    "test_probe.py::test_a_shared_cause_comes_first",
    "test_probe.py::test_a_working_machine_scores_100",
    "test_probe.py::test_an_unusable_device*",
    "test_probe.py::test_one_full_package*",
    "test_probe.py::test_pyannote*",
    "test_probe.py::test_required_packages*",
    "test_probe.py::test_torch*",
    "test_prompts.py::*whisperx*",
    "test_readme.py::test_block_runs_as_it_stands[[]worker/README.md:*",
    "test_shell.py::test_recipe_prints_what_is_written_below_it[[]examples/shell/README.md:2*",
    "test_speakers.py::test_whisperx*",
    "test_voices.py::test_a_voice_print_is_private",
    "test_voices.py::test_enrolled_voices*",
    "test_voices.py::test_speakers_of_a_stream*",
    "test_voices.py::test_too_little_speech*",
)
"""Patterns of such tests in other modules."""

FULL = all(find_spec(name) for name in ("torch", "pyannote", "whisperx"))
collect_ignore = [] if FULL else [f"test_{name}.py" for name in MODULES_OF_FULL]
if sys.platform != "win32":
    collect_ignore.append("test_on_windows.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if FULL:
        return
    out = [each for each in items if any(fnmatch(each.nodeid, f"*{it}") for it in TESTS_OF_FULL)]
    config.hook.pytest_deselected(items=out)
    items[:] = [each for each in items if each not in out]


@pytest.fixture(scope="session")
def truth() -> dict[str, Any]:
    """What is said in each recording, by file name."""
    return load_truth()


@pytest.fixture
def start() -> Iterator[Callable[..., Session]]:
    """Start worker sessions that end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Session([*WORKER, *args], **kwargs))


@pytest.fixture(scope="module")
def worker() -> Iterator[Session]:
    """A session shared by the tests of a module, with the model loaded after the first job."""
    with Session(WORKER) as session:
        yield session


@pytest.fixture(scope="session")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Minutes of speech, to be interrupted."""
    return long_recording(tmp_path_factory.mktemp("long") / "long.wav")


@pytest.fixture(autouse=True, scope="session")
def _isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty model cache, an unreachable hub, a token that must not leak, no proxy."""
    changes = {
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path_factory.mktemp("hub")),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name, value in changes.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True, scope="module")
def _on_the_cpu() -> Iterator[None]:
    """Hide CUDA devices: `auto` would use them, and words and times would differ.

    Modules about devices override this.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """What a shell runs in the background ignores Ctrl-C, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"worker: {' '.join(WORKER)}; model: {MODEL}"
