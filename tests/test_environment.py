"""The probe through the worker: beside other work, cancellable, with the client's token."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from protocol.environment import DevicesResult, ProbeResult
from protocol.errors import RpcError
from tests.hub import serving
from tests.support import Session, children, wait_until_gone
from tests.test_probe import TORCH, Faults

Start = Callable[..., Session]


@pytest.fixture(autouse=True, scope="module")
def _on_the_cpu() -> None:
    """The probe looks for this machine's devices."""


@pytest.fixture(autouse=True)
def _without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it and what needs it is most of a probe; tests/test_probe.py does that."""
    Faults(tmp_path / "faults", monkeypatch).hide(*TORCH)


def test_the_probe_reports_progress_and_blocks_nothing(start: Start) -> None:
    session = start()
    probe = session.send("environment/probe", {"progressToken": "p"})
    devices = msgspec.convert(session.call("environment/devices"), DevicesResult)
    assert devices.cpu.threads >= 1
    assert session.call("ping") == {}
    result = msgspec.convert(session.result(probe, session._keep), ProbeResult)
    assert result.health_metrics.overall_score == 100
    status = {name: each.status for name, each in result.environments.items()}
    assert (status["worker"], status["fasterWhisper"]) == ("ready", "ready")
    values = [note["params"]["value"] for note in session.notifications]
    done = [value["percentage"] for value in values if value["kind"] == "report"]
    assert done == sorted(done)
    assert done[-1] == 100


def test_a_cancelled_probe_leaves_no_process(start: Start) -> None:
    session = start()
    probe = session.send("environment/probe", {"progressToken": "p"})
    session.wait_for(lambda m: m.get("params", {}).get("value", {}).get("kind") == "begin")
    while not (probing := children(session.process.pid)):
        assert session.call("ping") == {}
    session.cancel(probe)
    with pytest.raises(RpcError, match="cancelled"):
        session.result(probe, session._keep)
    wait_until_gone(probing)


def test_the_clients_token_is_checked_online_and_stays_secret(start: Start) -> None:
    secret = "hf_tokenThatTheProbeChecks"
    with serving() as hub:
        hub.accounts = {secret: "somebody"}
        session = start(env={**os.environ, "HF_ENDPOINT": hub.url})
        session.secrets.add(secret)
        session.call("initialize", {"hfToken": secret})
        result = session.call("environment/probe", {"online": True})
        assert f"Bearer {secret}" in hub.tokens
        assert result["hub"]["reachable"]
        assert result["hub"]["tokenValid"]
