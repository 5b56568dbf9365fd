"""Downloads from the Hugging Face hub, by its own client: watched, verified, and mended.

huggingface_hub fetches files into its cache, goes on where a download was broken off, and keeps
two processes from writing the same file. Here it is told which files, asked again after a
transient failure, and not believed: what arrived is hashed. A revision's name (`main`) is pointed
at the new files when all of them are there, so that a broken download leaves an older copy usable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from huggingface_hub import HfApi, constants, get_session, hf_hub_download
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.engines.hub import cache as hub_cache
from worker.engines.hub.client import hub_errors, insist
from worker.models.catalogue import torchaudio_file
from worker.session.job import Job

TORCHAUDIO_URL: Final = "https://download.pytorch.org/torchaudio/models"
TORCHAUDIO_VARIABLE: Final = "TRANSCRIPTION_WORKER_TORCHAUDIO_URL"
"""Names a mirror of those, as HF_ENDPOINT names one of the hub."""
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of disk that a download leaves to others."""

_SIDE_BY_SIDE: Final = 4
_POLL_SECONDS: Final = 0.1
_ATTEMPTS: Final = 8
"""How often a file is asked for without a byte of progress: for half a minute in all."""
_FETCHES: Final = 3
"""How often a file is fetched that arrives damaged."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")

_Result = TypeVar("_Result")


class Choice(NamedTuple):
    """Which files of a repository make up a model."""

    pick: Callable[[list[str]], list[str]]
    lacks: Callable[[set[str]], list[str]]
    """Those that are not there, and without which it is no such model."""
    config: str | None = None
    """A file that names other repositories, which belong to the model."""
    others: Callable[[bytes], list[tuple[str, str | None]]] = lambda config: []
    """Those, with revisions, by the content of that file. The same kinds of files are picked."""


class Fetched(NamedTuple):
    """A repository that is complete in the cache."""

    repository: str
    commit: str | None
    path: str
    files: int
    size: int
    downloaded: int
    mended: list[str]
    licence: str | None
    unasked: bool
    """The hub could not be reached: what was cached is whole, but may not be the newest."""


def fetch(job: Job, repository: str, revision: str | None, choice: Choice) -> list[Fetched]:
    """Have a model's files in the cache, verified; return its repository, and those it names.

    Raises `RpcError` of the kinds model_not_found, model_gated, model_not_cached (offline),
    model_invalid, model_download_failed, token_missing, token_invalid, disk_full, cancelled.
    """
    wanted = _side_by_side(job, [partial(_ask, repository, revision, choice)])
    main = wanted[0]
    for file in main.files:
        if file.name == choice.config:
            _side_by_side(job, [partial(main.have, file)])
            others = choice.others(file.path.read_bytes())
            everything = Choice(choice.pick, lambda names: [])
            wanted += _side_by_side(job, [partial(_ask, *other, everything) for other in others])
    return _complete(job, wanted)


def fetch_torchaudio(job: Job, repository: str) -> list[Fetched]:
    """Have the weights of a torchaudio bundle in its cache. Raises as `fetch` does.

    Nobody publishes their hashes: their length and the checksums inside of them are all there is.
    """
    return _complete(job, _side_by_side(job, [partial(_ask_torchaudio, repository)]))


@dataclass(eq=False)
class _File:
    """A file that is wanted, and how far it is."""

    name: str
    size: int
    digest: str
    """Identifies its content on the hub; empty where that is not known."""
    path: Path
    """Where it belongs."""
    part: Path
    """Where it is while it arrives."""
    get: Callable[[], object]
    """Fetches what is missing of it."""
    whole: bool = False
    """It is there, and verified."""
    travelled: int = 0
    """Bytes that came over the network."""
    mended: bool = False
    """It was there, or arrived, damaged."""

    @property
    def arrived(self) -> int:
        """Bytes that need not come over the network."""
        if self.path.exists() or self.part.with_suffix("").is_file():
            return self.size
        return min(self.size, hub_cache.size(self.part))

    def discard(self) -> None:
        """Delete it, and the blob that it is a link to."""
        if self.path.is_symlink():
            self.path.parent.joinpath(self.path.readlink()).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


@dataclass(eq=False)
class _Repository:
    """A repository that is wanted at one commit."""

    name: str
    commit: str | None
    path: Path
    files: list[_File]
    revision: str | None = None
    """What to point at the commit when all is there."""
    licence: str | None = None
    unasked: bool = False

    def have(self, file: _File) -> None:
        """Have a file in the cache, whole. Raises `RpcError`."""
        with hub_errors(self.name):
            for fetches in range(_FETCHES + 1):
                if file.path.exists():
                    if not hub_cache.damaged(file.path, file.digest, file.size):
                        file.whole = True
                        return
                    file.discard()
                    file.mended = True
                if fetches < _FETCHES:
                    file.travelled += file.size - file.arrived
                    insist(file.get, _ATTEMPTS, lambda: file.arrived)
        raise RpcError(
            "model_download_failed",
            f"{file.name} of {self.name} arrives damaged again and again.",
            model=self.name,
            damaged=[file.name],
        )

    def point(self) -> None:
        """Let a branch or tag stand for the commit that is now complete."""
        if self.unasked or not self.commit or not self.revision or self.revision == self.commit:
            return
        folder = self.path.parents[1]
        ref = folder / "refs" / self.revision
        with hub_errors(self.name):
            ref.parent.mkdir(parents=True, exist_ok=True)
            fresh = folder / f"ref.{os.getpid()}"
            fresh.write_text(self.commit)
            fresh.replace(ref)

    def fetched(self) -> Fetched:
        """What has become of it."""
        return Fetched(
            self.name,
            self.commit,
            str(self.path),
            len(self.files),
            sum(file.size for file in self.files),
            sum(file.travelled for file in self.files),
            [file.name for file in self.files if file.mended],
            self.licence,
            self.unasked,
        )


def _ask(repository: str, revision: str | None, choice: Choice) -> _Repository:
    """What the hub has of a repository; or what is cached, if that is whole, when it is mute."""
    try:
        with hub_errors(repository):
            api = HfApi()
            info = insist(
                lambda: api.model_info(repository, revision=revision, files_metadata=True)
            )
            return _listed(repository, revision or constants.DEFAULT_REVISION, choice, info)
    except RpcError as error:
        found = _cached(repository, revision, choice) if error.data.get("unreachable") else None
        if found is None:
            raise
        return found


def _listed(repository: str, revision: str, choice: Choice, info: Any) -> _Repository:
    siblings = {file.rfilename: file for file in info.siblings or ()}
    names = choice.pick(list(siblings))
    if missing := choice.lacks(set(names)):
        raise RpcError(
            "model_invalid",
            f"The repository {repository} holds no such model: it lacks {', '.join(missing)}.",
            remedy="Name a repository that holds the model in the form that is needed here.",
            model=repository,
            missing=missing,
        )
    # What a hub says becomes part of paths.
    if not _COMMIT.fullmatch(info.sha) or not all(map(_stays_inside, [revision, *names])):
        raise RpcError(
            "model_invalid",
            f"The repository {repository} has files outside of it.",
            model=repository,
        )
    folder = hub_cache.folder(repository)
    path = folder / "snapshots" / info.sha
    files = []
    for name in names:
        sibling = siblings[name]
        digest = sibling.lfs["sha256"] if sibling.lfs else sibling.blob_id
        digest = digest if hub_cache.is_digest(digest) else ""
        part = hub_cache.part_of(folder / "blobs" / (digest or "unknown"))
        size = sibling.size or 0
        get = partial(_get, repository, info.sha, name, size, part)
        files.append(_File(name, size, digest, path / name, part, get))
    licence = info.card_data.get("license") if info.card_data else None
    licence = licence if isinstance(licence, str) else None
    return _Repository(repository, info.sha, path, files, revision, licence)


def _get(repository: str, commit: str, name: str, size: int, part: Path) -> None:
    if hub_cache.size(part) > size:
        part.unlink()  # nothing can follow
    # By its commit: no name is pointed at what is not complete.
    hf_hub_download(repository, name, revision=commit)


def _stays_inside(name: str) -> bool:
    return ":" not in name and not {"", ".", ".."}.intersection(re.split(r"[/\\]", name))


def _cached(repository: str, revision: str | None, choice: Choice) -> _Repository | None:
    """What is cached, if it is complete. Raises `RpcError` when it is damaged."""
    try:
        path = Path(hub_cache.snapshot(repository, revision))
    except RpcError:
        return None
    present = {
        file.relative_to(path).as_posix(): file for file in path.glob("**/*") if file.is_file()
    }
    if not present or choice.lacks(set(present)):
        return None
    if damaged := [name for name, file in present.items() if hub_cache.damaged(file)]:
        raise RpcError(
            "model_invalid",
            f"The cached files {', '.join(damaged)} of {repository} are damaged, and it cannot be "
            "reached to fetch them again.",
            remedy="Download it again when the hub can be reached.",
            model=repository,
            damaged=damaged,
        )
    files = [_there(name, file) for name, file in present.items()]
    return _Repository(repository, path.name, path, files, unasked=True)


def _there(name: str, path: Path) -> _File:
    """A file that is there, and verified."""
    part = hub_cache.part_of(path)
    return _File(name, hub_cache.size(path), "", path, part, lambda: None, whole=True)


def _ask_torchaudio(repository: str) -> _Repository:
    bundle = repository.removeprefix(hub_cache.TORCHAUDIO)
    name = torchaudio_file(bundle)
    if name is None:
        raise RpcError(
            "model_not_found", f"torchaudio has no model {bundle} that aligns.", model=bundle
        )
    path = hub_cache.torchaudio_weights(bundle)
    part = hub_cache.part_of(path)
    url = f"{(os.environ.get(TORCHAUDIO_VARIABLE) or TORCHAUDIO_URL).rstrip('/')}/{name}"
    plain = {"Accept-Encoding": "identity"}

    def look_up() -> int:
        reply = get_session().head(url, headers=plain, allow_redirects=True)
        reply.raise_for_status()
        return int(reply.headers["Content-Length"])

    try:
        with hub_errors(repository):
            size = insist(look_up)
    except RpcError as error:
        if not error.data.get("unreachable") or not path.is_file() or hub_cache.damaged(path):
            raise
        return _Repository(repository, None, path, [_there(name, path)], unasked=True)

    def get() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(path.with_name(f".{name}.lock")):
            if path.exists():
                return
            with part.open("ab") as stream:
                if stream.tell() > size:
                    stream.truncate(0)
                http_get(url, stream, resume_size=stream.tell(), headers=plain, expected_size=size)
            part.replace(path)

    return _Repository(repository, None, path, [_File(name, size, "", path, part, get)])


def _complete(job: Job, wanted: list[_Repository]) -> list[Fetched]:
    """Have all files of the repositories; the names of their revisions follow last."""
    files = [file for each in wanted for file in each.files]
    place = wanted[0].path
    total = sum(file.size for file in files)
    reported = (0, 0)

    def watch() -> None:
        nonlocal reported
        arrived = sum(file.arrived for file in files)
        if arrived < total and hub_cache.free_disk(place) < RESERVE // 2:
            raise _disk_full(place, total - arrived)
        # What arrives damaged is fetched again, but reports never go back.
        reported = max(arrived, reported[0]), max(sum(f.whole for f in files), reported[1])
        job.report(
            ProgressReport(
                stage="download",
                message=wanted[0].name,
                percentage=round(100 * reported[0] / total, 2) if total else 100.0,
                bytes_done=reported[0],
                bytes_total=total,
                files_done=reported[1],
                files_total=len(files),
            )
        )

    missing = total - sum(file.arrived for file in files)
    if missing and hub_cache.free_disk(place) < missing + RESERVE:
        raise _disk_full(place, missing)
    _side_by_side(
        job,
        [partial(each.have, file) for each in wanted for file in each.files if not file.whole],
        watch,
    )
    watch()
    for each in wanted:
        each.point()
    return [each.fetched() for each in wanted]


def _side_by_side(
    job: Job, tasks: Iterable[Callable[[], _Result]], watch: Callable[[], None] = lambda: None
) -> list[_Result]:
    """Run tasks until the last has ended or one has failed, and `watch` meanwhile.

    Those that run on after a failure or a cancel end with this process.
    """
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
    try:
        futures = [pool.submit(task) for task in tasks]
        while True:
            ended, running = wait(futures, _POLL_SECONDS, FIRST_EXCEPTION)
            job.raise_if_cancelled()
            for each in ended:
                each.result()
            if not running:
                return [each.result() for each in futures]
            watch()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _disk_full(place: Path, needed: int) -> RpcError:
    free = hub_cache.free_disk(place)
    return RpcError(
        "disk_full",
        f"The download needs {needed:,} more bytes and {RESERVE:,} to spare; {free:,} are free on "
        "its disk.",
        path=str(place),
        needed=needed,
        free=free,
    )
