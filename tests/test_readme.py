"""What the documents show is true: a test runs, replays, compiles or checks each block."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from protocol import openrpc
from protocol.errors import KINDS
from tests.snippets import (
    ROOT,
    Snippet,
    Workplace,
    check_output,
    documents,
    snippets,
    unfenced,
    workplace,
)
from tests.support import PATIENCE, WORKER, Session
from worker.client import Client

README = "README.md"
PROTOCOL = "protocol/README.md"
WORKER_README = "worker/README.md"
DOCUMENTS = documents()
HERE = "tests/test_readme.py"
REAL = "tests/real/test_readme.py"
GUIDE = "protocol/typescript/test/readme.test.ts"
CHECKED_BY = {
    (README, "sh"): HERE,
    (README, "python"): HERE,
    (README, "jsonrpc"): HERE,
    (README, "ts"): GUIDE,
    (PROTOCOL, "jsonrpc"): HERE,
    (WORKER_README, "sh"): HERE,
    **{("examples/electron/README.md", language): GUIDE for language in ("ts", "html", "json")},
    **{
        ("protocol/typescript/README.md", language): "protocol/typescript/test/package.test.ts"
        for language in ("sh", "ts")
    },
    ("examples/ray/README.md", "sh"): "tests/test_ray.py",
    ("examples/shell/README.md", "sh"): "tests/test_shell.py",
}
"""The file of tests that runs the blocks of a document, by their language.

Commands that only build, test or measure may stand in any document: see `builds`.
"""
BLOCKS = [block for document in DOCUMENTS for block in snippets(document)]
SESSIONS = {
    document: [
        line
        for block in BLOCKS
        if (block.document, block.language) == (document, "jsonrpc")
        for line in block.text.splitlines()
    ]
    for document in (README, PROTOCOL)
}
REMAINING = "…"
"""Stands for any value, for what is left of an object or list, and for any part of a string."""


def commands(block: Snippet) -> list[list[str]]:
    """The words of each command of a block that has nothing but simple commands."""
    lines = (line.partition("#")[0] for line in block.text.splitlines())
    return [words for line in lines for part in line.split("&&") if (words := part.split())]


def module(words: list[str]) -> str:
    """The module that a command tests or measures the project by; empty for other commands."""
    rooms = ("benchmarks.", "tests.", "protocol.conformance")
    python, name = words[:2], words[2] if len(words) > 2 else ""
    return name if python == [".venv/bin/python", "-m"] and name.startswith(rooms) else ""


def builds(block: Snippet) -> bool:
    """Whether a block only builds, tests or measures the project, which takes too long here."""
    programs = {"make", "npm", "cd", "pip"}
    return block.language == "sh" and all(
        words[0] in programs or module(words) for words in commands(block)
    )


def options_of(name: str) -> set[str]:
    """The options that a module's command line takes, from its source: `--help` can take long."""
    spec = find_spec(name)
    assert spec and spec.origin
    origin = Path(spec.origin)
    files = origin.parent.glob("*.py") if origin.name == "__init__.py" else [origin]
    return {each for file in files for each in re.findall(r'"(--[a-z-]+)"', file.read_text())}


def is_real(block: Snippet) -> bool:
    """Whether a block needs real models."""
    return "call.wav" in block.text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("readme")) as place:
        yield place


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_is_checked(document: str) -> None:
    blocks = [each for each in snippets(document) if not builds(each)]
    unchecked = [each for each in blocks if (each.document, each.language) not in CHECKED_BY]
    assert [str(each) for each in unchecked] == []
    assert unfenced(document) == []


@pytest.mark.parametrize(("document", "language"), CHECKED_BY)
def test_each_check_has_something_to_check(document: str, language: str) -> None:
    assert any((each.document, each.language) == (document, language) for each in BLOCKS)
    if (checker := CHECKED_BY[document, language]) != HERE:
        named = document if checker.endswith(".py") else Path(document).name
        assert named in (ROOT / checker).read_text("utf-8")


def test_the_first_commands_do_the_job_and_test_the_project() -> None:
    first = next(each for each in BLOCKS if each.document == README)
    assert commands(first) == [["make", "run"], ["make", "test"]]


def test_the_readme_is_short() -> None:
    assert len((ROOT / README).read_text("utf-8").splitlines()) <= 220


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            each, id=str(each), marks=[pytest.mark.slow] if "diagnose" in each.text else []
        )
        for each in BLOCKS
        if CHECKED_BY.get((each.document, each.language)) == HERE
        and each.language in ("sh", "python")
        and not builds(each)
        and not is_real(each)
    ],
)
def test_block_runs_as_it_stands(block: Snippet, place: Workplace) -> None:
    check_output(block, place.run(block))


@pytest.mark.parametrize("block", [each for each in BLOCKS if builds(each)], ids=str)
def test_what_builds_exists(block: Snippet, place: Workplace, tmp_path: Path) -> None:
    folder = ROOT
    for words in commands(block):
        program, *args = words
        if program == "cd":
            folder = folder / args[0]
        elif program == "make":
            command = [program, "--dry-run", *args]
            subprocess.run(command, cwd=folder, env=place.env, check=True, capture_output=True)
        elif program == "npm":
            scripts = json.loads((folder / "package.json").read_text("utf-8"))["scripts"]
            assert args[-1] in {"ci", "install", *scripts}
        elif program == "pip":
            options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(tmp_path)]
            command = [sys.executable, "-m", "pip", *args, *options]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            assert (tmp_path / "bin" / "transcription-worker").exists()
        else:
            options = {each for each in args if each.startswith("--")} - {"--"}
            assert options <= options_of(module(words))


