"""The life of models through the worker: fetched, loaded once, kept, evicted, given back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from protocol.errors import RpcError
from tests.hub import Hub, serving
from tests.support import (
    MODEL,
    PATIENCE,
    RECORDINGS,
    WORKER,
    Session,
    children,
    kill_hard,
    tree,
    wait_until_gone,
)

SPEECH = RECORDINGS / "en-01.flac"
MB = 1_000_000
Start = Callable[..., Session]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub with the test model as `some/whisper`."""
    with serving() as hub:
        hub.add("some/whisper", MODEL, licence="mit")
        yield hub


@pytest.fixture
def online(hub: Hub, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with that hub and an empty cache."""
    hub.requests.clear()
    yield {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    hub.heal()


def refused(session: Session, method: str, **params: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        session.call(method, params)
    return caught.value


def resident(session: Session) -> int:
    """Resident memory of the worker and all of its processes, in bytes."""
    worker = psutil.Process(session.process.pid)
    total = 0
    for process in (worker, *worker.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def loaded(session: Session) -> list[dict[str, Any]]:
    """The models in memory."""
    rows = session.call("models/list", {"cachedOnly": True})["models"]
    return [each for row in rows for each in row["loaded"]]


def copies(directory: Path, count: int) -> list[str]:
    """So many models, each a directory of its own."""
    return [str(shutil.copytree(MODEL, directory / f"model {number}")) for number in range(count)]


def reports(session: Session) -> list[dict[str, Any]]:
    values = [note["params"]["value"] for note in session.notifications]
    return [value for value in values if value.get("kind") == "report"]


# Memory


def test_after_unload_the_memory_of_the_process_tree_is_that_of_idle(start: Start) -> None:
    session = start()
    session.call("models/unload")
    idle = resident(session)
    for _ in range(3):
        session.transcribe(SPEECH)
        assert resident(session) - idle > 50 * MB
        result = session.call("models/unload")
        (unloaded,) = result["unloaded"]
        assert (unloaded["model"], unloaded["state"]) == (str(MODEL), "idle")
        assert result["freedMemory"] == unloaded["memory"] > 50 * MB
        assert resident(session) - idle < 5 * MB
    assert children(session.process.pid) == []


def test_a_budget_for_two_models_is_never_exceeded_by_four_in_turn(
    start: Start, tmp_path: Path
) -> None:
    models = copies(tmp_path, 4)
    scout = start()
    scout.transcribe(SPEECH, model=models[0])
    (info,) = loaded(scout)
    budget = scout.call("models/list")["memory"]["used"] + round(1.5 * info["memory"])
    session = start("serve", "--memory-budget", str(budget))
    highest, over = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.02):
            highest = max(highest, resident(session))

    watcher = threading.Thread(target=watch)
    watcher.start()
    side_by_side = 0
    for model in models:
        assert session.transcribe(SPEECH, model=model)["segments"]
        side_by_side = max(side_by_side, len(children(session.process.pid)))
    over.set()
    watcher.join()
    assert side_by_side == 2
    assert highest <= budget
    memory = session.call("models/list")["memory"]
    assert memory["budget"] == budget
    assert 0 < memory["used"] <= budget < memory["total"]


def test_a_model_that_cannot_fit_is_refused_with_a_remedy(start: Start) -> None:
    session = start("serve", "--memory-budget", "60MB")
    error = refused(session, "transcribe", audio=str(SPEECH), model=str(MODEL))
    assert error.kind == "model_does_not_fit"
    assert error.data["needed"] > error.data["available"]
    assert "memory-budget" in error.data["remedy"]


# Loading and keeping


def test_twenty_requests_for_one_model_cause_one_load(start: Start) -> None:
    session = start()
    ids = [session.send_transcribe(SPEECH) for _ in range(20)]
    texts = {session.result(id_)["text"] for id_ in ids}
    assert len(texts) == 1
    (info,) = loaded(session)
    assert (info["loads"], info["jobs"], info["state"]) == (1, 0, "idle")
    assert len({info["processId"], *children(session.process.pid)}) <= 2  # and the hub's engine


def test_a_model_is_loaded_ahead_and_tells_when_it_will_go(start: Start) -> None:
    session = start()
    result = session.call("models/load", {"model": str(MODEL), "keepAlive": 60})
    model = result["model"]
    assert (model["state"], model["device"], model["task"]) == ("idle", "cpu", "recognition")
    assert model["expiresAt"] > model["idleSince"]
    assert result["loadSeconds"] > 0
    transcript = session.transcribe(SPEECH, keepAlive="forever")
    assert transcript["timings"]["load"] < result["loadSeconds"]
    (info,) = loaded(session)
    assert (info["processId"], info["loads"]) == (model["processId"], 1)
    assert info["expiresAt"] is None
    assert info["memory"] > 50 * MB


def test_a_model_goes_when_its_time_is_over(start: Start) -> None:
    session = start("serve", "--keep-alive", "0")
    session.transcribe(SPEECH)
    (engine,) = children(session.process.pid) or [0]
    wait_until_gone([engine])
    session.transcribe(SPEECH, keepAlive="forever")
    assert [each["loads"] for each in loaded(session)] == [2]


def test_every_option_of_a_model_is_checked_against_its_task(start: Start) -> None:
    session = start()
    for params, path in (
        ({"task": "recognition", "language": "en"}, "$.language"),
        ({"task": "recognition", "device": "mps"}, "$.device"),
        ({"task": "alignment", "language": "en", "computeType": "int8"}, "$.computeType"),
        ({"task": "alignment"}, "$.language"),
        ({"task": "diarization", "threads": 2}, "$.threads"),
        ({"task": "nonsense"}, "$.task"),
        ({"keepAlive": -1}, "$.keepAlive"),
    ):
        error = refused(session, "models/load", **params)
        assert (error.kind, error.data["path"]) == ("invalid_params", path)


def test_a_model_in_use_is_unloaded_only_when_it_is_free(start: Start, long_file: Path) -> None:
    session = start()
    id_ = session.send_transcribe(long_file, partialResultToken=1)
    session.wait_for_partial()
    error = refused(session, "models/unload", model=str(MODEL))
    assert (error.kind, error.data["model"]) == ("model_busy", str(MODEL))
    assert session.call("models/unload", {"whenBusy": "skip"})["unloaded"] == []
    waiting = session.send("models/unload", {"whenBusy": "wait"})
    gives_up = session.send("models/unload", {"whenBusy": "wait"})
    session.cancel(gives_up)
    with pytest.raises(RpcError, match="cancelled"):
        session.result(gives_up, session._keep)
    session.cancel(id_)
    assert len(session.result(waiting, session._keep)["unloaded"]) == 1


# Jobs


def test_open_jobs_are_listed_with_how_far_they_are(start: Start, long_file: Path) -> None:
    session = start()
    assert session.call("jobs/list")["jobs"] == []
    first = session.send_transcribe(long_file, progressToken=1, partialResultToken=2)
    second = session.send_transcribe(SPEECH, priority="batch")
    session.wait_for_partial()
    result = session.call("jobs/list")
    one, two = result["jobs"]
    assert (one["id"], one["method"], one["state"]) == (first, "transcribe", "running")
    assert (one["stage"], one["priority"]) == ("recognition", "interactive")
    assert 0 <= one["percentage"] < 100
    assert (two["id"], two["state"], two["priority"]) == (second, "waiting", "batch")
    assert "stage" not in two
    assert two["acceptedAt"].endswith("Z")
    assert one["seconds"] > 0
    assert result["limit"] == 10_000
    session.cancel(first)


def test_more_jobs_than_allowed_are_refused_as_busy(start: Start, long_file: Path) -> None:
    session = start("serve", "--max-jobs", "2")
    ids = [session.send_transcribe(long_file) for _ in range(2)]
    error = refused(session, "transcribe", audio=str(SPEECH), model=str(MODEL))
    assert (error.kind, error.data["limit"]) == ("busy", 2)
    assert session.call("initialize")["limits"]["maxOpenJobs"] == 2
    for id_ in ids:
        session.cancel(id_)


def test_an_interactive_request_overtakes_an_earlier_batch(start: Start) -> None:
    session = start()
    session.send_transcribe(RECORDINGS / "demo.flac")
    batch = [session.send_transcribe(SPEECH, priority="batch") for _ in range(3)]
    interactive = session.send_transcribe(SPEECH)
    order = []
    while len(order) < 5:
        message = session.next_message(PATIENCE)
        order.append(message["id"])
    assert order[1:] == [interactive, *batch]


def test_an_interactive_whole_job_overtakes_those_of_a_batch(start: Start) -> None:
    session = start()
    batch = [
        session.send_transcribe(RECORDINGS / "demo.flac", priority="batch", formats=["srt"])
        for _ in range(5)
    ]
    interactive = session.send_transcribe(SPEECH, formats=["srt"])
    order = [session.next_message(PATIENCE)["id"] for _ in range(6)]
    assert order.index(interactive) <= 1
    assert order[-2:] == batch[-2:]


# Downloads


def test_a_download_is_told_in_bytes_and_files_and_the_model_works(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    session = start(env=online)
    asked = {"model": "some/whisper", "progressToken": "p"}
    result = session.result(session.send("models/download", asked), session._keep)
    size = sum(file.stat().st_size for file in MODEL.iterdir() if file.name != "README.md")
    assert result["downloaded"] == result["bytes"] <= size
    assert (result["licence"], result["mended"], result["warnings"]) == ("mit", [], [])
    told = reports(session)
    assert all(each["stage"] in ("queue", "download") for each in told)
    done = [each["bytesDone"] for each in told if "bytesDone" in each]
    assert done == sorted(done)
    assert done[-1] == told[-1]["bytesTotal"] == result["bytes"]
    assert told[-1]["filesDone"] == told[-1]["filesTotal"] == result["files"]
    assert told[-1]["percentage"] == 100
    again = session.call("models/download", {"model": "some/whisper"})
    assert (again["downloaded"], again["path"]) == (0, result["path"])
    assert session.transcribe(SPEECH, model="some/whisper")["segments"]


def test_a_transcription_fetches_its_model_when_asked_to(
    start: Start, online: dict[str, str]
) -> None:
    session = start(env=online)
    error = refused(session, "transcribe", audio=str(SPEECH), model="some/whisper")
    assert error.kind == "model_not_cached"
    result = session.transcribe(SPEECH, model="some/whisper", download=True, progressToken=1)
    assert result["segments"]
    stages = [each["stage"] for each in reports(session)]
    # A report that has not been read yet is replaced by the next.
    expected = iter(["load", "download", "decode", "recognition"])
    assert all(stage in expected for stage in dict.fromkeys(stages))
    assert {"download", "recognition"} <= set(stages)
    percentages = [each["percentage"] for each in reports(session) if "percentage" in each]
    assert percentages == sorted(percentages)


def test_requests_for_a_model_that_is_on_its_way_wait_for_it(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    session = start(env=online)
    stall = hub.fail("*model.bin*", stall_at=200_000)
    downloads = [
        session.send("models/download", {"model": "some/whisper", "progressToken": token})
        for token in range(3)
    ]
    transcription = session.send_transcribe(SPEECH, model="some/whisper", download=True)
    assert stall.reached.wait(PATIENCE)
    session.cancel(downloads[0])
    with pytest.raises(RpcError, match="cancelled"):
        session.result(downloads[0], session._keep)
    hub.heal()
    for id_ in downloads[1:]:
        assert session.result(id_, session._keep)["bytes"] > 0
    assert session.result(transcription, session._keep)["segments"]
    assert {note["params"]["token"] for note in session.notifications} == {0, 1, 2}
    assert hub.travelled() < 1.1 * sum(file.stat().st_size for file in MODEL.iterdir())


def test_a_download_that_everybody_has_cancelled_is_stopped(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    session = start(env=online)
    stall = hub.fail("*model.bin*", times=9, stall_at=200_000)
    ids = [session.send("models/download", {"model": "some/whisper"}) for _ in range(2)]
    assert stall.reached.wait(PATIENCE)
    engines = children(session.process.pid)
    for id_ in ids:
        session.cancel(id_)
        with pytest.raises(RpcError, match="cancelled"):
            session.result(id_)
    wait_until_gone(engines)
    hub.heal()
    assert session.call("models/download", {"model": "some/whisper"})["bytes"] > 0


def test_a_killed_worker_leaves_what_the_next_one_goes_on_with(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    for at in (200_000, 900_000):
        session = start(env=online)
        stall = hub.fail("*model.bin*", stall_at=at)
        session.send("models/download", {"model": "some/whisper"})
        assert stall.reached.wait(PATIENCE)
        processes = tree(session.process.pid)
        kill_hard(session.process.pid)
        wait_until_gone(processes)
        hub.heal()
    result = start(env=online).call("models/download", {"model": "some/whisper"})
    assert result["mended"] == []
    assert hub.travelled() < 1.3 * sum(file.stat().st_size for file in MODEL.iterdir())


def test_a_damaged_cache_is_told_and_mended_when_that_is_allowed(
    start: Start, online: dict[str, str]
) -> None:
    session = start(env=online)
    path = Path(session.call("models/download", {"model": "some/whisper"})["path"])
    weights = (path / "model.bin").resolve()
    weights.write_bytes(weights.read_bytes()[: 1 << 16])
    error = refused(session, "transcribe", audio=str(SPEECH), model="some/whisper")
    assert error.kind == "model_invalid"
    assert session.transcribe(SPEECH, model="some/whisper", download=True)["segments"]
    session.call("models/unload")
    changed = bytearray(weights.read_bytes())
    changed[len(changed) // 2] ^= 0xFF  # it loads nevertheless
    weights.write_bytes(changed)
    assert session.call("models/download", {"model": "some/whisper"})["mended"] == ["model.bin"]


def test_offline_what_is_not_cached_fails_at_once(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    session = start(env={**online, "HF_HUB_OFFLINE": "1"})
    for method, params in (
        ("models/download", {"model": "some/whisper"}),
        ("transcribe", {"audio": str(SPEECH), "model": "some/whisper", "download": True}),
    ):
        error = refused(session, method, **params)
        assert error.kind == "model_not_cached"
        assert "HF_HUB_OFFLINE" in error.message
    assert hub.requests == []


def test_a_directory_is_neither_fetched_nor_removed(start: Start) -> None:
    session = start()
    for method in ("models/download", "models/remove"):
        error = refused(session, method, model=str(MODEL))
        assert (error.kind, error.data["path"]) == ("invalid_params", "$.model")
    assert (MODEL / "model.bin").is_file()


# What there is


def test_models_are_listed_as_known_cached_and_loaded(start: Start, online: dict[str, str]) -> None:
    session = start(env=online)
    before = session.call("models/list")
    rows = {row["name"]: row for row in before["models"]}
    small = rows["small"]
    assert (small["task"], small["cached"], small["loaded"]) == ("recognition", False, [])
    assert len(small["languages"]) == 100
    assert small["sizeOnDisk"] == 484 * MB
    assert small["sizeInMemory"] > small["sizeOnDisk"]
    gated = rows["pyannote/speaker-diarization-community-1"]
    assert (gated["task"], gated["gated"]) == ("diarization", True)
    assert rows["WAV2VEC2_ASR_BASE_960H"]["languages"] == ["en"]
    assert "some/whisper" not in rows
    assert [each["task"] for each in before["helpers"]] == ["hub"]

    session.call("models/download", {"model": "some/whisper"})
    session.call("models/load", {"model": "some/whisper"})
    session.call("models/load", {"model": str(MODEL)})
    only = session.call("models/list", {"cachedOnly": True})
    cached, directory = only["models"]
    assert (cached["name"], cached["cached"], cached["incomplete"]) == ("some/whisper", True, 0)
    assert len(cached["revisions"]) == 1
    assert (directory["name"], directory["repository"]) == (str(MODEL), None)
    assert [each["state"] for each in cached["loaded"] + directory["loaded"]] == ["idle"] * 2
    assert only["freeDisk"] > 0
    assert only["cacheDirectory"].startswith(online["HF_HOME"])
    assert all(
        row["task"] == "alignment"
        for row in session.call("models/list", {"task": "alignment"})["models"]
    )


def test_a_loaded_model_is_not_removed_and_an_unloaded_one_frees_the_disk(
    start: Start, online: dict[str, str], hub: Hub
) -> None:
    session = start(env=online)
    size = session.call("models/download", {"model": "some/whisper"})["bytes"]
    session.call("models/load", {"model": "some/whisper"})
    error = refused(session, "models/remove", model="some/whisper")
    assert error.kind == "model_busy"
    assert "models/unload" in error.data["remedy"]
    session.call("models/unload", {"model": "some/whisper"})
    assert session.call("models/remove", {"model": "some/whisper"})["freed"] >= size
    assert refused(session, "models/remove", model="some/whisper").kind == "model_not_cached"
    stall = hub.fail("*model.bin*", stall_at=200_000)
    id_ = session.send("models/download", {"model": "some/whisper"})
    assert stall.reached.wait(PATIENCE)
    assert refused(session, "models/remove", model="some/whisper").kind == "model_busy"
    session.cancel(id_)


# Tokens


def test_the_hub_is_asked_whose_token_it_is(start: Start, hub: Hub, online: dict[str, str]) -> None:
    ours = "hf_theTokenOfTheClient"
    hub.accounts = {ours: "somebody"}
    try:
        session = start("--log-level", "debug", env={**online, "HF_TOKEN": ""})
        session.secrets.add(ours)
        assert refused(session, "hub/whoami").kind == "token_missing"
        session.call("initialize", {"hfToken": ours, "logLevel": "debug"})
        who = session.call("hub/whoami")
        assert (who["name"], who["source"], who["endpoint"]) == ("somebody", "initialize", hub.url)
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in tree(session.process.pid)]
        assert ours.encode() not in b"".join(lines)
    finally:
        hub.accounts = {}


# The command line


def run(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WORKER, "models", *args], capture_output=True, text=True, env=env)


def test_models_of_the_command_line_are_downloaded_listed_and_removed(
    online: dict[str, str],
) -> None:
    done = run(online, "download", "some/whisper", "some/unknown")
    assert done.returncode == 1
    assert done.stdout.startswith("some/whisper: ")
    assert "downloaded of" in done.stdout
    assert done.stderr.startswith("some/unknown: The hub has no model")
    listed = run(online, "list", "--cached")
    header, row, *_ = listed.stdout.splitlines()
    assert header.split() == ["MODEL", "TASK", "LANGUAGES", "DISK", "MEMORY", "LICENCE", "CACHED"]
    assert row.split()[0] == "some/whisper"
    assert row.split()[-1] == "yes"
    table = run(online, "list").stdout
    assert "cc-by-4.0, gated" in table
    assert "100 languages" in table
    assert json.loads(run(online, "list", "--json").stdout)["models"]
    assert "freed" in run(online, "remove", "some/whisper").stdout
    assert run(online, "remove", "some/whisper").returncode == 1
    assert run(online).returncode == 2


def test_a_terminal_shows_how_far_a_download_is(online: dict[str, str], hub: Hub) -> None:
    from tests.test_cli import on_a_terminal

    hub.fail("*model.bin", rate=3_000_000)
    out, shown = on_a_terminal([*WORKER, "models", "download", "some/whisper"], env=online)
    assert b"MB of" in shown
    assert b"files" in shown
    assert out.startswith(b"some/whisper: ")


@pytest.mark.parametrize(
    "option",
    [
        ("--memory-budget", "many"),
        ("--memory-budget", "-1"),
        ("--keep-alive", "-1"),
        ("--keep-alive", "nan"),
        ("--max-models", "0"),
        ("--max-jobs", "0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(option: tuple[str, str]) -> None:
    done = subprocess.run([*WORKER, "serve", *option], capture_output=True, text=True)
    assert done.returncode == 2
    assert option[0] in done.stderr


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("6GB", 6 * 10**9), ("1.5 GiB", 3 << 29), ("2k", 2000), ("512m", 512 * MB)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    from worker.cli.serve import size as parse

    assert parse(text) == size
