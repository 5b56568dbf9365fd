"""Sessions in any order: every request has exactly one reply, and the end is as promised."""

from __future__ import annotations

import pytest

from tests.fuzz.session import run


@pytest.mark.timeout(600)  # for machines that do much else
def test_whatever_a_client_sends_each_request_has_one_reply_and_the_end_its_code() -> None:
    run(20, seed=1)
