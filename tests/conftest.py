"""What the tests share: the trained model, the recordings with their truth, and workers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import MODEL, TOKEN, WORKER, Session, load_truth, long_recording


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
def _isolated_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty model cache, a hub that nobody answers for, and a token that nobody may see."""
    changes = {
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path_factory.mktemp("hub")),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """What a shell runs in the background ignores Ctrl-C, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"worker: {' '.join(WORKER)}; model: {MODEL}"