# The recorded session ---------------------------------------------------------------------------


def check_like(shown: Any, given: Any, place: str = "$") -> None:
    """Fail where what came is not what is shown. Numbers may differ a little."""
    if isinstance(shown, dict):
        assert isinstance(given, dict), place
        rest = REMAINING in shown
        names = shown.keys() - {REMAINING}
        assert names <= given.keys() if rest else names == given.keys(), (place, given)
        for name in names:
            check_like(shown[name], given[name], f"{place}.{name}")
    elif isinstance(shown, list):
        assert isinstance(given, list), place
        wanted = shown[:-1] if shown[-1:] == [REMAINING] else shown
        assert len(given) >= len(wanted) if wanted is not shown else len(given) == len(wanted)
        for i, (one, other) in enumerate(zip(wanted, given, strict=False)):
            check_like(one, other, f"{place}[{i}]")
    elif isinstance(shown, str) and REMAINING in shown:
        pattern = ".*".join(map(re.escape, shown.split(REMAINING)))
        assert shown == REMAINING or re.fullmatch(pattern, given, re.DOTALL), (place, given)
    elif isinstance(shown, float):
        assert given == pytest.approx(shown, abs=0.05), place
    else:
        assert (type(given), given) == (type(shown), shown), place


def fits(shown: Any, given: Any) -> bool:
    try:
        check_like(shown, given)
    except AssertionError:
        return False
    return True


def is_notification(message: Any) -> bool:
    return isinstance(message, dict) and "method" in message


def replay(lines: list[str], session: Client) -> None:
    """Send what is sent and compare what comes; progress that is not shown may come too."""
    for line in lines:
        direction, _, text = line.partition(" ")
        shown = json.loads(text)
        if direction == ">":
            session._write(shown)
            continue
        assert direction == "<"
        while True:
            given = session.next_message(PATIENCE)
            if not is_notification(given):
                check_like(shown, given)
                break
            assert given["method"] == "$/progress"
            if fits(shown, given):
                break


@pytest.mark.parametrize("document", SESSIONS)
def test_the_recorded_session_is_what_the_worker_says(
    document: str, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, env = place.settle(f"session of {Path(document).parent.name}")
    monkeypatch.chdir(folder)
    with Session(WORKER, env=env) as session:
        replay(SESSIONS[document], session)
        if document == README:  # the other session ends with `exit`
            session.close_input()
        assert list(session.messages()) == []
    assert session.process.returncode == 0


def test_the_recorded_session_has_each_way_of_speaking() -> None:
    shown = [json.loads(line[2:]) for line in SESSIONS[PROTOCOL]]
    messages = [each for each in shown if isinstance(each, dict)]
    methods = {each["method"] for each in messages if "method" in each}
    assert {"initialize", "transcribe", "$/progress", "$/cancelRequest", "exit"} <= methods
    assert {each["error"]["code"] for each in messages if "error" in each} >= {-32602, -32800}
    assert any(isinstance(each, list) for each in shown)


@pytest.mark.parametrize(
    ("shown", "given"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "…": "…"}, {"b": 2}),
        ([1], [1, 2]),
        ([1, 2, "…"], [1]),
        ("There is … file", "There is no fire"),
        (1.5, 1.6),
        (1, True),
        (1, 2),
    ],
)
def test_a_session_that_went_otherwise_is_noticed(shown: Any, given: Any) -> None:
    assert not fits(shown, given)
    assert fits(shown, shown)


# The tables -------------------------------------------------------------------------------------


def test_a_table_that_is_stale_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = openrpc.generate()
    text = (ROOT / PROTOCOL).read_text("utf-8")
    copy = tmp_path / "README.md"
    monkeypatch.setattr(openrpc, "_TABLES", {copy: ("errors",)})
    copy.write_text(text.replace("| `out_of_memory` |", "| `memory_out` |"), "utf-8")
    assert openrpc.embed(copy, document) == text
    copy.write_text(text.replace("<!-- errors -->", ""), "utf-8")
    with pytest.raises(ValueError, match="0 places"):
        openrpc.embed(copy, document)


def test_the_table_of_errors_says_of_each_kind_what_to_do() -> None:
    table, prose = (ROOT / PROTOCOL).read_text("utf-8").split("<!-- /errors -->")
    for kind in KINDS.values():
        assert f"\n| `{kind.name}` | {kind.summary} |" in table
        assert kind.remedy or f"`{kind.name}`" in prose, kind.name


def test_the_worker_s_readme_names_each_of_its_rooms() -> None:
    text = (ROOT / WORKER_README).read_text("utf-8")
    for file in (ROOT / "worker").rglob("*.py"):
        room = file.parent.relative_to(ROOT).as_posix()
        assert f"### {room}/\n" in text


def anchors(text: str) -> set[str]:
    headings: list[str] = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links: list[str] = re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8"))
    for link in links:
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link
