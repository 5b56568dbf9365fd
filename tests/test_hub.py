"""Downloads: whole and verified or not at all, gone on with, and nobody told of the token."""

from __future__ import annotations

import io
import os
import random
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from protocol.errors import RpcError
from tests.hub import Hub, serving
from tests.support import PATIENCE, Engine, kill_hard
from worker.engines.hub.client import CHUNK
from worker.system.child_environment import QUIET

SECRET = "hf_thisIsATokenThatNobodyMaySee"
BUNDLE = "wav2vec2_fairseq_base_ls960_asr_ls960.pth"
MB = 1 << 20

HASTY = """
from worker.engines.hub import client as hub_client
hub_client._PAUSE_SECONDS = 0.001
sleep = hub_client.time.sleep
hub_client.time.sleep = lambda seconds: sleep(min(seconds, 0.01))
"""
"""Run in the engine's process before it begins: it hardly waits between attempts."""
IMPATIENT = (
    "from huggingface_hub import constants\n"
    "constants.HF_HUB_DOWNLOAD_TIMEOUT = constants.HF_HUB_ETAG_TIMEOUT = 0.5\n" + HASTY
)
"""It also times out early, on a busy machine even for answers that would come."""

Start = Callable[..., "HubEngine"]


class HubEngine(Engine):
    """The engine's process, and every byte that it writes; `first` is run in it before."""

    def __init__(self, environment: Mapping[str, str], first: str = "") -> None:
        self.written = b""
        self.home = Path(environment["HF_HOME"])
        super().__init__("hub", first, env=dict(environment), on_line=self._note)

    def download(self, repository: str, task: str = "recognition", **params: Any) -> dict[str, Any]:
        """Download a model and return the result."""
        result: dict[str, Any] = self.result(
            self.send_download(repository, task, **params), self._keep
        )
        return result

    def send_download(self, repository: str, task: str = "recognition", **params: Any) -> int:
        """Ask for a download; return the request's id."""
        self.notifications.clear()
        asked = {"task": task, "name": "x", "repository": repository}
        return self.send("download", {**asked, **params})

    def remove(self, repository: str, **params: Any) -> int:
        """Remove a model; return the bytes freed."""
        freed: int = self.ask(
            "remove", task="recognition", name="x", repository=repository, **params
        )["freed"]
        return freed

    def cached(self, repository: str) -> dict[str, Any] | None:
        """What the cache is said to hold of a repository."""
        found = [each for each in self.ask("cached")["models"] if each["repository"] == repository]
        return found[0] if found else None

    def wait_for_bytes(self, count: int) -> None:
        """Return when so many bytes are said to have arrived."""
        self.wait_for(lambda m: m["params"]["value"]["bytesDone"] >= count)

    def reports(self) -> list[dict[str, Any]]:
        """What was told of the last download's progress."""
        return [note["params"]["value"] for note in self.notifications]

    def _note(self, direction: str, line: bytes) -> None:
        if direction == "<":
            self.written += line + b"\n"


@contextmanager
def engines(hub: Hub, home: Path) -> Iterator[Start]:
    """Start engines that ask `hub` with the token; none of them may tell it, or an address."""
    ours = {
        **QUIET,
        "HF_HOME": str(home),
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": SECRET,
        "HF_HUB_DOWNLOAD_TIMEOUT": "3600",
        "HF_HUB_ETAG_TIMEOUT": "3600",
        "TORCH_HOME": str(home / "torch"),
        "TRANSCRIPTION_WORKER_TORCHAUDIO_URL": f"{hub.url}/torchaudio/",
        "TRANSCRIPTION_WORKER_LOG": "debug",
    }
    foreign = ("HF_", "HUGGING", "TRANSFORMERS_OFFLINE")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    started: list[HubEngine] = []
    with ExitStack() as stack:

        def start(first: str = "", **environment: str) -> HubEngine:
            engine = HubEngine({**inherited, **ours, **environment}, first)
            started.append(engine)
            stack.enter_context(engine)
            return engine

        yield start
    for engine in started:
        for secret in (SECRET.encode(), b"X-Signature"):
            assert secret not in engine.written
            assert secret not in engine.stderr
    for path in filter(Path.is_file, home.rglob("*")):
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving() as serving_hub:
        yield serving_hub


@pytest.fixture(autouse=True)
def _healed(hub: Hub) -> Iterator[None]:
    """No fault of one test meets the next, and what it asked is not counted."""
    yield
    hub.heal()
    hub.requests.clear()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """HF_HOME of the test's own engines."""
    return tmp_path / "home"


@pytest.fixture
def start(hub: Hub, home: Path) -> Iterator[Start]:
    with engines(hub, home) as start_engine:
        yield start_engine


@pytest.fixture(scope="module")
def engine(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubEngine]:
    """One that the tests share; each has repositories of its own."""
    with engines(hub, tmp_path_factory.mktemp("shared")) as start_engine:
        yield start_engine()


@pytest.fixture(scope="module")
def hasty(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubEngine]:
    """Another one, which hardly waits between attempts."""
    with engines(hub, tmp_path_factory.mktemp("hasty")) as start_engine:
        yield start_engine(HASTY)


