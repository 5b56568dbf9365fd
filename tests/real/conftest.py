"""What the tests of real models share: where `make models` laid them."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.models import MODELS
from examples.models.laying import is_laid
from examples.models.things import THINGS


@pytest.fixture(scope="session")
def models() -> Path:
    """The directory of the real models and samples; it is an error when one of them lacks."""
    if not all(is_laid(thing.name) for thing in THINGS):
        pytest.fail("Run `make models` first.", pytrace=False)
    return MODELS
