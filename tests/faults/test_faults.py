"""Runs each kind of fault once; `python -m tests.faults` runs many. FAULT_SEED draws other ones.

Other tests check most promises about clients and engines once, at a chosen moment: those
faults are the slow ones here. No other test checks the rest.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import clients, engines, storage, surroundings
from tests.faults.kinds import KINDS, Kind, carry_out
from tests.faults.rig import Tally

QUICK = {
    *(kind for kind in KINDS if kind.__module__ in (storage.__name__, surroundings.__name__)),
    clients.a_client_that_stops_reading_gets_everything_later_and_memory_stays_bounded,
    engines.an_engine_whose_memory_is_limited_is_one_typed_error,
    engines.what_an_engine_prints_from_c_is_not_in_the_stream,
}
SEED = int(os.environ.get("FAULT_SEED", "1"))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, id=kind.__name__, marks=() if kind in QUICK else pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_promise(kind: Kind, tmp_path: Path) -> None:
    outcome = carry_out(kind, SEED, tmp_path / "run")
    assert not outcome.failure, f"seed {SEED}: {outcome.failure}"
    assert outcome.tally == Tally()