@pytest.fixture(scope="module")
def impatient(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubEngine]:
    """Another one, which also times out early."""
    with engines(hub, tmp_path_factory.mktemp("impatient")) as start_engine:
        yield start_engine(IMPATIENT)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def whisper(size: int = 100_000, seed: int = 0) -> dict[str, bytes]:
    """Files of a model for recognition, small ones and a large one."""
    return {
        "config.json": b"{}",
        "model.bin": noise(size, seed),
        "tokenizer.json": b'{"tokens": []}',
        "vocabulary.txt": b"a\nb\n",
    }


def contents(directory: str | Path) -> dict[str, bytes]:
    """Files of a directory."""
    root = Path(directory)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def refused(engine: HubEngine, repository: str, task: str = "recognition", **params: Any) -> Any:
    """The error of a download."""
    with pytest.raises(RpcError) as caught:
        engine.download(repository, task, **params)
    return caught.value


def cached_copy(home: Path, repository: str, revision: str | None = None) -> dict[str, bytes]:
    """What a process that loads the model sees."""
    return contents(
        snapshot_download(
            repository, revision=revision, cache_dir=home / "hub", local_files_only=True
        )
    )


def part_of(home: Path, repository: str) -> Path:
    """The large file, broken off."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}" / "blobs"
    return max(folder.glob("*.incomplete"), key=lambda path: path.stat().st_size)


# What is fetched


def test_a_download_equals_the_repository(engine: HubEngine, hub: Hub) -> None:
    files = whisper()
    commit = hub.add("plain/model", files, licence="mit")
    result = engine.download("plain/model")
    size = sum(map(len, files.values()))
    assert contents(result.pop("path")) == files
    assert result == {
        "model": "x",
        "repository": "plain/model",
        "revision": commit,
        "files": 4,
        "bytes": size,
        "downloaded": size,
        "mended": [],
        "licence": "mit",
        "warnings": [],
    }


PROCESSOR = {"config.json": b"{}", "preprocessor_config.json": b"{}", "vocab.json": b"{}"}
PIPELINE = {
    "config.yaml": b"pipeline: {params: {clustering: VBx}}",
    "plda/plda.npz": b"plda",
    "empty": b"",
}


@pytest.mark.parametrize(
    ("task", "wanted", "others"),
    [
        ("recognition", whisper(10), {"README.md": b"", "model.safetensors": b"torch's"}),
        (
            "alignment",
            {**PROCESSOR, "model.safetensors": b"tensors"},
            {
                "pytorch_model.bin": b"a pickle",
                "flax_model.msgpack": b"",
                "language_model/5gram.bin": b"",
                "checkpoint-5/config.json": b"",
            },
        ),
        ("alignment", {**PROCESSOR, "pytorch_model.bin": b"a pickle"}, {"tf_model.h5": b""}),
        ("diarization", PIPELINE, {".gitattributes": b""}),
    ],
)
def test_only_the_files_of_the_task_are_downloaded(
    engine: HubEngine,
    hub: Hub,
    task: str,
    wanted: dict[str, bytes],
    others: dict[str, bytes],
) -> None:
    repository = f"chosen/{task}-{len(others)}"
    hub.add(repository, wanted | others)
    assert contents(engine.download(repository, task)["path"]) == wanted
    assert not [name for name in others if hub.asked(f"*/{repository}/*/{name}")]


@pytest.mark.parametrize(
    ("task", "files", "missing"),
    [
        ("recognition", {**PROCESSOR, "model.safetensors": b""}, ["model.bin", "tokenizer.json"]),
        ("alignment", PROCESSOR, ["model.safetensors"]),
        ("diarization", whisper(1), ["config.yaml"]),
    ],
)
def test_a_repository_of_another_kind_is_refused_undownloaded(
    engine: HubEngine, hub: Hub, task: str, files: dict[str, bytes], missing: list[str]
) -> None:
    hub.add(f"wrong/{task}", files)
    error = refused(engine, f"wrong/{task}", task)
    assert error.kind == "model_invalid"
    assert error.data["missing"][: len(missing)] == missing
    assert not hub.asked(f"/wrong/{task}/resolve/*")


def test_a_pipeline_is_downloaded_with_its_part_models(engine: HubEngine, hub: Hub) -> None:
    config = b"""
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params: {segmentation: parts/segmentation@v1, embedding: parts/embedding, clustering: VBx}
"""
    hub.add("parts/pipeline", {"config.yaml": config, "README.md": b"read"})
    old = hub.add("parts/segmentation", {"pytorch_model.bin": noise(1000, 1)}, branch="v1")
    hub.add("parts/segmentation", {"pytorch_model.bin": noise(1000, 2)})
    hub.add("parts/embedding", {"pytorch_model.bin": noise(2000, 3)})
    result = engine.download("parts/pipeline", "diarization")
    assert (result["files"], result["bytes"]) == (4, 3004 + len(config))
    segmentation = engine.cached("parts/segmentation")
    assert segmentation and segmentation["revisions"] == [old]
    assert {report["bytesTotal"] for report in engine.reports()} == {result["bytes"]}


def test_progress_never_goes_back_and_ends_at_the_total(engine: HubEngine, hub: Hub) -> None:
    hub.add("slow/model", whisper(600_000))
    hub.fail("*/slow/model/*/model.bin", rate=2_000_000, corrupt=True)
    hub.fail("*/slow/model/*/model.bin", rate=2_000_000)
    hub.fail("*/slow/model/*/tokenizer.json", rate=100_000)
    total = engine.download("slow/model")["bytes"]
    reports = engine.reports()
    assert len(reports) > 2
    for earlier, later in pairwise(reports):
        for measure in ("bytesDone", "filesDone", "percentage"):
            assert earlier[measure] <= later[measure]
    assert {report["stage"] for report in reports} == {"download"}
    assert {(report["bytesTotal"], report["filesTotal"]) for report in reports} == {(total, 4)}
    last = reports[-1]
    assert (last["bytesDone"], last["filesDone"], last["percentage"]) == (total, 4, 100)


def test_a_file_outside_the_repository_is_not_written(
    engine: HubEngine, hub: Hub, tmp_path: Path
) -> None:
    outside = tmp_path / "precious"
    outside.write_text("mine")
    hub.add("evil/model", {**PIPELINE, f"../../../../../../../../{outside}": b"yours"})
    assert refused(engine, "evil/model", "diarization").kind == "model_invalid"
    assert outside.read_text() == "mine"


def test_cached_files_are_not_downloaded_again(engine: HubEngine, hub: Hub) -> None:
    hub.add("twice/model", whisper())
    path = engine.download("twice/model")["path"]
    travelled = hub.travelled()
    again = engine.download("twice/model")
    assert (again["path"], again["downloaded"]) == (path, 0)
    assert hub.travelled() == travelled


# Broken connections


def test_a_cut_connection_resumes(engine: HubEngine, hub: Hub) -> None:
    files = whisper(MB)
    hub.add("cut/model", files)
    for at in (MB // 3, MB // 2):
        hub.fail("*/cut/model/*/model.bin", cut_at=at)
    assert contents(engine.download("cut/model")["path"]) == files
    asked = hub.asked("/storage/cut/model/*")
    starts = [int((each.range or "bytes=0-")[6:-1]) for each in asked]
    assert [start // CHUNK for start in starts] == [0, MB // 3 // CHUNK, MB // 2 // CHUNK]
    assert MB <= hub.travelled("/storage/cut/model/*") <= MB + 2 * CHUNK


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/models/{}", "GET"),
        ("/{}/resolve/*/model.bin", "HEAD"),
        ("/storage/{}/*/model.bin", "GET"),
    ],
)
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_error_is_retried(
    hasty: HubEngine, hub: Hub, path: str, method: str, status: int
) -> None:
    files = whisper()
    repository = f"trouble/{method}-{status}-{len(path)}"
    hub.add(repository, files)
    hub.fail(path.format(repository), method=method, status=status, times=2)
    assert contents(hasty.download(repository)["path"]) == files


@pytest.mark.parametrize(
    ("path", "method", "asked"),
    [("/api/models/lost/model", "GET", 3), ("/lost/model/resolve/*/model.bin", "HEAD", 8)],
)
def test_a_lasting_server_error_fails(
    hasty: HubEngine, hub: Hub, path: str, method: str, asked: int
) -> None:
    hub.add("lost/model", whisper())
    hub.fail(path, method=method, status=503, times=100)
    error = refused(hasty, "lost/model")
    assert (error.kind, error.data["status"]) == ("model_download_failed", 503)
    assert "503" in error.message
    assert len(hub.asked(path)) == asked


def test_retry_after_is_respected(engine: HubEngine, hub: Hub) -> None:
    hub.add("patient/model", whisper())
    hub.fail("/api/models/patient/model", status=429, headers={"Retry-After": "1"})
    began = time.monotonic()
    engine.download("patient/model")
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("xet", [True, False])
def test_a_stalled_connection_is_reopened(impatient: HubEngine, hub: Hub, xet: bool) -> None:
    files = whisper(MB)
    repository = f"stalled/{xet}"
    hub.add(repository, files, xet=xet)
    hub.fail(f"*/{repository}/*/model.bin", stall_at=MB // 2)
    assert contents(impatient.download(repository)["path"]) == files
    assert MB <= hub.travelled(f"/storage/{repository}/*") <= MB + CHUNK


@pytest.mark.parametrize("how", [{"stall_at": 70_000}, {"cut_at": 70_000}, {"short_by": 1000}])
def test_a_connection_that_always_breaks_fails(
    impatient: HubEngine, hub: Hub, how: dict[str, Any]
) -> None:
    repository = f"stuck/{next(iter(how))}"
    hub.add(repository, whisper())
    fault = hub.fail(f"/storage/{repository}/*", times=100, **how)
    error = refused(impatient, repository)
    assert error.kind == "model_download_failed"
    assert fault.times > 80
    assert part_of(impatient.home, repository).stat().st_size >= CHUNK
    hub.heal()
    assert impatient.download(repository)["downloaded"] < 100_000 - CHUNK + 100


def test_a_silent_hub_times_out(impatient: HubEngine, hub: Hub) -> None:
    hub.add("mute/model", whisper())
    hub.fail("/api/*", mute=True, times=100)
    error = refused(impatient, "mute/model")
    assert error.kind == "model_download_failed"
    with pytest.raises(RpcError) as caught:
        impatient.ask("whoami")
    assert caught.value.kind == "hub_unreachable"


def test_a_short_body_is_completed(engine: HubEngine, hub: Hub) -> None:
    files = whisper()
    hub.add("short/model", files)
    hub.fail("/storage/short/model/*", short_by=1000)
    assert contents(engine.download("short/model")["path"]) == files
    assert hub.travelled("/storage/short/model/*") == 100_000


# Killed, cancelled, side by side


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_download_killed_at_random_bytes_completes(
    start: Start, hub: Hub, home: Path, kills: int
) -> None:
    size = 4 * MB
    files = whisper(size)
    hub.add("killed/model", files)
    for offset in sorted(random.Random(4).sample(range(size), kills)):
        hub.fail("/storage/killed/model/*", stall_at=offset)
        engine = start()
        engine.send_download("killed/model")
        engine.wait_for_bytes(offset - CHUNK)
        kill_hard(engine.process.pid)
        engine.process.wait()
        with pytest.raises(LocalEntryNotFoundError):
            cached_copy(home, "killed/model")
    result = start().download("killed/model")
    assert contents(result["path"]) == files == cached_copy(home, "killed/model")
    assert result["mended"] == []
    assert size <= hub.travelled("/storage/killed/model/*") <= size + kills * CHUNK


def test_a_cancelled_download_stops_and_can_resume(start: Start, hub: Hub, home: Path) -> None:
    files = whisper(MB)
    hub.add("cancelled/model", files)
    hub.fail("/storage/cancelled/model/*", stall_at=MB // 2)
    engine = start()
    id_ = engine.send_download("cancelled/model")
    engine.wait_for_bytes(MB // 2 - CHUNK)
    engine.cancel(id_)
    with pytest.raises(RpcError) as caught:
        engine.result(id_, engine._keep)
    assert caught.value.kind == "cancelled"
    kill_hard(engine.process.pid)  # as the front ends it
    engine.process.wait()
    assert part_of(home, "cancelled/model").stat().st_size >= MB // 2 - CHUNK
    result = start().download("cancelled/model")
    assert contents(result["path"]) == files
    assert result["downloaded"] <= MB // 2 + CHUNK + 100


def test_a_download_from_a_silent_hub_can_be_cancelled(engine: HubEngine, hub: Hub) -> None:
    fault = hub.fail("/api/models/silent/model", mute=True)
    id_ = engine.send_download("silent/model")
    assert fault.reached.wait(PATIENCE)
    engine.cancel(id_)
    with pytest.raises(RpcError) as caught:
        engine.result(id_)
    assert caught.value.kind == "cancelled"


def test_two_processes_download_each_file_once(start: Start, hub: Hub) -> None:
    files = whisper(MB)
    hub.add("shared/model", files)
    fault = hub.fail("/storage/shared/model/*", stall_at=MB // 2)
    pair = [start() for _ in range(2)]
    ids = [engine.send_download("shared/model") for engine in pair]
    for engine in pair:
        engine.wait_for_bytes(MB // 2 - CHUNK)
    fault.release.set()
    for engine, id_ in zip(pair, ids, strict=True):
        assert contents(engine.result(id_, engine._keep)["path"]) == files
    assert hub.travelled("*/shared/model/*") == sum(map(len, files.values()))


# Damage


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit"),
        pytest.param(lambda data: b"", id="emptied"),
    ],
)
def test_a_damaged_copy_is_reported_and_repaired(
    engine: HubEngine,
    hub: Hub,
    name: str,
    damage: Callable[[bytes], bytes],
    request: pytest.FixtureRequest,
) -> None:
    repository = f"damaged/{request.node.callspec.id.replace(' ', '-')}"
    files = whisper()
    hub.add(repository, files)
    path = Path(engine.download(repository)["path"])
    (path / name).resolve().write_bytes(damage(files[name]))
    result = engine.download(repository)
    assert result["mended"] == [name]
    assert result["downloaded"] == len(files[name])
    assert contents(path) == files
    assert engine.download(repository)["mended"] == []


def test_a_damaged_shared_file_is_repaired_for_both_revisions(engine: HubEngine, hub: Hub) -> None:
    files = whisper()
    old = hub.add("both/model", files)
    path = Path(engine.download("both/model")["path"])
    hub.add("both/model", {**files, "config.json": b'{"new": 1}'})
    (path / "model.bin").resolve().write_bytes(b"rubbish")
    assert engine.download("both/model")["mended"] == ["model.bin"]
    assert engine.download("both/model", revision=old)["mended"] == []
    assert contents(path) == files


def test_a_file_damaged_in_transit_is_downloaded_again(engine: HubEngine, hub: Hub) -> None:
    files = whisper()
    hub.add("garbled/model", files)
    hub.fail("/storage/garbled/model/*", corrupt=True)
    result = engine.download("garbled/model")
    assert contents(result["path"]) == files
    assert result["mended"] == ["model.bin"]
    assert result["downloaded"] == hub.travelled("*/garbled/model/*")


def test_a_file_always_damaged_in_transit_is_not_kept(engine: HubEngine, hub: Hub) -> None:
    hub.add("rotten/model", whisper())
    hub.fail("/storage/rotten/model/*", corrupt=True, times=100)
    error = refused(engine, "rotten/model")
    assert (error.kind, error.data["damaged"]) == ("model_download_failed", ["model.bin"])
    assert len(hub.asked("/storage/rotten/model/*")) == 3
    kept = engine.cached("rotten/model") or {"size": 0}  # small files may still be on their way
    assert kept["size"] < 1000


def test_a_damaged_partial_file_is_reported_and_repaired(
    start: Start, hub: Hub, home: Path
) -> None:
    files = whisper(MB)
    hub.add("tail/model", files)
    hub.fail("/storage/tail/model/*", stall_at=MB // 2)
    first = start()
    first.send_download("tail/model")
    first.wait_for_bytes(MB // 2 - CHUNK)
    kill_hard(first.process.pid)
    first.process.wait()
    part = part_of(home, "tail/model")
    part.write_bytes(bytes(part.stat().st_size))  # what a power cut leaves
    result = start().download("tail/model")
    assert result["mended"] == ["model.bin"]
    assert contents(result["path"]) == files


# Revisions


def test_branch_tag_and_commit_are_respected(engine: HubEngine, hub: Hub) -> None:
    first = hub.add("pinned/model", whisper(seed=1))
    hub.repositories["pinned/model"].refs["v1"] = first
    second = hub.add("pinned/model", whisper(seed=2))
    branch = hub.add("pinned/model", whisper(seed=3), branch="feature/x")
    wanted = {"v1": first, first: first, "main": second, "feature/x": branch, None: second}
    for revision, commit in wanted.items():
        result = engine.download("pinned/model", revision=revision)
        assert result["revision"] == commit
        seed = {first: 1, second: 2, branch: 3}[commit]
        assert contents(result["path"]) == whisper(seed=seed)
    cached = engine.cached("pinned/model")
    assert cached
    assert cached["revisions"] == sorted({first, second, branch})


def test_main_moves_after_all_new_files(hasty: HubEngine, hub: Hub) -> None:
    old, new = whisper(seed=1), whisper(seed=1) | {"tokenizer.json": b"[0]", "config.json": b"[]"}
    hub.add("moving/model", old)
    hasty.download("moving/model")
    hub.add("moving/model", new)
    hub.fail("*/moving/model/*/tokenizer.json", status=503, times=100)
    assert refused(hasty, "moving/model").kind == "model_download_failed"
    assert cached_copy(hasty.home, "moving/model") == old
    hub.heal()
    assert hasty.download("moving/model")["downloaded"] <= 5
    assert cached_copy(hasty.home, "moving/model") == new
    assert hub.travelled("/storage/moving/model/*") == 100_000


# What is refused


def test_a_gated_model_names_its_page(start: Start, hub: Hub) -> None:
    hub.add("closed/model", whisper(), gated=True)
    page = "https://huggingface.co/closed/model"
    for environment in ({}, {"HF_TOKEN": ""}):
        error = refused(start(**environment), "closed/model")
        assert (error.kind, error.data["page"]) == ("model_gated", page)
        assert page in error.message
    assert {each.status for each in hub.asked("/closed/model/*")} == {401, 403}


def test_a_gated_part_model_names_its_own_page(engine: HubEngine, hub: Hub) -> None:
    config = b"pipeline: {params: {segmentation: closed/segmentation}}"
    hub.add("open/pipeline", {"config.yaml": config})
    hub.add("closed/segmentation", {"pytorch_model.bin": b"weights"}, gated=True)
    error = refused(engine, "open/pipeline", "diarization")
    assert error.data["page"] == "https://huggingface.co/closed/segmentation"


def test_accepted_terms_give_access(engine: HubEngine, hub: Hub) -> None:
    hub.add("accepted/model", whisper(), gated=True, private=True, readers=("somebody",))
    assert contents(engine.download("accepted/model")["path"]) == whisper()


@pytest.mark.parametrize("token", [SECRET, ""])
def test_an_unknown_or_private_model_is_not_found(start: Start, hub: Hub, token: str) -> None:
    hub.add("secret/model", whisper(), private=True)
    engine = start(HF_TOKEN=token)
    for repository in ("no/such", "secret/model"):
        error = refused(engine, repository)
        assert error.kind == "model_not_found"
        assert repository in error.message


@pytest.mark.parametrize("revision", ["v7", "0" * 40, "../../main"])
def test_an_unknown_revision_is_not_found(engine: HubEngine, hub: Hub, revision: str) -> None:
    hub.add("known/model", whisper())
    error = refused(engine, "known/model", revision=revision)
    assert error.kind == "model_not_found"
    assert "revision" in error.message


@pytest.mark.parametrize("name", ["a/b/c", "../etc", "o/x--y", "o/", "-o/x"])
def test_an_impossible_name_is_not_found(engine: HubEngine, hub: Hub, name: str) -> None:
    assert refused(engine, name).kind == "model_not_found"
    assert hub.requests == []


# Without a hub


def test_offline_an_uncached_model_fails_at_once(start: Start, hub: Hub) -> None:
    hub.add("offline/model", whisper())
    engine = start(HF_HUB_OFFLINE="1")
    error = refused(engine, "offline/model")
    assert error.kind == "model_not_cached"
    assert "HF_HUB_OFFLINE" in error.message
    bundle = refused(engine, "torchaudio/WAV2VEC2_ASR_BASE_960H", "alignment")
    assert bundle.kind == "model_not_cached"
    with pytest.raises(RpcError) as caught:
        engine.ask("whoami")
    assert caught.value.kind == "hub_unreachable"
    assert hub.requests == []


NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        pytest.param({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE", id="offline"),
        pytest.param({"HF_ENDPOINT": NOBODY}, "server cannot be reached", id="no hub"),
        pytest.param({"http_proxy": NOBODY}, "proxy cannot be reached", id="no proxy"),
    ],
)
def test_without_a_hub_a_whole_copy_works_and_a_damaged_one_fails(
    start: Start, hub: Hub, environment: dict[str, str], reason: str
) -> None:
    commit = hub.add("alone/model", whisper())
    path = start().download("alone/model")["path"]
    engine = start(HASTY, **environment)
    for revision in (None, "main", commit):
        result = engine.download("alone/model", revision=revision)
        assert (result["path"], result["revision"]) == (path, commit)
        assert [warning["kind"] for warning in result["warnings"]] == ["hub_unreachable"]
        assert engine.reports()[-1]["percentage"] == 100
    Path(path, "model.bin").resolve().write_bytes(noise(100_000, 9))
    error = refused(engine, "alone/model")
    assert (error.kind, error.data["damaged"]) == ("model_invalid", ["model.bin"])
    Path(path, "model.bin").unlink()
    error = refused(engine, "alone/model")
    assert error.kind in ("model_not_cached", "model_download_failed")
    assert reason in error.message


def test_a_captive_portal_is_not_taken_for_a_hub(hasty: HubEngine, hub: Hub) -> None:
    hub.add("portal/model", whisper())
    hasty.download("portal/model")
    hub.fail("/api/models/*", status=200, times=100)
    warnings = hasty.download("portal/model")["warnings"]
    assert [warning["kind"] for warning in warnings] == ["hub_unreachable"]
    error = refused(hasty, "portal/other")
    assert error.kind == "model_download_failed"
    assert "does not behave like a Hugging Face hub" in error.message


def test_a_proxy_is_used(start: Start, hub: Hub) -> None:
    files = whisper()
    hub.add("proxied/model", files)
    engine = start(HF_ENDPOINT="http://hub.test", http_proxy=hub.url)
    assert contents(engine.download("proxied/model")["path"]) == files
    asked = hub.asked("*/proxied/model*")
    assert all(request.proxied for request in asked)
    assert {request.host for request in asked} == {"hub.test", "storage.test"}


# The token


@pytest.mark.parametrize("xet", [True, False])
def test_the_token_goes_only_to_the_hub(engine: HubEngine, hub: Hub, xet: bool) -> None:
    hub.add(f"told/{xet}", whisper(), xet=xet)
    engine.download(f"told/{xet}")
    asked = hub.asked(f"*/told/{xet}*")
    told = {request.host for request in asked if SECRET in request.authorization}
    untold = {request.host for request in asked if not request.authorization}
    assert (told, untold) == ({hub.url.removeprefix("http://")}, {hub.storage})


def whoami(engine: HubEngine) -> tuple[str, str]:
    """Name and source, or kind of error twice."""
    try:
        answer = engine.ask("whoami")
    except RpcError as error:
        return error.kind, error.kind
    return answer["name"], answer["source"]


def test_whoami_names_the_account_and_the_tokens_source(start: Start, hub: Hub, home: Path) -> None:
    hub.accounts = {SECRET: "ada", "hf_login": "bob"}
    try:
        assert whoami(start()) == ("ada", "environment")
        front = {"TRANSCRIPTION_WORKER_TOKEN_SOURCE": "client"}
        assert whoami(start(**front)) == ("ada", "initialize")
        assert whoami(start(HF_TOKEN="")) == ("token_missing", "token_missing")
        home.mkdir(parents=True, exist_ok=True)
        (home / "token").write_text("hf_login\n")
        assert whoami(start(HF_TOKEN=" ")) == ("bob", "login")
        for wrong in ("hf_wrong", "hf_\u2026"):
            engine = start(HF_TOKEN=wrong)
            assert whoami(engine) == ("token_invalid", "token_invalid")
            assert refused(engine, "whose/model").kind == "token_invalid"
            assert wrong.encode() not in engine.written
    finally:
        hub.accounts = {}


# The disk


def test_a_model_larger_than_the_disk_is_refused_undownloaded(engine: HubEngine, hub: Hub) -> None:
    commit = hub.add("huge/model", whisper())
    hub.repositories["huge/model"].commits[commit]["model.bin"].claimed_size = 10**17
    error = refused(engine, "huge/model")
    assert error.kind == "disk_full"
    assert error.data["needed"] > 10**17 > error.data["free"]
    assert not hub.asked("/huge/model/resolve/*")


def test_a_disk_that_fills_ends_the_download(
    start: Start, hub: Hub, tmp_path: Path, home: Path
) -> None:
    """Others fill it: what the system says of it comes out of a file."""
    first = """
