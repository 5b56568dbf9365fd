"""The OpenRPC document: fresh, valid, complete, and true of the worker."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from protocol import openrpc
from protocol.errors import KINDS, RpcError
from protocol.methods import NOTIFICATIONS, REQUESTS
from tests.hub import serving
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    Session,
    samples_of,
)
from tests.test_probe import TORCH, Faults

DOCUMENT: dict[str, Any] = json.loads(openrpc.discover())
METHODS = {method["name"]: method for method in DOCUMENT["methods"]}
NOTICES = {notice["name"]: notice for notice in DOCUMENT["x-notifications"]}
EXAMPLES: dict[str, Any] = json.loads(Path(openrpc.__file__).with_name("examples.json").read_text())
"""In the order of a session."""
EXACT = ("ping", "transcribe", "align", "diarize", "export", "shutdown")
"""Their results are the same on every machine; those of others have the same form."""
VOLATILE = ("computeType", "device", "realTimeFactor", "timings")


def check(value: object, schema: dict[str, Any]) -> None:
    """Fail where the value is not what a schema of the document wants."""
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(value)


def check_by_name(params: dict[str, Any], descriptors: list[dict[str, Any]]) -> None:
    """Fail where params are not what the document says."""
    assert params.keys() <= {each["name"] for each in descriptors}
    assert params.keys() >= {each["name"] for each in descriptors if each["required"]}
    for each in descriptors:
        if each["name"] in params:
            check(params[each["name"]], each["schema"])


def check_shown(shown: Any, given: Any, *, exact: bool) -> None:
    """Fail where the result of an example is not, or not a part of, what the worker gave."""
    if isinstance(shown, dict):
        assert shown.keys() <= given.keys()
        for name, value in shown.items():
            check_shown(value, given[name], exact=exact and name not in VOLATILE)
    elif isinstance(shown, list):
        assert isinstance(given, list)
        assert len(shown) == len(given) or not exact
        for one, other in zip(shown, given, strict=exact):
            check_shown(one, other, exact=exact)
    elif exact:
        assert given == (pytest.approx(shown, rel=0.05, abs=0.05) if _number(shown) else shown)
    elif shown is not None and given is not None:
        assert isinstance(given, type(shown)) or (_number(shown) and _number(given))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A folder with the examples' recordings, and a hub with their models."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(RECORDINGS / "en-02.flac", folder / "speech.flac")
    shutil.copy(MIXTURES / "mixture-01.flac", folder / "meeting.flac")
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        hub.add("Systran/faster-whisper-small", MODEL, licence="mit")
        hub.add("facebook/wav2vec2-base-960h", ALIGNMENT_MODEL)
        hub.add("pyannote/speaker-diarization-community-1", DIARIZATION_MODEL)
        patch.chdir(folder)
        yield {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub")}


@pytest.fixture(scope="module")
def session(environment: dict[str, str]) -> Iterator[Session]:
    """The session that the examples are."""
    with Session(env=environment) as session:
        yield session


def test_document_and_reference_are_fresh_and_deterministic() -> None:
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "protocol.openrpc", "--check"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=False,
        )
        assert done.returncode == 0, "run python -m protocol.openrpc"


def test_a_stale_document_is_noticed(tmp_path: Path) -> None:
    copy = shutil.copytree(Path(openrpc.__file__).parent, tmp_path / "protocol")
    with (copy / "METHODS.md").open("a") as file:
        file.write("\n")
    command = [sys.executable, "-m", "protocol.openrpc"]
    codes = [
        subprocess.run([*command, *more], cwd=tmp_path, check=False).returncode
        for more in (["--check"], [], ["--check"])
    ]
    assert codes == [1, 0, 0]
    assert (copy / "openrpc.json").read_bytes() == openrpc._DOCUMENT.read_bytes()


def test_document_is_valid_by_the_meta_schema() -> None:
    here = Path(__file__).parent / "openrpc"
    meta = json.loads((here / "meta-schema.json").read_text())
    json_schema = DRAFT7.create_resource(json.loads((here / "json-schema.json").read_text()))
    places = ("https://meta.json-schema.tools", "https://meta.json-schema.tools/")
    registry: Registry[Any] = Registry().with_resources((place, json_schema) for place in places)
    validator = Draft7Validator(meta, registry=registry)
    validator.validate(DOCUMENT)
    assert not validator.is_valid({**DOCUMENT, "methods": [{"name": "no params"}]})
    broken = {"name": "x", "params": [{"name": "p", "schema": {"type": "nothing"}}]}
    assert not validator.is_valid({**DOCUMENT, "methods": [broken]})


def test_every_method_is_documented() -> None:
    assert METHODS.keys() == REQUESTS.keys()
    assert NOTICES.keys() == {*NOTIFICATIONS, "$/progress", "$/logMessage"}
    for method in METHODS.values():
        assert method["summary"] and method["examples"]
        wire = DOCUMENT["components"]["schemas"][method["x-params"]["$ref"].rpartition("/")[2]]
        assert {each["name"] for each in method["params"]} == wire["properties"].keys()
    assert EXAMPLES.keys() == METHODS.keys() | NOTICES.keys()


def test_schemas_are_valid_and_references_resolve() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    errors = DOCUMENT["components"]["errors"]
    known = {f"#/components/schemas/{name}" for name in schemas}
    known |= {f"#/components/errors/{name}" for name in errors}
    assert set(references(DOCUMENT)) <= known


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_errors_match_the_table_with_distinct_codes() -> None:
    errors = DOCUMENT["components"]["errors"]
    for kind, error in errors.items():
        told = RpcError(kind)
        assert error == {"code": told.code, "message": told.message, "data": told.data}
    assert errors.keys() == KINDS.keys()
    listed = set(openrpc.COMMON_ERRORS)
    for method in REQUESTS.values():
        codes = [KINDS[kind].code for kind in method.errors]
        assert len(codes) == len(set(codes)), method.name
        listed.update(method.errors)
    assert listed == KINDS.keys()


def test_descriptions_are_the_docstrings_of_the_structs() -> None:
    params = {each["name"]: each for each in METHODS["transcribe"]["params"]}
    assert params["align"]["description"] == ("Time the words exactly, with an alignment model.")
    assert params["vadFilter"]["description"] == (
        "Skip what Silero VAD classifies as silence. Null means true with `whisper`, in batched "
        "mode and with `channelSpeakers`, otherwise false."
    )
    assert params["name"]["description"].startswith("Name of those files")
    assert params["priority"]["description"] == "Interactive requests overtake batch requests."
    assert params["temperature"]["schema"]["default"] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_discovery_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from protocol.openrpc import discover\n"
        "assert discover().count(b'\\n') == 0\n"
        "print(*{'argparse', 'asyncio', 'numpy', 'protocol.transcription'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == []


def test_links_of_the_reference_resolve() -> None:
    text = Path(openrpc.__file__).with_name("METHODS.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = set(re.findall(r"\]\(#([^)]*)\)", text))
    assert {"transcribe", "modelslist", "segment"} <= links <= anchors
    assert len(headings) == len({each.lower() for each in headings})


def test_the_worker_answers_with_the_document(session: Session) -> None:
    assert session.call("rpc.discover") == DOCUMENT


def test_notifications_match_the_document(environment: dict[str, str]) -> None:
    with Session(env=environment) as session:
        for name in ("initialize", "transcribe"):
            session.result(session.send(name, EXAMPLES[name]["params"]), session._keep)
        for name in ("initialized", "$/cancelRequest"):
            session.notify(name, EXAMPLES[name]["params"])
        session.call("shutdown")
        session.notify("exit", EXAMPLES["exit"]["params"])
    assert session.process.returncode == 0
    for notice in session.notifications:
        check_by_name(notice["params"], NOTICES[notice["method"]]["params"])
    values = [each["params"] for each in session.notifications if each["method"] == "$/progress"]
    assert {each["value"].get("kind") for each in values} == {"begin", "report", "end", None}
    assert {each["method"] for each in session.notifications} == {"$/progress", "$/logMessage"}


@pytest.mark.parametrize("name", NOTICES)
def test_example_of_a_notification_is_valid(name: str) -> None:
    check_by_name(EXAMPLES[name]["params"], NOTICES[name]["params"])


@pytest.fixture(scope="module")
def prober(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A session that finds no torch: importing that and what needs it is most of a probe."""
    with pytest.MonkeyPatch.context() as patch:
        Faults(tmp_path_factory.mktemp("probe") / "faults", patch).hide(*TORCH)
        hub = {name: environment[name] for name in ("HF_ENDPOINT", "HF_HOME")}
        with Session(env={**os.environ, **hub}) as session:
            yield session


