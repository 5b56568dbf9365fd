"""What cannot be had on a device is an error of its own kind, with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import RpcError
from tests.support import ALIGNMENT_MODEL, DIARIZATION_MODEL, MODEL, RECORDINGS, Session

MODELS: list[dict[str, Any]] = [
    {"task": "recognition", "model": str(MODEL)},
    {"task": "alignment", "model": str(ALIGNMENT_MODEL), "language": "en"},
    {"task": "diarization", "model": str(DIARIZATION_MODEL)},
]


@pytest.mark.parametrize("model", MODELS, ids=lambda each: str(each["task"]))
def test_a_device_that_is_not_there_names_how_many_are(
    warm: Session, model: dict[str, Any]
) -> None:
    with pytest.raises(RpcError) as caught:
        warm.call("models/load", {**model, "device": "cuda", "deviceIndex": 99})
    assert caught.value.kind == "device_unavailable"
    assert "no CUDA device 99" in caught.value.message
    assert caught.value.data["remedy"]


@pytest.mark.parametrize("model", MODELS, ids=lambda each: str(each["task"]))
def test_auto_takes_the_cpu_where_that_device_is_not_there(
    warm: Session, model: dict[str, Any]
) -> None:
    loaded = warm.call("models/load", {**model, "device": "auto", "deviceIndex": 99})
    assert loaded["model"]["device"] == "cpu"


def test_a_compute_type_that_the_device_has_not_names_those_it_has(warm: Session) -> None:
    with pytest.raises(RpcError) as caught:
        warm.transcribe(RECORDINGS / "en-01.flac", device="cuda", computeType="int16")
    assert caught.value.kind == "compute_type_unsupported"
    assert "float16" in caught.value.data["supported"]
    assert caught.value.data["remedy"]
