"""The probe through the worker: beside other work, cancellable, with the client's token."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import pytest

from protocol.environment import DevicesResult, ProbeResult
from protocol.errors import RpcError
from tests.hub import serving
from tests.support import Session, children, wait_until_gone

Start = Callable[..., Session]


def test_devices_are_told_while_the_probe_goes_on_and_so_is_its_progress(start: Start) -> None:
    session = start()
    probe = session.send("environment/probe", {"progressToken": "p"})
    devices = msgspec.convert(session.call("environment/devices"), DevicesResult)
    assert devices.cpu.threads >= 1
    assert session.call("ping") == {}
    result = msgspec.convert(session.result(probe, session._keep), ProbeResult)
    assert result.health_metrics.overall_score == 100
    assert {name: each.status for name, each in result.environments.items()} == dict.fromkeys(
        result.environments, "ready"
    )
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
    assert wait_until_gone(probing, 5) == []


def test_the_clients_token_is_checked_online_and_not_told(start: Start) -> None:
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