def answer(session: Session, name: str, params: dict[str, Any]) -> Any:
    """What the worker answers; a job is open, or a stream, for methods that are about these."""
    if name == "jobs/list":
        job = session.send("transcribe", EXAMPLES["transcribe"]["params"])
        given = session.call(name, params)
        session.result(job)  # or it would keep its model busy
        return given
    if not name.startswith("live/"):
        return session.call(name, params)
    opening = EXAMPLES["live/transcribe"]["params"]
    stream = session.send("live/transcribe", opening)
    if name == "live/transcribe":
        audio = base64.b64encode(samples_of("en-02.flac").tobytes()).decode()
        session.notify("live/append", {"stream": opening["stream"], "audio": audio})
    else:
        given = session.call(name, params)
    session.notify("live/finish", {"stream": opening["stream"]})
    result = session.result(stream)
    Path(opening["record"]).unlink()
    return result if name == "live/transcribe" else given


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in METHODS])
def test_example_of_a_method_is_true(
    name: str, session: Session, request: pytest.FixtureRequest
) -> None:
    example, method = EXAMPLES[name], METHODS[name]
    if name == "environment/probe":
        session = request.getfixturevalue("prober")
    check_by_name(example["params"], method["params"])
    check(example["params"], method["x-params"])
    check(example["result"], method["result"]["schema"])
    given = answer(session, name, example["params"])
    check(given, method["result"]["schema"])
    check_shown(example["result"], given, exact=name in EXACT)


@pytest.mark.parametrize(
    ("name", "params", "kind"),
    [
        ("initialize", {"processId": "mine"}, "invalid_params"),
        ("transcribe", {"audio": "missing.flac", "model": "small"}, "audio_not_found"),
        ("align", {"audio": "speech.flac", "text": "b", "language": "xx"}, "language_unsupported"),
        pytest.param(
            "diarize",
            {"audio": "speech.flac", "model": "no/pipeline"},
            "model_not_cached",
            marks=pytest.mark.slow,
        ),
        ("models/remove", {"model": "large-v3"}, "model_not_cached"),
        ("models/download", {"model": "no/model"}, "model_not_found"),
    ],
)
def test_errors_of_a_method_are_documented(
    name: str, params: dict[str, Any], kind: str, environment: dict[str, str]
) -> None:
    with Session(env=environment) as session, pytest.raises(RpcError) as caught:
        session.call(name, params)
    assert caught.value.kind == kind
    assert {"$ref": f"#/components/errors/{kind}"} in METHODS[name]["errors"]
