"""The writer: order, backpressure, and coalesced progress."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from tests.support import PATIENCE
from worker.session.writer import HIGH_WATER, Writer


class Pipe:
    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.broken = threading.Event()
        self.writer = Writer(self.write_end, self.broken.set)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.read_end, size - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    if not made.broken.is_set():
        os.close(made.read_end)
    os.close(made.write_end)


def test_lines_of_many_threads_come_whole_and_each_threads_own_in_order(pipe: Pipe) -> None:
    def produce(name: int) -> None:
        for number in range(500):
            pipe.writer.write(b"%d %d " % (name, number), b"x" * 50, b"\n")

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    lines: list[bytes] = []
    rest = b""
    while len(lines) < 2000:
        *new, rest = (rest + os.read(pipe.read_end, 65536)).split(b"\n")
        lines += new
    for name in range(4):
        mine = [line.split() for line in lines if line.startswith(b"%d " % name)]
        assert [int(fields[1]) for fields in mine] == list(range(500))
        assert all(fields[2] == b"x" * 50 for fields in mine)
    for thread in threads:
        thread.join()


def test_a_producer_waits_for_a_peer_that_does_not_read(pipe: Pipe) -> None:
    line = b"x" * 99_999 + b"\n"
    count = 40
    done = threading.Event()

    def produce() -> None:
        for _ in range(count):
            pipe.writer.write(line)
        done.set()

    threading.Thread(target=produce).start()
    assert not done.wait(0.2)
    assert pipe.writer._pending <= HIGH_WATER + len(line)
    assert pipe.read(count * len(line)) == line * count
    assert done.wait(PATIENCE)
    assert pipe.writer.flush(PATIENCE)


def test_a_slow_peer_gets_only_the_latest_progress_per_token(
    pipe: Pipe,
) -> None:
    stopper = b"s" * 200_000 + b"\n"  # more than the pipe holds
    pipe.writer.write(stopper)
    while len(pipe.writer._queue):  # until the thread is stuck in it
        pass
    for number in range(1000):
        for token in (b"a", b"b"):
            pipe.writer.write_report(token, b"%b %d\n" % (token, number))
    pipe.writer.write(b"result\n")
    pipe.writer.write_report(b"a", b"a again\n")
    rest = b"a 999\nb 999\nresult\na again\n"
    assert pipe.read(len(stopper) + len(rest)) == stopper + rest


def test_a_control_reply_passes_by_what_waits_but_not_into_a_line(pipe: Pipe) -> None:
    stopper = [b"{" + b"s" * 100_000, b"s" * 100_000 + b"}\n"]  # more than the pipe holds
    pipe.writer.write(*stopper)
    while len(pipe.writer._queue):  # until the thread is stuck in it
        pass
    notes = [b"n" * 60_000 + b"\n"] * 8
    for note in notes:
        pipe.writer.write(note)
    pipe.writer.write_control(b"pong\n")
    expected = b"".join(stopper) + b"pong\n" + b"".join(notes)
    assert pipe.read(len(expected)) == expected


def test_a_peer_that_is_gone_is_told_of_once_and_frees_the_producers(pipe: Pipe) -> None:
    stuck = threading.Thread(target=lambda: [pipe.writer.write(b"x" * 100_000) for _ in range(100)])
    stuck.start()
    os.close(pipe.read_end)
    stuck.join(PATIENCE)
    assert not stuck.is_alive()
    assert pipe.broken.wait(PATIENCE)
    pipe.writer.write(b"dropped")
    assert pipe.writer.flush(PATIENCE)
