"""What the tests of a device share: the device, a warm worker, and what it finds on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.cuda_device.smi import memory
from tests.support import Session


@pytest.fixture(scope="session", autouse=True)
def device() -> str:
    """The first device's name; there is nothing to test without one."""
    try:
        return memory().name
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        pytest.exit(f"there is no CUDA device: {error}", returncode=1)


@pytest.fixture(scope="module", autouse=True)
def _on_the_cpu() -> None:
    """These tests need the device."""


@pytest.fixture(scope="session")
def warm() -> Iterator[Session]:
    """A worker that keeps its models."""
    with Session() as session:
        yield session


@pytest.fixture
def full() -> Callable[[int], AbstractContextManager[int]]:
    """Fill the device, but for so many MiB, with another process; tells the bytes that are free."""
    return _fill


@contextmanager
def _fill(left: int) -> Iterator[int]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.cuda_device.hold", str(left)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdin and process.stdout
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(60)
