"""The worker meets every conformance vector, and the runner finds what is planted."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.conformance import Failure, Session, Vector, load_vectors, run_vector
from protocol.conformance.__main__ import main
from protocol.conformance.replies import BadReplyError, parse_answer
from protocol.conformance.vectors import Context, Step, encode
from tests.support import WORKER

WRONG_SERVER = Path(__file__).with_name("wrong_server.py")

# For each fault a vector that must find it; others may, too.
FOUND_BY = {
    "accepts-any-version": "requests/a missing jsonrpc member is -32600",
    "accepts-bool-ids": "ids/the id true is invalid: -32600 with the id null",
    "accepts-nan": "parse/not JSON is one -32700 with the id null: NaN",
    "accepts-scalar-params": 'requests/the params "bar" are -32600',
    "answers-blank-lines": "framing/blank lines are ignored",
    "answers-notifications": "notifications/a notification is never answered: an unknown method",
    "answers-with-both": "methods/a known method without params is answered",
    "collapses-batches": "specification/rpc call with invalid Batch",
    "dies-on-bad-utf8": "utf8/invalid UTF-8 is one -32700 with the id null: in the id",
    "dies-on-depth": "nesting/100000 opening brackets are refused once",
    "drops-ids": "requests/a readable string id is echoed on -32600",
    "empty-batch-empty": "specification/rpc call with an empty Array",
    "exits-without-last-line": "framing/the last line needs no LF",
    "float-ids": "ids/the id 2^53+1 is echoed exactly",
    "hangs-on-rubbish": "specification/rpc call with invalid JSON",
    "int-ids": "ids/the id 1e2 is echoed exactly",
    "keeps-bom": "framing/a BOM at the start of the stream is skipped",
    "lenient-utf8": "utf8/invalid UTF-8 in a string is -32700: an overlong slash in two bytes",
    "merges-ids": "batches/an id used twice in a batch is answered twice",
    "merges-lines": "parse/not JSON is one -32700 with the id null: two objects on a line",
    "normalises-ids": "ids/a string id is echoed: string with spaces around",
    "null-is-notification": "ids/a request with the id null is answered with the id null",
    "prints": "framing/a BOM at the start of the stream is skipped",
    "refuses-cr": "framing/a CR before the LF is tolerated",
    "refuses-extras": "requests/extra members are tolerated",
    "skips-every-bom": "framing/a BOM in the middle of the stream is -32700",
    "splits-cr": "requests/a bare CR between tokens is white space and ends no line",
    "splits-u2028": "framing/U+2028 in a string ends no line",
    "stops-at-64k": "framing/a line of 1 MiB is served",
    "two-errors": "specification/rpc call with an invalid Batch (but not empty)",
    "unwraps-single-batches": "batches/a batch of one request is answered by an array of one",
    "writes-empty-batches": "specification/rpc call Batch (all notifications)",
    "wrong-code": "specification/rpc call of non-existent method",
}
VECTORS = load_vectors("worker")
CORE = load_vectors("core")
BY_NAME = {vector.full_name: vector for vector in VECTORS}


def wrong_server(fault: str = "") -> list[str]:
    return [sys.executable, str(WRONG_SERVER), *([fault] if fault else [])]


def names(vector: Vector) -> str:
    # pytest writes ids to terminals and to the environment.
    return re.sub(r"[^ -~]", "?", vector.full_name)


@pytest.fixture(scope="session")
def worker() -> Iterator[Session]:
    session = Session(WORKER)
    yield session
    assert session.close() is None


@pytest.fixture(scope="session")
def reference() -> Iterator[Session]:
    session = Session(wrong_server())
    yield session
    assert session.close() is None


@pytest.mark.parametrize("vector", VECTORS, ids=names)
def test_worker_meets(worker: Session, vector: Vector) -> None:
    failure = run_vector(worker, vector)
    assert failure is None, str(failure)


@pytest.mark.parametrize("vector", CORE, ids=names)
def test_correct_server_meets(reference: Session, vector: Vector) -> None:
    failure = run_vector(reference, vector)
    assert failure is None, str(failure)


@pytest.mark.parametrize("fault", FOUND_BY)
def test_planted_fault_is_found(fault: str) -> None:
    # Two seconds must pass only where the fault is that nothing is answered.
    with Session(wrong_server(fault), time_limit=2) as session:
        assert isinstance(session.run(BY_NAME[FOUND_BY[fault]]), Failure)


def test_every_planted_fault_is_tested() -> None:
    spec = importlib.util.spec_from_file_location("wrong_server", WRONG_SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wrong_server"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["wrong_server"]
    assert set(module.FAULTS) - module.HARMLESS == set(FOUND_BY)


def test_server_without_the_example_methods_passes_with_method_not_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "specification/", "--", *wrong_server("no-examples")]) == 0
    assert "-32601 was expected" in capsys.readouterr().out


def test_after_a_crash_the_next_vector_gets_a_fresh_process() -> None:
    with Session(wrong_server("dies-on-depth")) as session:
        failure = session.run(BY_NAME["nesting/100000 opening brackets are refused once"])
        assert failure is not None
        assert "ended" in failure.reason
        assert session.run(BY_NAME["batches/an empty batch is one -32600, not an array"]) is None


def test_failure_shows_the_exchange_and_stderr() -> None:
    with Session(wrong_server("dies-on-bad-utf8")) as session:
        text = str(session.run(BY_NAME[FOUND_BY["dies-on-bad-utf8"]]))
    for part in ("FAIL utf8/", "sent ", "-32700", "got       nothing", "UnicodeDecodeError"):
        assert part in text


def test_report_as_json_names_the_failures(capsys: pytest.CaptureFixture[str]) -> None:
    only = "specification/rpc call with*"
    assert main(["--json", "--only", only, "--", *wrong_server("empty-batch-empty")]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [failure["name"] for failure in report["failures"]] == [
        "specification/rpc call with an empty Array"
    ]
    assert report["passed"] == len(load_vectors("core", only)) - 1
    assert report["failed"] == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["--"], ["--profile", "x", "--", "true"], ["--only", "no such vector", "--", "true"]],
    ids=repr,
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err


def test_command_that_cannot_be_started_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--", "/no/such/command"]) == 2
    assert "cannot start" in capsys.readouterr().err


def test_runner_needs_nothing_of_the_worker() -> None:
    code = "import sys, protocol.conformance.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.split(".")[0] == "worker"]


def test_vectors_have_unique_names_and_expectations() -> None:
    assert len(BY_NAME) == len(VECTORS)
    for vector in VECTORS:
        assert encode(vector.send, Context(max_line_bytes=4096)) or vector.close
        assert not (vector.expect is not None and vector.expect_any is not None)


def test_vector_files_are_ascii() -> None:
    folder = Path(sys.modules["protocol.conformance"].__file__ or "").with_name("vectors")
    for path in folder.glob("*.jsonl"):
        assert path.read_bytes().isascii(), path.name


def test_steps_stand_for_exact_bytes() -> None:
    context = Context(ping_method='p"é😀', max_line_bytes=100, process_id=7)
    steps = [
        "$PING $PID",
        Step(text="$ESCAPED_PING", end=""),
        Step(hex="ff00", end="\r\n"),
        Step(base64="AAE="),
        Step(repeat="<#>", count=3, numbered=True, join=","),
        Step(parts=["a", Step(hex="c3"), "b"]),
        Step(repeat="x", total="limit+1", prefix="[", suffix="]", end=""),
    ]
    assert encode(steps, context) == [
        'p\\"é😀 7\n'.encode(),
        b"\\u0070\\u0022\\u00e9\\ud83d\\ude00",
        b"\xff\x00\r\n",
        b"\x00\x01\n",
        b"<0>,<1>,<2>\n",
        b"a\xc3b\n",
        b"[" + b"x" * 99 + b"]",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"result":1}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}\n',
        b'{"jsonrpc":"2.0","id":1,"result":"\xff"}\n',
        b'{"jsonrpc":"2.0","id":1}\n',
        b'{"id":1,"result":1}\n',
        b'{"jsonrpc":"2.0","result":1}\n',
        b'{"jsonrpc":"2.0","id":true,"result":1}\n',
        b'{"jsonrpc":"2.0","id":1,"id":2,"result":1}\n',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":null}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"m"}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":1} {}\n',
        b"[]\n",
        b"[[]]\n",
        b"1\n",
        b"\n",
        b"ready\n",
    ],
)
def test_an_invalid_reply_is_refused(line: bytes) -> None:
    with pytest.raises(BadReplyError):
        parse_answer(line)


def test_notifications_of_the_server_are_skipped() -> None:
    assert parse_answer(b'{"jsonrpc":"2.0","method":"$/logMessage","params":{}}\n') is None
