"""Faults of clients: they do not read, write garbage, or die."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from tests.faults.rig import (
    SPEECH,
    Run,
    Worker,
    kind_of,
    kinds_of,
    python,
    resident,
)
from tests.support import MODEL, PATIENCE, WORKER

MB: Final = 1_000_000

_CLIENT: Final = """
import os, subprocess, sys
lines, *command = sys.argv[1:]
worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with open(lines, "rb") as file:
    worker.stdin.write(file.read())
worker.stdin.flush()
while os.read(worker.stdout.fileno(), 65536):
    pass
"""


def large_export(run: Run, size: int) -> dict[str, Any]:
    """Params of an export whose result has about `size` bytes."""
    word = f"word{run.rng.randrange(1000)} "
    segment = {"start": 0.0, "end": 1.0, "text": word * (size // len(word))}
    return {"transcript": {"segments": [segment]}, "formats": ["txt"]}


def a_client_that_stops_reading_gets_everything_later_and_memory_stays_bounded(run: Run) -> None:
    worker = run.worker()
    worker.ask("export", large_export(run, 1000))
    idle = resident(worker.pid)
    worker.reading.clear()
    size = run.rng.choice([100_000, MB])
    exports = [worker.send("export", large_export(run, size)) for _ in range(40 * MB // size // 2)]
    sent_before = len(exports)
    pings = [worker.send("ping") for _ in range(run.rng.randrange(1000))]
    run.moment(0.5)
    # The pings that were sent wait for their turn, too.
    assert resident(worker.pid) - idle < sent_before * size + 16 * MB
    worker.reading.set()
    assert set(kinds_of(worker.wait(*exports, *pings))) == {"result"}
    assert worker.finish() == 0


def a_client_that_stops_reading_for_ever_is_not_read_from_beyond_a_mark(run: Run) -> None:
    worker = run.worker()
    worker.ask("export", large_export(run, 1000))
    idle = resident(worker.pid)
    worker.reading.clear()
    size = run.rng.choice([200_000, MB, 5 * MB])
    params = large_export(run, size)

    def flood() -> None:
        with suppress(OSError, ValueError):  # the end of the run closes the pipe
            for _ in range(600 * MB // size):
                worker.send("export", params)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    thread.join(run.rng.uniform(1.5, 3))
    assert resident(worker.pid) - idle < 200 * MB
    worker.leave()


def a_client_that_closes_its_output_at_any_moment_leaves_nothing(run: Run) -> None:
    worker = run.worker()
    _some_work(run, worker)
    run.moment(1.5)
    worker.close_output()
    assert worker.process.wait(PATIENCE) == 1


def a_client_killed_at_any_moment_leaves_nothing(run: Run) -> None:
    formats = {"formats": ["srt"]} if run.rng.random() < 0.5 else {}
    work = [("transcribe", {"audio": str(SPEECH), "model": str(MODEL), **formats})] * 3
    work += [
        ("export", {**large_export(run, MB), "outputDir": str(run.output), "name": str(number)})
        for number in range(run.rng.choice([0, 30]))
    ]
    run.rng.shuffle(work)
    lines = run.place / "lines"
    with lines.open("w") as file:
        for id_, (method, params) in enumerate(work):
            message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
            file.write(json.dumps(message) + "\n")
    client = run.spawn(python(_CLIENT, str(lines), *WORKER))
    run.moment(2.0)
    if run.rng.random() < 0.3:  # add grandchildren that hold every descriptor of an engine
        run.command(run.engine("whisper"), "fork")
        run.moment(0.2)
    client.kill()
    client.wait()


def requests_that_come_byte_by_byte_are_answered(run: Run) -> None:
    worker = run.worker()
    requests = [worker.request("ping"), worker.request("jobs/list"), worker.request("nonsense")]
    for byte in b"".join(line for _, line in requests):
        worker.write(bytes([byte]))
        if run.rng.random() < 0.05:
            run.moment(0.002)
    replies = worker.wait(*(id_ for id_, _ in requests))
    assert [kind_of(each) for each in replies] == ["result", "result", "method_not_found"]
    assert worker.finish() == 0


def half_a_line_holds_up_nothing_that_came_before(run: Run) -> None:
    worker = run.worker()
    before = worker.send("export", large_export(run, 10_000))
    id_, line = worker.request("ping")
    at = run.rng.randrange(1, len(line) - 1)
    worker.write(line[:at])
    worker.wait(before)
    run.moment(0.2)
    assert id_ not in worker.replies
    worker.write(line[at:])
    assert kind_of(worker.wait(id_)[0]) == "result"
    # The last line may lack its LF.
    id_, line = worker.request("ping")
    worker.write(line[:-1])
    assert worker.finish() == 0
    worker.wait(id_)


def rubbish_between_requests_costs_none_of_them(run: Run) -> None:
    worker = run.worker()
    ids = []
    for _ in range(50):
        ids.append(worker.send(run.rng.choice(["ping", "jobs/list", "nonsense", "export"])))
        rubbish = run.rng.randbytes(run.rng.randrange(200))
        worker.write(run.rng.choice([rubbish + b"\n", b"[]\n", b"\xef\xbb\xbf\n", b"{}\n"]))
    worker.wait(*ids)
    assert worker.finish() == 0


def requests_cancelled_at_any_moment_are_answered_once(run: Run) -> None:
    worker = run.worker("--cancel-grace", "0.3")
    ids = _some_work(run, worker)
    for id_ in run.rng.sample(ids, len(ids)):
        run.moment(0.6)
        worker.cancel(id_)
    assert set(kinds_of(worker.wait(*ids))) <= {"cancelled", "result"}
    assert kind_of(worker.wait(worker.transcribe())[0]) == "result"
    assert worker.finish() == 0


def a_signal_at_any_moment_answers_everything_and_leaves_nothing(run: Run) -> None:
    worker = run.worker()
    number = run.rng.choice([signal.SIGTERM, signal.SIGINT])
    # Before the worker handles the signal, it may simply die: wait for a reply first.
    worker.ask("ping")
    ids = _some_work(run, worker)
    last = worker.ask("ping")
    assert kind_of(last) == "result"
    run.moment(1.5)
    worker.process.send_signal(number)
    assert worker.process.wait(PATIENCE) == 128 + number
    assert set(kinds_of(worker.wait(*ids))) <= {"cancelled", "result"}


def the_end_of_input_at_any_moment_leaves_no_work_undone(run: Run) -> None:
    worker = run.worker()
    ids = _some_work(run, worker)
    run.moment(1.0)
    assert worker.finish() == 0
    assert set(kinds_of(worker.wait(*ids))) == {"result"}


def a_process_that_was_to_be_watched_and_ends_takes_everything_with_it(run: Run) -> None:
    watched = run.spawn(["sleep", "600"])
    worker = run.worker()
    assert kind_of(worker.ask("initialize", {"processId": watched.pid})) == "result"
    _some_work(run, worker)
    run.moment(1.5)
    worker.gone = True
    watched.kill()
    watched.wait()
    assert worker.process.wait(PATIENCE) == 1


def _some_work(run: Run, worker: Worker) -> list[int]:
    """A job in one engine, one of several stages, and one for the front."""
    work: list[Callable[[], int]] = [
        lambda: worker.transcribe(),
        lambda: worker.transcribe(formats=["srt"]),
        lambda: worker.send("export", large_export(run, 100_000)),
    ]
    run.rng.shuffle(work)
    return [ask() for ask in work]
