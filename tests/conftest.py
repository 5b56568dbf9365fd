"""What the tests share: the trained model, the recordings with their truth, and workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
