"""The life of a session: how it opens, how it ends, and who notices."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import RpcError
from tests.support import (
    MODEL,
    PATIENCE,
    RECORDINGS,
    SLEEP,
    WORKER,
    Session,
    tree,
    wait_until,
    wait_until_gone,
)

Start = Callable[..., Session]
SPEECH = RECORDINGS / "en-01.flac"


def transcribe_line(audio: Path = SPEECH, **more: object) -> bytes:
    params = {"audio": str(audio), "model": str(MODEL), **more}
    message = {"jsonrpc": "2.0", "id": 1, "method": "transcribe", "params": params}
    return json.dumps(message).encode()


def test_one_piped_line_is_answered_and_the_exit_code_is_0() -> None:
    done = subprocess.run(WORKER, input=transcribe_line(), capture_output=True)
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["result"]["segments"]
    assert done.returncode == 0
    assert done.stderr == b""


def test_what_is_outstanding_at_the_end_of_input_is_answered(start: Start) -> None:
    session = start()
    ids = [session.send_transcribe(SPEECH) for _ in range(3)]
    session.close_input()
    assert sorted(message["id"] for message in session.messages()) == ids
    assert session.process.wait() == 0


def test_input_and_output_may_be_files(tmp_path: Path) -> None:
    source, sink = tmp_path / "in", tmp_path / "out"
    source.write_bytes(transcribe_line() + b"\n")
    with source.open("rb") as stdin, sink.open("wb") as stdout:
        assert subprocess.run(WORKER, stdin=stdin, stdout=stdout).returncode == 0
    assert json.loads(sink.read_bytes())["result"]["segments"]


def test_the_parent_may_leave_when_the_output_is_a_file(tmp_path: Path) -> None:
    sink = tmp_path / "out"
    line = transcribe_line().decode()
    shell = f"printf '%s\\n' '{line}' | {' '.join(WORKER)} > '{sink}' &"
    subprocess.run(["sh", "-c", shell], stdin=subprocess.DEVNULL, check=True)
    wait_until(lambda: sink.exists() and sink.read_bytes())
    assert json.loads(sink.read_bytes())["result"]["segments"]


def test_initialize_says_what_the_worker_is_and_can(start: Start) -> None:
    session = start()
    result = session.call("initialize", {"processId": os.getpid(), "clientInfo": {"name": "t"}})
    assert result["serverInfo"]["name"] == "transcription-worker"
    assert result["protocolVersion"].count(".") == 1
    assert "transcribe" in result["capabilities"]["methods"]
    assert result["capabilities"]["engines"]["faster-whisper"] == {
        "available": True, "missing": []
    }  # fmt: skip
    assert result["limits"]["maxLineBytes"] == 64 * 1024 * 1024
    assert result["processId"] == session.process.pid
    with pytest.raises(RpcError, match="already initialized"):
        session.call("initialize")


def test_initialize_may_set_the_line_limit(start: Start) -> None:
    session = start()
    session.call("initialize", {"maxLineBytes": 2048})
    session._write({"jsonrpc": "2.0", "id": "x", "method": "ping", "params": ["y" * 3000]})
    error = session.next_message(PATIENCE)["error"]
    assert error["data"]["kind"] == "line_too_long"
    assert session.call("ping") == {}


def test_after_shutdown_requests_are_refused_and_exit_ends_with_0(start: Start) -> None:
    session = start()
    assert session.call("shutdown") is None
    for method in ("ping", "transcribe"):
        with pytest.raises(RpcError) as caught:
            session.call(method)
        assert caught.value.kind == "shutting_down"
    session.notify("exit")
    assert session.process.wait(PATIENCE) == 0


def test_running_work_goes_on_after_shutdown(start: Start) -> None:
    session = start()
    id_ = session.send_transcribe(SPEECH)
    session.call("shutdown")
    assert session.result(id_)["segments"]


def test_exit_without_shutdown_ends_with_1(start: Start) -> None:
    session = start()
    session.notify("exit")
    assert session.process.wait(PATIENCE) == 1


def test_exit_cancels_what_still_runs(start: Start, long_file: Path) -> None:
    session = start()
    id_ = session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    session.call("shutdown")
    session.notify("exit")
    with pytest.raises(RpcError) as caught:
        session.result(id_)
    assert caught.value.data == {"kind": "cancelled", "by": "shutdown"}
    assert session.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_answers_and_exits(
    start: Start, long_file: Path, number: signal.Signals
) -> None:
    session = start()
    running = session.send_transcribe(long_file, partialResultToken=1)
    queued = session.send_transcribe(long_file)
    session.wait_for_partial()
    processes = tree(session.process.pid)
    session.process.send_signal(number)
    for id_ in (running, queued):
        with pytest.raises(RpcError) as caught:
            session.result(id_)
        assert caught.value.data == {"kind": "cancelled", "by": "signal"}
    assert session.process.wait(PATIENCE) == 128 + number
    wait_until_gone(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="names a thread as Linux does")
def test_a_signal_is_heeded_whichever_thread_the_system_gives_it_to(start: Start) -> None:
    session = start()
    session.call("ping")
    pid = session.process.pid
    other = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
    assert other != pid
    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0
    assert session.process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_signal_ends_a_worker_whose_client_does_not_read(long_file: Path) -> None:
    process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    os.write(process.stdin.fileno(), ping)
    assert process.stdout.readline()  # it heeds signals from now on
    os.set_blocking(process.stdin.fileno(), False)
    sent = 0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:  # until the worker takes no more
        try:
            sent += os.write(process.stdin.fileno(), ping * 1000)
            deadline = time.monotonic() + 0.5
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 64 * 1024 * 1024
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    process.stdin.close()
    process.stdout.close()


def test_sigkill_of_the_client_leaves_no_process(long_file: Path) -> None:
    client = textwrap.dedent(
        """
        import sys
        from tests.support import Session, tree
        session = Session()
        session.send_transcribe(sys.argv[1], partialResultToken=1)
        session.wait_for_partial()
        print(*tree(session.process.pid), flush=True)
        session.next_message()
        sys.stdin.read()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", client, str(long_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=RECORDINGS.parent.parent,
    )
    assert process.stdout
    assert process.stdin
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    process.kill()
    wait_until_gone(pids)
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_closed_output_is_noticed_without_writing(start: Start) -> None:
    read_end, write_end = os.pipe()
    process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=write_end)
    os.close(write_end)
    os.write(process.stdin.fileno(), b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')  # type: ignore[union-attr]
    assert os.read(read_end, 100)
    os.close(read_end)
    assert process.wait(PATIENCE) == 1
    process.stdin.close()  # type: ignore[union-attr]


def test_a_closed_output_socket_is_noticed_without_writing() -> None:
    import socket

    ours, theirs = socket.socketpair()  # what Node gives a child for its stdout
    process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=theirs)
    theirs.close()
    os.write(process.stdin.fileno(), b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')  # type: ignore[union-attr]
    assert ours.recv(100)
    ours.close()
    assert process.wait(PATIENCE) == 1
    process.stdin.close()  # type: ignore[union-attr]


def test_the_worker_ends_when_the_process_it_was_told_to_watch_ends(start: Start) -> None:
    watched = subprocess.Popen(SLEEP)
    session = start()
    session.call("initialize", {"processId": watched.pid})
    watched.kill()
    watched.wait()
    assert session.process.wait(PATIENCE) == 1


def test_a_process_that_is_not_visible_is_not_watched(start: Start) -> None:
    session = start()
    session.call("initialize", {"processId": 2**31 - 1})
    assert session.call("ping") == {}


def test_log_messages_come_to_who_asked_for_them(start: Start) -> None:
    session = start()
    session.call("initialize", {"logLevel": "info"})
    session.transcribe(SPEECH)
    messages = [n["params"] for n in session.notifications if n["method"] == "$/logMessage"]
    assert "front" in {message["logger"] for message in messages}
    assert {message["level"] for message in messages} <= {"info", "warning", "error"}


@pytest.mark.parametrize("level", ["info", "debug"])
def test_what_libraries_log_is_shown_at_debug_alone(start: Start, level: str) -> None:
    session = start("--log-level", level)
    session.transcribe(SPEECH, engine="faster-whisper")
    session.close()
    assert (b"faster_whisper: Processing audio" in session.stderr) == (level == "debug")


def test_logs_go_to_stderr_at_the_level_asked_for(start: Start) -> None:
    session = start("--log-level", "info")
    session.transcribe(SPEECH)
    session.close()
    assert b" INFO    front[" in session.stderr
    assert b"whisper started as process" in session.stderr
    assert b"DEBUG" not in session.stderr


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_closed_standard_descriptor_does_not_corrupt_the_stream(fd: int) -> None:
    # `>&-` and its kin: what is opened next would otherwise become the protocol's channel.
    shell = f"exec {' '.join(WORKER)} {fd}{'<' if fd == 0 else '>'}&-"
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    done = subprocess.run(["sh", "-c", shell], input=ping if fd else None, capture_output=True)
    assert done.returncode == 0
    assert done.stdout == (b'{"jsonrpc":"2.0","id":1,"result":{}}\n' if fd == 2 else b"")


def test_whatever_prints_lands_on_stderr() -> None:
    noise = textwrap.dedent(
        """
        import ctypes, os, sys, warnings
        from worker.system.stdio import claim_stdio
        input_fd, output_fd = claim_stdio()
        print("python")
        sys.stdout.write("sys.stdout\\n"); sys.stdout.flush()
        os.write(1, b"os.write\\n")
        libc = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        libc.puts(b"puts"); libc.fflush(None)
        os.system("echo child")
        warnings.warn("warning")
        os.write(output_fd, b"protocol " + os.read(input_fd, 100))
        assert sys.stdin is None and os.read(0, 1) == b""
        """
    )
    done = subprocess.run([sys.executable, "-c", noise], input=b"line", capture_output=True)
    assert done.stdout == b"protocol line"
    for word in (b"python", b"sys.stdout", b"os.write", b"puts", b"child", b"warning"):
        assert word in done.stderr