import os, shutil
from pathlib import Path
real = shutil.disk_usage
shutil.disk_usage = lambda path: real(path)._replace(free=int(Path(os.environ["FREE"]).read_text()))
"""
    free = tmp_path / "free"
    free.write_text(str(10**12))
    files = whisper(MB)
    hub.add("filling/model", files)
    hub.fail("/storage/filling/model/*", stall_at=MB // 2)
    engine = start(first, FREE=str(free))
    id_ = engine.send_download("filling/model")
    engine.wait_for_bytes(MB // 2 - CHUNK)
    free.write_text(str(10**6))
    with pytest.raises(RpcError) as caught:
        engine.result(id_, engine._keep)
    assert caught.value.kind == "disk_full"
    assert caught.value.data["free"] == 10**6
    assert MB // 2 <= caught.value.data["needed"] <= MB
    assert part_of(home, "filling/model").stat().st_size >= MB // 2 - CHUNK


def test_a_full_disk_is_a_typed_error(start: Start, hub: Hub, home: Path) -> None:
    commit = hub.add("full/model", whisper())
    digest = hub.repositories["full/model"].commits[commit]["model.bin"].digest
    blobs = home / "hub" / "models--full--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{digest}.incomplete").symlink_to("/dev/full")
    assert refused(start(), "full/model").kind == "disk_full"


def test_a_cache_that_cannot_be_written_is_named(start: Start, hub: Hub, tmp_path: Path) -> None:
    hub.add("unwritable/model", whisper())
    file = tmp_path / "file"
    file.write_text("not a directory")
    error = refused(start(HF_HUB_CACHE=str(file)), "unwritable/model")
    assert error.kind == "model_download_failed"
    assert str(file) in error.message
    assert "HF_HOME" in error.data["remedy"]


# The cache


def test_the_environment_says_where_the_cache_is(start: Start, hub: Hub, tmp_path: Path) -> None:
    hub.add("placed/model", whisper())
    for place, environment in (
        (tmp_path / "a" / "hub", {"HF_HOME": str(tmp_path / "a")}),
        (tmp_path / "b", {"HF_HUB_CACHE": str(tmp_path / "b")}),
    ):
        engine = start(**environment)
        assert Path(engine.download("placed/model")["path"]).is_relative_to(place)
        assert engine.ask("cached")["directory"] == str(place)


def test_cached_models_are_listed(start: Start, hub: Hub) -> None:
    engine = start(HASTY)
    empty = engine.ask("cached")
    assert empty["models"] == []
    assert empty["freeDisk"] > 0
    first = hub.add("listed/model", whisper(seed=1))
    second = hub.add("listed/model", whisper(seed=2) | {"config.json": b"[1]"})
    hub.add("listed/half", whisper())
    hub.fail("/storage/listed/half/*", cut_at=70_000, times=100)
    for revision in (first, second):
        engine.download("listed/model", revision=revision)
    refused(engine, "listed/half")
    whole, half = engine.cached("listed/model"), engine.cached("listed/half")
    assert whole and half
    size = sum(map(len, whisper().values()))
    assert (whole["size"], whole["incomplete"], whole["complete"]) == (size + 100_003, 0, True)
    assert whole["revisions"] == sorted([first, second])
    assert CHUNK <= half["incomplete"] <= 70_000
    assert (half["complete"], half["size"]) == (False, size - 100_000)


def test_remove_frees_the_disk(start: Start, hub: Hub, home: Path) -> None:
    hub.add("gone/model", whisper())
    hub.fail("/storage/gone/model/*", cut_at=70_000, times=100)
    engine = start(HASTY)
    refused(engine, "gone/model")
    part = part_of(home, "gone/model").stat().st_size
    assert engine.remove("gone/model") >= part
    assert engine.cached("gone/model") is None
    hub.heal()
    engine.download("gone/model")
    assert engine.remove("gone/model") >= 100_000
    assert list((home / "hub").glob("models--*")) == []
    with pytest.raises(RpcError) as caught:
        engine.remove("gone/model")
    assert caught.value.kind == "model_not_cached"


def test_removing_one_revision_keeps_shared_files(start: Start, hub: Hub, home: Path) -> None:
    old = hub.add("kept/model", whisper())
    engine = start()
    engine.download("kept/model", revision=old)
    engine.download("kept/model", revision="main")
    new_files = whisper() | {"tokenizer.json": noise(5000)}
    new = hub.add("kept/model", new_files, branch="next")
    assert engine.download("kept/model", revision="next")["downloaded"] == 5000
    assert 5000 <= engine.remove("kept/model", revision="next") < 6000
    assert cached_copy(home, "kept/model", "main") == whisper()
    for revision in ("next", new, "../../hub"):
        with pytest.raises(RpcError) as caught:
            engine.remove("kept/model", revision=revision)
        assert caught.value.kind == "model_not_cached"
    assert engine.remove("kept/model", revision=old) >= 100_000
    assert engine.cached("kept/model") is None


@pytest.mark.parametrize("name", ["no/such", "../..", "..", "torchaudio/nonsense"])
def test_an_uncached_model_cannot_be_removed(engine: HubEngine, name: str) -> None:
    with pytest.raises(RpcError) as caught:
        engine.remove(name)
    assert caught.value.kind == "model_not_cached"


# torchaudio's bundles


def archive(size: int = 200_000) -> bytes:
    """A zip archive, as PyTorch writes its files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data/0", noise(size))
    return stream.getvalue()


