"""An engine may die, hang or babble: one typed error, and the worker goes on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from protocol.envelope import Call
from protocol.errors import CancelledBy, RpcError
from tests.support import (
    RECORDINGS,
    SLEEP,
    Session,
    alive,
    kill_hard,
    wait_until,
    wait_until_gone,
)
from worker.managers.engine_process import EngineProcess
from worker.session.job import CancelHook, Job
from worker.session.writer import Writer
from worker.system.log import Log

Start = Callable[..., Session]


@pytest.mark.parametrize(
    "name",
    ["SIGTERM"]
    if sys.platform == "win32"
    else [
        *("SIGKILL", "SIGSEGV"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("SIGABRT", "SIGBUS", "SIGTERM", "SIGINT")
        ),
    ],
)
def test_a_killed_engine_is_one_error_and_the_next_job_works(
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
    if sys.platform == "win32":  # there a killed process has the code that its killer names
        assert caught.value.data["exitCode"] == signal.SIGTERM
    else:
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
    kill_hard(engine)
    wait_until_gone([engine])
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_a_frozen_engine_is_ended_by_cancel(start: Start, long_file: Path) -> None:
    session = start("serve", "--cancel-grace", "0.2")
    id_ = session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    engine = session.engine_pid()
    psutil.Process(engine).suspend()
    session.cancel(id_)
    with pytest.raises(RpcError, match="cancelled"):
        session.result(id_)
    wait_until_gone([engine])
    assert session.transcribe(RECORDINGS / "en-01.flac")["segments"]


def test_the_engine_ends_when_the_front_is_killed(start: Start, long_file: Path) -> None:
    session = start()
    session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    engine = session.engine_pid()
    session.process.kill()
    wait_until_gone([engine])


# What follows drives EngineProcess with engines that misbehave.

_PRELUDE = """
import json, os, sys, time
from protocol.errors import RpcError
from worker.session.frames import FRAMES, PARTIAL
def write(data):
    while data:
        data = data[os.write(1, data):]
