"""Cancellation: answered at once, once, and the engine is free again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import RpcError
from tests.support import PATIENCE, RECORDINGS, Session

Start = Callable[..., Session]


def cancelled(session: Session, id_: int) -> None:
    with pytest.raises(RpcError) as caught:
        session.result(id_, session._keep)
    assert caught.value.code == -32800
    assert caught.value.data == {"kind": "cancelled", "by": "client"}


def test_a_running_job_stops_and_its_engine_serves_the_next(start: Start, long_file: Path) -> None:
    session = start("serve", "--cancel-grace", "30")
    id_ = session.send_transcribe(long_file, partialResultToken=1, progressToken=2)
    session.wait_for_partial()
    engine = session.engine_pid()
    session.cancel(id_)
    cancelled(session, id_)
    assert session.notifications[-1]["params"]["value"] == {"kind": "end"}
    seen = len(session.notifications)
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]
    assert session.engine_pid() == engine
    assert len(session.notifications) == seen  # nothing late of the cancelled job


def test_a_queued_job_is_cancelled_before_it_begins(start: Start, long_file: Path) -> None:
    session = start()
    running = session.send_transcribe(long_file, partialResultToken=1)
    queued = session.send_transcribe(long_file, progressToken=2)
    session.wait_for_partial()
    session.cancel(queued)
    cancelled(session, queued)
    assert not any(note["params"]["token"] == 2 for note in session.notifications)
    session.cancel(running)
    cancelled(session, running)


def test_a_job_is_cancelled_while_its_model_loads(start: Start) -> None:
    session = start()
    id_ = session.send_transcribe(RECORDINGS / "en-01.flac", progressToken=1)
    session.wait_for(lambda m: m.get("params", {}).get("value", {}).get("stage") == "load")
    session.cancel(id_)
    cancelled(session, id_)
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_cancelling_what_is_unknown_or_done_changes_nothing(start: Start) -> None:
    session = start()
    id_ = session.send_transcribe(RECORDINGS / "en-01.flac")
    session.result(id_)
    session.cancel(id_)
    session.cancel(999)
    session.notify("$/cancelRequest", {"id": "no such"})
    session.notify("$/cancelRequest", {"wrong": 1})
    assert session.call("ping") == {}


def test_the_string_and_the_number_are_different_ids(start: Start, long_file: Path) -> None:
    session = start()
    id_ = session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    session.notify("$/cancelRequest", {"id": str(id_)})
    session.wait_for_partial()  # it goes on
    session.cancel(id_)
    cancelled(session, id_)


def test_a_member_of_a_batch_is_cancelled_alone(start: Start, long_file: Path) -> None:
    from tests.support import MODEL

    session = start()
    base = {"jsonrpc": "2.0", "method": "transcribe"}
    params = {"model": str(MODEL), "partialResultToken": 1}
    session._write(
        [
            {**base, "id": "long", "params": {**params, "audio": str(long_file)}},
            {**base, "id": "short", "params": {**params, "audio": str(RECORDINGS / "en-01.flac")}},
            {"jsonrpc": "2.0", "id": "ping", "method": "ping"},
        ]
    )
    session.wait_for_partial()
    session.notify("$/cancelRequest", {"id": "long"})
    while True:
        message = session.next_message(PATIENCE)
        if isinstance(message, list):
            break
    replies = {reply["id"]: reply for reply in message}
    assert replies["long"]["error"]["code"] == -32800
    assert replies["short"]["result"]["segments"]
    assert replies["ping"]["result"] == {}