WEIGHTS = archive()


@pytest.mark.parametrize(
    ("bundle", "file"),
    [
        ("WAV2VEC2_ASR_BASE_960H", BUNDLE),
        # As long as git's SHA-1, and none.
        ("HUBERT_ASR_LARGE", "hubert_fairseq_large_ll60k_asr_ls960.pth"),
    ],
)
def test_a_torchaudio_bundle_is_put_where_torch_looks(
    start: Start, hub: Hub, home: Path, bundle: str, file: str
) -> None:
    hub.files = {f"/torchaudio/{file}": WEIGHTS}
    engine = start()
    result = engine.download(f"torchaudio/{bundle}", "alignment")
    path = home / "torch" / "hub" / "checkpoints" / file
    assert result["path"] == str(path)
    assert path.read_bytes() == WEIGHTS
    assert engine.reports()[-1]["percentage"] == 100
    cached = engine.cached(f"torchaudio/{bundle}")
    assert cached
    assert (cached["size"], cached["complete"]) == (len(WEIGHTS), True)
    again = engine.download(f"torchaudio/{bundle}", "alignment")
    assert (again["downloaded"], again["mended"]) == (0, [])
    assert not any(SECRET in each.authorization for each in hub.asked("/torchaudio/*"))
    assert engine.remove(f"torchaudio/{bundle}") == len(WEIGHTS)
    assert not path.exists()


