"""Each kind of fault once; `python -m tests.faults` has many more. FAULT_SEED draws others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.kinds import KINDS, Kind, carry_out
from tests.faults.rig import Tally

SEED = int(os.environ.get("FAULT_SEED", "1"))


@pytest.mark.timeout(600)  # above the patience of a run
@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_promise(kind: Kind, tmp_path: Path) -> None:
    outcome = carry_out(kind, SEED, tmp_path / "run")
    assert not outcome.failure, f"seed {SEED}: {outcome.failure}"
    assert outcome.tally == Tally()
