"""What the documents show is true: each of their blocks has a test that runs it.

TypeScript, HTML and JSON are for `protocol/typescript/test/readme.test.ts` and `package.test.ts`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from protocol import openrpc
from protocol.errors import KINDS
from tests.snippets import (
    ROOT,
    Snippet,
    Workplace,
    check_output,
    snippets,
    unfenced,
    workplace,
)
from tests.support import WORKER, Session
from worker.client import Client

README = "README.md"
ELSEWHERE = {
    "examples/ray/README.md": "test_ray.py",
    "examples/shell/README.md": "test_shell.py",
}
"""Documents whose blocks another file of tests runs."""
DOCUMENTS = [
    README,
    "protocol/typescript/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("examples/*/README.md")),
]
RUN = {
    README: {"sh", "python", "jsonrpc", "ts", "html", "json"},
    "protocol/typescript/README.md": {"ts"},
    **{document: {"sh"} for document in ELSEWHERE},
}
"""The kinds of block that a test runs, by document; what only builds may stand in any."""
BLOCKS = [block for document in DOCUMENTS for block in snippets(document)]
SESSION = [
    line for block in BLOCKS if block.language == "jsonrpc" for line in block.text.splitlines()
]
REMAINING = "…"
"""Stands for any value, for what is left of an object or list, and for any part of a string."""


def commands(block: Snippet) -> list[list[str]]:
    """The words of each command of a block that has nothing but simple commands."""
    lines = (line.partition("#")[0] for line in block.text.splitlines())
    return [words for line in lines for part in line.split("&&") if (words := part.split())]


def builds(block: Snippet) -> bool:
    """Whether a block only builds or tests the project, as the tests cannot do once more."""
    programs = {"make", "npm", "cd"}
    return block.language == "sh" and all(words[0] in programs for words in commands(block))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("readme")) as place:
        yield place


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_block_is_run(document: str) -> None:
    """A new block fails here until it is of a kind that a test runs."""
    kinds = RUN.get(document, set())
    blocks = snippets(document)
    assert [str(each) for each in blocks if each.language not in kinds and not builds(each)] == []
    assert unfenced(document) == []
    assert kinds <= {each.language for each in blocks}
    if document in ELSEWHERE:
        assert f'snippets("{document}")' in (ROOT / "tests" / ELSEWHERE[document]).read_text(
            "utf-8"
        )


@pytest.mark.parametrize(
    "block",
    [
        each
        for each in BLOCKS
        if each.document not in ELSEWHERE and each.language in ("sh", "python") and not builds(each)
    ],
    ids=str,
)
def test_block_runs_as_it_stands(block: Snippet, place: Workplace) -> None:
    check_output(block, place.run(block))


@pytest.mark.parametrize("block", [each for each in BLOCKS if builds(each)], ids=str)
def test_what_builds_is_there_to_be_built(block: Snippet, place: Workplace) -> None:
    folder = ROOT
    for program, *args in commands(block):
        if program == "cd":
            folder = folder / args[0]
        elif program == "make":
            command = [program, "--dry-run", *args]
            subprocess.run(command, cwd=folder, env=place.env, check=True, capture_output=True)
        else:
            scripts = json.loads((folder / "package.json").read_text("utf-8"))["scripts"]
            assert args[-1] in {"ci", "install", *scripts}


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
            given = session.next_message(60)
            if not is_notification(given):
                check_like(shown, given)
                break
            assert given["method"] == "$/progress"
            if fits(shown, given):
                break


def test_the_recorded_session_is_what_the_worker_says(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, env = place.settle("session")
    monkeypatch.chdir(folder)
    with Session(WORKER, env=env) as session:
        replay(SESSION, session)
        assert list(session.messages()) == []
    assert session.process.returncode == 0


def test_the_recorded_session_has_each_way_of_speaking() -> None:
    shown = [json.loads(line[2:]) for line in SESSION]
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


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    text = (ROOT / README).read_text("utf-8")
    match = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert match
    ends = re.compile(rf"^#{{1,{len(match[1])}}} ", re.MULTILINE)
    end = ends.search(text, match.end())
    return text[match.end() : end.start() if end else None]


def test_a_table_that_is_stale_is_noticed() -> None:
    text = (ROOT / README).read_text("utf-8")
    document = openrpc.generate()
    assert openrpc.embed(text, document) == text
    assert openrpc.embed(text.replace("| `out_of_memory` |", "| `memory_out` |"), document) == text
    with pytest.raises(ValueError, match="0 places"):
        openrpc.embed(text.replace("<!-- errors -->", ""), document)


def test_troubleshooting_says_of_each_kind_what_to_do() -> None:
    trouble = section("By `data.kind`")
    table, prose = trouble.split("<!-- /errors -->")
    for kind in KINDS.values():
        assert f"\n| `{kind.name}` | {kind.summary} |" in table
        assert kind.remedy or f"`{kind.name}`" in prose, kind.name


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