def test_a_bundle_resumes_is_repaired_and_works_offline(start: Start, hub: Hub, home: Path) -> None:
    hub.files = {f"/torchaudio/{BUNDLE}": WEIGHTS}
    name = "torchaudio/WAV2VEC2_ASR_BASE_960H"
    hub.fail(f"/torchaudio/{BUNDLE}", stall_at=100_000)
    first = start()
    first.send_download(name, "alignment")
    first.wait_for_bytes(100_000 - CHUNK)
    kill_hard(first.process.pid)
    first.process.wait()
    engine = start()
    assert engine.download(name, "alignment")["mended"] == []
    assert hub.travelled("/torchaudio/*") <= len(WEIGHTS) + CHUNK
    path = home / "torch" / "hub" / "checkpoints" / BUNDLE
    for damaged in (WEIGHTS[:1000], WEIGHTS[:5000] + b"!" + WEIGHTS[5001:]):
        path.write_bytes(damaged)
        assert engine.download(name, "alignment")["mended"] == [BUNDLE]
        assert path.read_bytes() == WEIGHTS
    hub.fail("/torchaudio/*", method="HEAD", status=503, times=100)
    hasty = start(HASTY)
    warnings = hasty.download(name, "alignment")["warnings"]
    assert [warning["kind"] for warning in warnings] == ["hub_unreachable"]
    path.write_bytes(WEIGHTS[:1000])
    assert refused(hasty, name, "alignment").kind == "model_download_failed"


def test_two_processes_download_a_bundle_once(start: Start, hub: Hub, home: Path) -> None:
    hub.files = {f"/torchaudio/{BUNDLE}": WEIGHTS}
    fault = hub.fail(f"/torchaudio/{BUNDLE}", stall_at=100_000)
    name = "torchaudio/WAV2VEC2_ASR_BASE_960H"
    pair = [start() for _ in range(2)]
    ids = [engine.send_download(name, "alignment") for engine in pair]
    for engine in pair:
        engine.wait_for_bytes(100_000 - CHUNK)
    fault.release.set()
    for engine, id_ in zip(pair, ids, strict=True):
        engine.result(id_, engine._keep)
    assert hub.travelled("/torchaudio/*") == len(WEIGHTS)
    assert (home / "torch" / "hub" / "checkpoints" / BUNDLE).read_bytes() == WEIGHTS


def test_an_unknown_bundle_is_not_found(engine: HubEngine, hub: Hub) -> None:
    assert refused(engine, "torchaudio/NONSENSE", "alignment").kind == "model_not_found"
    hub.files = {}
    error = refused(engine, "torchaudio/HUBERT_ASR_XLARGE", "alignment")
    assert (error.kind, error.data["status"]) == ("model_download_failed", 404)
