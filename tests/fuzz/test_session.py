"""Sessions in random order: every request gets exactly one reply, and the worker ends properly."""

from __future__ import annotations

import pytest

from tests.fuzz.session import run


@pytest.mark.parametrize("sessions", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_every_request_has_one_reply(
    sessions: int,
) -> None:
    run(sessions, seed=1)
