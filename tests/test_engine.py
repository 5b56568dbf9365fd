"""An engine may die, hang or babble: one typed error, and the worker goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.envelope import Call
from protocol.errors import CancelledBy, RpcError
from tests.support import RECORDINGS, Session, alive, wait_until_gone
from worker.managers.engine_process import EngineProcess
from worker.session.job import CancelHook, Job
from worker.session.writer import Writer
from worker.system.log import Log

Start = Callable[..., Session]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGTERM", "SIGINT"])
def test_an_engine_killed_during_a_job_is_one_error_and_the_next_request_works(
    start: Start, long_file: Path, name: str
) -> None:
    session = start()
    id_ = session.send_transcribe(long_file, partialResultToken=1, progressToken=2)
    session.wait_for_partial()
    engine = session.engine_pid()
    os.kill(engine, getattr(signal, name))
    with pytest.raises(RpcError) as caught:
        session.result(id_, session._keep)
    assert caught.value.kind == "engine_crashed"
    assert caught.value.data["signal"] == name
    assert name in caught.value.message
    if name == "SIGSEGV":  # the tail of its stderr says where
        assert any("Fatal Python error" in line for line in caught.value.data["stderrTail"])
    assert session.notifications[-1]["params"]["value"] == {"kind": "end"}
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]
    assert session.engine_pid() != engine


def test_an_engine_killed_while_it_is_idle_is_started_again(start: Start) -> None:
    session = start()
    session.transcribe(RECORDINGS / "en-01.flac")
    engine = session.engine_pid()
    os.kill(engine, signal.SIGKILL)
    assert wait_until_gone([engine], 5) == []
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_an_engine_frozen_by_a_stop_signal_is_ended_by_cancel(
    start: Start, long_file: Path
) -> None:
    session = start("serve", "--cancel-grace", "0.2")
    id_ = session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    engine = session.engine_pid()
    os.kill(engine, signal.SIGSTOP)
    session.cancel(id_)
    with pytest.raises(RpcError, match="cancelled"):
        session.result(id_)
    assert wait_until_gone([engine], 5) == []
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_the_engine_ends_when_the_front_is_killed(start: Start, long_file: Path) -> None:
    session = start()
    session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    engine = session.engine_pid()
    session.process.kill()
    assert wait_until_gone([engine], 2) == []


# What follows drives EngineProcess with engines that misbehave.

_PRELUDE = "import json, os, sys, time\nask = json.loads(sys.stdin.readline())\n"


def reply(result: str) -> str:
    """Script that answers the call with `result`, JSON."""
    return (
        'sys.stdout.write(\'{"jsonrpc":"2.0","id":%d,"result":%s}\\n\''
        f" % (ask['id'], {result!r})); sys.stdout.flush()\n"
    )


def refusal(kind: str) -> str:
    """Script that answers the call with an error."""
    error = {"code": -32800, "message": "No.", "data": {"kind": kind}}
    return (
        'sys.stdout.write(\'{"jsonrpc":"2.0","id":%d,"error":%s}\\n\''
        f" % (ask['id'], {json.dumps(error)!r})); sys.stdout.flush()\n"
    )


def no_thread_is_left(target: object) -> None:
    raise RuntimeError("can't start new thread")


def cancel_when_called(job: Job, by: CancelledBy) -> None:
    """Cancel the job as soon as an engine works on it."""
    on_cancel = job.on_cancel

    def cancel(hook: CancelHook | None) -> None:
        on_cancel(hook)
        job.stop(by)

    job.on_cancel = cancel  # type: ignore[method-assign]


class Rig:
    """An `EngineProcess` around a script, and a pipe in the place of a client."""

    def __init__(self, script: str, grace: float = 0.2) -> None:
        self.output, write_end = os.pipe()
        self.writer = Writer(write_end, lambda: None)
        self.log = Log("test", "error")
        self.engine = EngineProcess(
            "script",
            [sys.executable, "-u", "-c", _PRELUDE + script],
            self.writer,
            self.log,
            cancel_grace=grace,
        )
        self.job = self.new_job()

    def new_job(self) -> Job:
        call = Call("work", b"1", b'{"progressToken":5,"partialResultToken":6}')
        return Job(call, self.writer, lambda reply: self.writer.write(*reply))

    def call(self) -> Any:
        return self.engine.call("work", b"{}", self.job)

    def written(self) -> bytes:
        self.writer.flush()
        os.set_blocking(self.output, False)
        try:
            return os.read(self.output, 1 << 16)
        except BlockingIOError:
            return b""


@pytest.fixture
def rig() -> Any:
    rigs: list[Rig] = []

    def make(script: str, **kwargs: Any) -> Rig:
        rigs.append(Rig(script, **kwargs))
        return rigs[-1]

    yield make
    for each in rigs:
        each.engine.stop()
        os.close(each.output)


def test_a_result_is_forwarded_byte_by_byte_as_the_engine_wrote_it(rig: Any) -> None:
    result = '{"n": 1.0e0 , "s":"\\u0041", "long":"' + "x" * 100_000 + '"}'
    assert b"".join(rig(reply(result)).call()) == result.encode()


def test_an_engine_that_exits_is_an_error_with_its_exit_code_and_last_words(rig: Any) -> None:
    with pytest.raises(RpcError) as caught:
        rig("print('no licence for this', file=sys.stderr); sys.exit(3)").call()
    assert caught.value.kind == "engine_crashed"
    assert caught.value.data["exitCode"] == 3
    assert caught.value.data["stderrTail"] == ["no licence for this"]


def test_an_engine_that_dies_in_the_middle_of_a_line_forwards_none_of_it(rig: Any) -> None:
    made = rig(
        'sys.stdout.write(\'{"jsonrpc":"2.0","method":"$/progress","params":{"tok\');'
        "sys.stdout.flush(); os._exit(1)"
    )
    with pytest.raises(RpcError, match="exited with code 1"):
        made.call()
    assert made.written() == b""


def test_rubbish_from_an_engine_does_not_reach_the_client(rig: Any) -> None:
    made = rig('print(\'rubbish\'); print(\'{"jsonrpc":"2.0","id":99,"result":0}\');' + reply("7"))
    assert b"".join(made.call()) == b"7"
    assert made.written() == b""


@pytest.mark.parametrize(
    "rubbish", ["rubbish", '{"jsonrpc":"2.0","id":0,"result":', '{"jsonrpc":"2.0","method":"$/pro']
)
@pytest.mark.parametrize("message", ["reply", "notification"])
def test_an_engine_with_rubbish_in_a_message_is_ended_as_nobody_else_would_answer(
    rig: Any, rubbish: str, message: str
) -> None:
    note = (
        'sys.stdout.write(\'{"jsonrpc":"2.0","method":"$/progress",'
        '"params":{"token":6,"value":{}}}\\n\');'
    )
    made = rig(
        f"sys.stdout.write({rubbish!r});"
        + (note if message == "notification" else "")
        + reply("7")
        + "time.sleep(60)"
    )
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"
    assert made.written() == b""


def test_the_end_of_a_long_line_may_come_by_itself(rig: Any) -> None:
    result = '"' + "x" * 200 + '"'
    made = rig(
        "import fcntl, termios\n"
        f'line = b\'{{"jsonrpc":"2.0","id":%d,"result":{result}}}\' % ask[\'id\']\n'
        "os.write(1, line)\n"
        "while any(fcntl.ioctl(1, termios.FIONREAD, bytes(4))): pass\n"
        "os.write(1, b'\\n'); time.sleep(60)"
    )
    assert b"".join(made.call()) == result.encode()


def test_an_engine_that_dies_is_noticed_though_its_child_holds_the_pipes(rig: Any) -> None:
    made = rig("import subprocess; subprocess.Popen(['sleep', '60']); os._exit(1)")
    with pytest.raises(RpcError, match="exited with code 1"):
        made.call()


def test_an_engine_that_closes_its_output_and_lives_is_ended(rig: Any) -> None:
    made = rig("os.close(1); time.sleep(60)")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"
    assert not alive(made.engine.pid)


def test_what_an_engine_started_ends_with_it(rig: Any, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    made = rig(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n" + reply("0") + "time.sleep(60)"
    )
    made.call()
    made.engine.stop()
    assert wait_until_gone([int(note.read_text())], 2) == []


def test_an_engine_that_does_not_stop_is_ended_after_the_grace_time(rig: Any) -> None:
    made = rig("time.sleep(60)")
    made.job.on_cancel(None)
    import threading

    threading.Timer(0.05, lambda: made.job.cancel("client", answer=True)).start()
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.data == {"kind": "cancelled", "by": "client"}
    assert not made.engine.alive


@pytest.mark.parametrize("kind", ["cancelled", "shutting_down"])
@pytest.mark.parametrize("end", ["sys.exit(3)", "time.sleep(60)"], ids=["ends", "hangs"])
def test_an_engine_that_gives_up_unasked_has_crashed(rig: Any, kind: str, end: str) -> None:
    with pytest.raises(RpcError) as caught:
        rig(refusal(kind) + end).call()
    assert caught.value.kind == "engine_crashed"


def test_a_cancelled_job_says_who_cancelled_it_and_not_what_its_engine_says(rig: Any) -> None:
    made = rig("sys.stdin.readline()\n" + refusal("cancelled") + "time.sleep(60)", grace=30)
    cancel_when_called(made.job, "signal")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.data == {"kind": "cancelled", "by": "signal"}
    assert made.engine.alive


def test_a_cancel_that_comes_late_does_nothing_to_the_next_call(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rig(reply("1") + "sys.stdin.readline(); ask['id'] = 2\n" + reply("2"), grace=0)
    hooks: list[Any] = []
    monkeypatch.setattr(made.job, "on_cancel", hooks.append)
    assert b"".join(made.call()) == b"1"
    with monkeypatch.context() as patch:
        patch.setattr(made.engine, "_send", lambda line: None)
        patch.setattr(made.engine, "_thread", no_thread_is_left)
        hooks[0]("client")
    assert b"".join(made.call()) == b"2"


def test_a_command_that_cannot_be_started_is_a_typed_error() -> None:
    with pytest.raises(RpcError) as caught:
        EngineProcess("none", ["/no/such/program"], None, Log("test", "error"))  # type: ignore[arg-type]
    assert caught.value.kind == "engine_start_failed"