ask = json.loads(sys.stdin.readline())
"""
PARTIAL_FRAME = "FRAMES.progress(PARTIAL, b'{}')"


def frame(result: str) -> str:
    """Expression for the frame that answers the call with `result`, JSON."""
    return f"b''.join(FRAMES.result(b'%d' % ask['id'], {result.encode()!r}))"


def reply(result: str) -> str:
    """Script that answers the call with `result`, JSON."""
    return f"write({frame(result)})\n"


def refusal(kind: str) -> str:
    """Script that answers the call with an error."""
    return f"write(FRAMES.error(b'%d' % ask['id'], RpcError({kind!r})))\n"


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
        self._read_end, self._write_end = os.pipe()
        self._output = bytearray()
        threading.Thread(target=self._read, daemon=True).start()
        self.writer = Writer(self._write_end, lambda: None)
        self.log = Log("test", "error")
        self.engine = EngineProcess(
            "script",
            [sys.executable, "-u", "-c", _PRELUDE + script],
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
        """What the client got so far."""
        self.writer.flush()
        os.write(self._write_end, b"\0")
        wait_until(lambda: self._output.endswith(b"\0"))
        return bytes(self._output).replace(b"\0", b"")

    def close(self) -> None:
        self.engine.stop()
        os.close(self._write_end)

    def _read(self) -> None:
        """Pipes are small on some systems: the writer would wait."""
        while data := os.read(self._read_end, 1 << 16):
            self._output += data
        os.close(self._read_end)


@pytest.fixture
def rig() -> Any:
    rigs: list[Rig] = []

    def make(script: str, **kwargs: Any) -> Rig:
        rigs.append(Rig(script, **kwargs))
        return rigs[-1]

    yield make
    for each in rigs:
        each.close()


def test_a_result_is_forwarded_byte_by_byte_as_the_engine_wrote_it(rig: Any) -> None:
    result = '{"n": 1.0e0 , "s":"\\u0041", "long":"' + "x" * 100_000 + '"}'
    assert b"".join(rig(reply(result)).call()) == result.encode()


def test_an_exited_engine_reports_exit_code_and_stderr(rig: Any) -> None:
    with pytest.raises(RpcError) as caught:
        rig("print('no licence for this', file=sys.stderr); sys.exit(3)").call()
    assert caught.value.kind == "engine_crashed"
    assert caught.value.data["exitCode"] == 3
    assert caught.value.data["stderrTail"] == ["no licence for this"]


def test_partial_results_reach_the_client_as_the_engine_wrote_them(rig: Any) -> None:
    value = '{"n": 1.0e0 , "s":"\\u0041"}'
    made = rig(f"write(FRAMES.progress(PARTIAL, {value.encode()!r}) * 100);" + reply("7"))
    assert b"".join(made.call()) == b"7"
    notification = b'{"jsonrpc":"2.0","method":"$/progress","params":{"token":6,"value":%b}}\n'
    assert made.written() == notification % value.encode() * 100


def test_an_engine_that_dies_in_the_middle_of_a_frame_forwards_none_of_it(rig: Any) -> None:
    made = rig(f"write({PARTIAL_FRAME}[:-1]); os._exit(1)")
    with pytest.raises(RpcError, match="exited with code 1"):
        made.call()
    assert made.written() == b""


_RUBBISH = {
    "text": "b'rubbish'",
    "a line": "b'downloading: 100%\\n'",
    "a reply in JSON": """b'{"jsonrpc":"2.0","id":0,"result":'""",
    "half a header": f"{PARTIAL_FRAME}[:7]",
    "half a frame": f"{PARTIAL_FRAME}[:-2]",
    "a header that begins again": f"{PARTIAL_FRAME}[:3]",
    "an unknown kind": f"{PARTIAL_FRAME}.replace(PARTIAL, b'?')",
    "an answer to nobody": "b''.join(FRAMES.result(b'99', b'0'))",
    "an answer without a call": "b''.join(FRAMES.result(b'', b'0'))",
}


@pytest.mark.parametrize("rubbish", _RUBBISH.values(), ids=_RUBBISH)
@pytest.mark.parametrize("message", ["reply", "notification"])
def test_an_engine_that_writes_rubbish_is_killed(rig: Any, rubbish: str, message: str) -> None:
    note = f"write({PARTIAL_FRAME});" if message == "notification" else ""
    made = rig(f"write({rubbish});{note}{reply('7')}time.sleep(600)")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"
    assert made.written() == b""


@pytest.mark.parametrize("size", [100, 100_000])
def test_rubbish_within_a_frame_is_noticed(rig: Any, size: int) -> None:
    whole = frame('"' + "x" * size + '"')
    made = rig(f"data = {whole}; write(data[:50] + b'rubbish' + data[50:])\ntime.sleep(600)")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"


def test_a_huge_length_is_refused_before_anything_is_read_into_memory(rig: Any) -> None:
    made = rig(
        f"data = {PARTIAL_FRAME}; write(data[:7] + b'\\xff' * 4 + data[11:])\n"
        "while True: write(b'x' * 65536)"
    )
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"
    assert not made.engine.alive


@pytest.mark.parametrize("piece", [1, 5, 11, 12, 13, 50, 5000])
def test_frames_may_come_in_pieces_of_any_size(rig: Any, piece: int) -> None:
    result = '"' + "x" * (200 if piece < 5000 else 12_000) + '"'
    paused = frame('{"paused":true}')
    made = rig(
        "import fcntl, termios\n"
        "def write_pieces(data):\n"
        f"    for at in range(0, len(data), {piece}):\n"
        f"        write(data[at:at + {piece}])\n"
        "        while any(fcntl.ioctl(1, termios.FIONREAD, bytes(4))): pass\n"
        f"write_pieces({PARTIAL_FRAME} + {paused})\n"
        "ask = json.loads(sys.stdin.readline())\n"
        f"write_pieces({frame(result)}); time.sleep(600)"
    )
    assert b"".join(made.call()) == result.encode()
    assert made.written().count(b"\n") == 1


def test_an_engine_that_dies_is_noticed_though_its_child_holds_the_pipes(rig: Any) -> None:
    made = rig(f"import subprocess; subprocess.Popen({SLEEP}); os._exit(1)")
    with pytest.raises(RpcError, match="exited with code 1"):
        made.call()


def test_an_engine_that_closes_its_output_and_lives_is_ended(rig: Any) -> None:
    made = rig("os.close(1); time.sleep(600)")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.kind == "engine_crashed"
    assert not alive(made.engine.pid)


def test_what_an_engine_started_ends_with_it(rig: Any, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    made = rig(
        "import subprocess\n"
        f"child = subprocess.Popen({SLEEP})\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n" + reply("0") + "time.sleep(600)"
    )
    made.call()
    made.engine.stop()
    wait_until_gone([int(note.read_text())])


def test_an_engine_that_does_not_stop_is_ended_after_the_grace_time(rig: Any) -> None:
    made = rig("time.sleep(600)")
    cancel_when_called(made.job, "client")
    with pytest.raises(RpcError) as caught:
        made.call()
    assert caught.value.data == {"kind": "cancelled", "by": "client"}
    assert not made.engine.alive


@pytest.mark.parametrize("kind", ["cancelled", "shutting_down"])
@pytest.mark.parametrize("end", ["sys.exit(3)", "time.sleep(600)"], ids=["ends", "hangs"])
def test_an_engine_that_gives_up_unasked_has_crashed(rig: Any, kind: str, end: str) -> None:
    with pytest.raises(RpcError) as caught:
        rig(refusal(kind) + end).call()
    assert caught.value.kind == "engine_crashed"


def test_a_cancelled_job_says_who_cancelled_it(rig: Any) -> None:
    made = rig("sys.stdin.readline()\n" + refusal("cancelled") + "time.sleep(600)", grace=30)
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
        EngineProcess("none", ["/no/such/program"], Log("test", "error"))
    assert caught.value.kind == "engine_start_failed"
