"""Memory of the device: who holds it, that it is given back, and what happens without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import RpcError
from tests.cuda_device.smi import memory, processes
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    Engine,
    Session,
    kill_hard,
    long_recording,
)

Full = Callable[[int], AbstractContextManager[int]]
CONTEXT = 100 << 20
"""Bytes: less than a process needs that uses a device at all."""
ALIGN = {"model": str(ALIGNMENT_MODEL)}
DIARIZE = {"model": str(DIARIZATION_MODEL)}
LOADS: dict[str, dict[str, Any]] = {
    "faster-whisper": {"model": str(MODEL)},
    "alignment": ALIGN,
    "diarization": DIARIZE,
}


@pytest.fixture
def session() -> Iterator[Session]:
    """A worker, whose stderr is shown when the test fails."""
    with Session() as session:
        yield session
    print(session.stderr.decode("utf-8", "replace"))


@pytest.fixture(scope="module")
def half_hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour of speech, to be interrupted."""
    return long_recording(tmp_path_factory.mktemp("long") / "long.wav", times=20)


def whole_job(session: Session, **options: Any) -> dict[str, Any]:
    return session.transcribe(
        MIXTURES / "mixture-09.flac", language="en", align=ALIGN, diarize=DIARIZE, **options
    )


def loaded_by(session: Session) -> list[dict[str, Any]]:
    """The models in memory."""
    models = session.call("models/list")["models"]
    return [each for model in models for each in model["loaded"]]


def seconds_until_used(below: int) -> float:
    """How long it takes until the device has no more than so many bytes in use; 2 s at most."""
    began = time.monotonic()
    while memory().used > below and time.monotonic() < began + 10:
        time.sleep(0.05)
    return time.monotonic() - began


def test_each_engine_tells_what_it_holds_and_gives_it_back_when_unloaded(
    session: Session,
) -> None:
    before = memory().used
    whole_job(session)
    time.sleep(1.1)  # figures of the driver are kept for a second
    loaded, told = loaded_by(session), processes()
    assert sorted(each["task"] for each in loaded) == ["alignment", "diarization", "recognition"]
    assert memory().used - before > 3 * CONTEXT
    for each in loaded:
        assert each["deviceMemory"] == told.get(each["processId"])
        assert each["deviceMemory"] is None or each["deviceMemory"] > CONTEXT
    session.call("models/unload")
    assert seconds_until_used(before + CONTEXT // 2) < 2
    assert loaded_by(session) == []


def test_an_engine_that_is_killed_leaves_nothing_there_and_the_next_request_works(
    session: Session,
) -> None:
    before = memory().used
    said = session.transcribe(RECORDINGS / "en-01.flac", device="cuda")["text"]
    assert memory().used - before > CONTEXT
    (engine,) = loaded_by(session)
    kill_hard(engine["processId"])
    assert seconds_until_used(before + CONTEXT // 2) < 2
    again = session.transcribe(RECORDINGS / "en-01.flac", device="cuda")
    assert (again["text"], again["device"]) == (said, "cuda")


def test_nothing_is_left_there_when_the_worker_is_killed() -> None:
    before = memory().used
    session = Session()
    session.transcribe(RECORDINGS / "en-01.flac", device="cuda")
    kill_hard(session.process.pid)
    session.close()
    assert seconds_until_used(before + CONTEXT // 2) < 2


def test_a_model_that_does_not_fit_there_is_refused_and_loaded_when_there_is_room(
    session: Session, full: Full
) -> None:
    with full(300) as free:
        assert free < 600 << 20
        with pytest.raises(RpcError) as caught:
            session.transcribe(RECORDINGS / "en-01.flac", device="cuda")
        assert caught.value.kind == "model_does_not_fit"
        assert "CUDA device 0" in caught.value.message
        assert caught.value.data["needed"] > caught.value.data["available"]
        assert caught.value.data["remedy"]
        on_cpu = session.transcribe(RECORDINGS / "en-01.flac", device="cpu")
    time.sleep(1.1)  # figures of the driver are kept for a second
    result = session.transcribe(RECORDINGS / "en-01.flac", device="cuda")
    assert (result["device"], result["text"]) == ("cuda", on_cpu["text"])


@pytest.mark.parametrize("kind", LOADS)
def test_an_engine_that_finds_no_memory_there_says_that(kind: str, full: Full) -> None:
    with full(0), Engine(kind) as engine:
        with pytest.raises(RpcError) as caught:
            engine.ask("load", device="cuda", **LOADS[kind])
        assert caught.value.kind == "out_of_memory"
        assert caught.value.data["remedy"]


@pytest.mark.parametrize("task", ["recognition", "alignment", "diarization"])
def test_memory_that_runs_out_at_work_is_made_do_with_or_told_and_the_worker_goes_on(
    session: Session, full: Full, task: str
) -> None:
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "recognition": lambda: session.transcribe(
            RECORDINGS / "demo.flac",
            language="en",
            batchSize=64,
            beamSize=10,
            computeType="float32",
        ),
        "alignment": lambda: session.call(
            "align",
            {
                "audio": str(RECORDINGS / "demo.flac"),
                "text": "one two three four five",
                "language": "en",
                **ALIGN,
            },
        ),
        "diarization": lambda: session.call(
            "diarize", {"audio": str(MIXTURES / "mixture-23.flac"), **DIARIZE}
        ),
    }
    asked = works[task]
    session.call("models/load", {"task": task, **_model_of(task)})
    with full(0):
        try:
            result = asked()
        except RpcError as error:
            assert error.kind == "out_of_memory"
            assert error.data["remedy"]
        else:
            assert result["device"].startswith("cuda")
    assert asked()["device"].startswith("cuda")
    assert session.call("ping") == {}


def _model_of(task: str) -> dict[str, Any]:
    return {
        "recognition": {"model": str(MODEL), "computeType": "float32"},
        "alignment": {**ALIGN, "language": "en"},
        "diarization": DIARIZE,
    }[task]


def test_a_running_batch_is_cancelled_within_a_second(session: Session, half_hour: Path) -> None:
    asked = {"language": "en", "device": "cuda", "batchSize": 8, "beamSize": 10}
    session.transcribe(RECORDINGS / "en-01.flac", **asked)
    id_ = session.send_transcribe(half_hour, partialResultToken="p", wordTimestamps=True, **asked)
    session.wait_for_partial()
    began = time.monotonic()
    session.cancel(id_)
    with pytest.raises(RpcError) as caught:
        session.result(id_)
    assert caught.value.kind == "cancelled"
    assert time.monotonic() - began < 1
    assert session.transcribe(RECORDINGS / "en-01.flac", **asked)["device"] == "cuda"
