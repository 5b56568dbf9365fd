"""Fixtures for tests with real models: the models of `make models`, and recordings.

The samples that `make models` installs and the telephone call that pyannote.audio ships always
exist. REAL_RECORDINGS names a directory with more, in the format of `benchmarks/real`
(manifest.jsonl and its files); without it, their tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from examples.models import MODELS, call
from examples.models.assets import ASSETS
from examples.models.install import is_installed

RECORDINGS = os.environ.get("REAL_RECORDINGS")


@pytest.fixture(scope="session")
def models() -> Path:
    """The directory of real models and samples; fails if one is missing."""
    if not all(is_installed(asset.name) for asset in ASSETS):
        pytest.fail("Run `make models` first.", pytrace=False)
    return MODELS


@pytest.fixture(scope="session")
def telephone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A telephone call of two people, 30 s; the first speaks after 6.7 s.

    It is a copy, because the frozen program cannot see the environment of the original.
    """
    source = call() / "sample.wav"
    return Path(shutil.copy(source, tmp_path_factory.mktemp("telephone")))


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The directory of more recordings."""
    if not RECORDINGS:
        pytest.skip("REAL_RECORDINGS names no directory of recordings")
    return Path(RECORDINGS)


def pytest_report_header() -> str:
    return f"more recordings: {RECORDINGS or 'none'}"
