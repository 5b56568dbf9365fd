"""Downloads models from the Hugging Face hub with its own client, and verifies and repairs them.

huggingface_hub fetches files into its cache, resumes interrupted downloads, and keeps two processes
from writing the same file. This module chooses the files, retries after transient failures, reports
progress, and hashes every file. It points a revision's name (`main`) at the new files only when all
are complete, so that an older copy stays usable until then.
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
from worker.engines.hub.client import hub_errors, retrying
from worker.models.catalogue import torchaudio_file
from worker.session.job import Job

TORCHAUDIO_URL: Final = "https://download.pytorch.org/torchaudio/models"
TORCHAUDIO_VARIABLE: Final = "TRANSCRIPTION_WORKER_TORCHAUDIO_URL"
"""The variable that names a mirror of it, as HF_ENDPOINT names a mirror of the hub."""
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of disk space that a download leaves free."""

_THREADS: Final = 4
_POLL_SECONDS: Final = 0.1
_ATTEMPTS: Final = 8
"""How often to request a file without a byte of progress: for half a minute in all."""
_FETCHES: Final = 3
"""How often to fetch a file that arrives damaged."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")

_Result = TypeVar("_Result")


class Choice(NamedTuple):
    """Which files of a repository make up a model."""

    pick: Callable[[list[str]], list[str]]
    """Selects the files to download."""
    lacks: Callable[[set[str]], list[str]]
    """Returns the required files that are missing."""
    config: str | None = None
    """A file that names other repositories, which belong to the model."""
    others: Callable[[bytes], list[tuple[str, str | None]]] = lambda config: []
    """Reads those from it, with their revisions; `pick` selects their files, too."""


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
    hub_unreachable: bool
    """The cached copy is complete, but may not be the newest."""


def fetch(job: Job, repository: str, revision: str | None, choice: Choice) -> list[Fetched]:
    """Download and verify a model; return its repository, and those that its config names.

    Raises `RpcError` of the kinds model_not_found, model_gated, model_not_cached (offline),
    model_invalid, model_download_failed, token_missing, token_invalid, disk_full, cancelled.
    """
    wanted = _run_parallel(job, [partial(_look_up, repository, revision, choice)])
    main = wanted[0]
    for file in main.files:
        if file.name == choice.config:
            _run_parallel(job, [partial(main.ensure, file)])
            others = choice.others(file.path.read_bytes())
            everything = Choice(choice.pick, lambda names: [])
            wanted += _run_parallel(job, [partial(_look_up, *each, everything) for each in others])
    return _complete(job, wanted)


def fetch_torchaudio(job: Job, repository: str) -> list[Fetched]:
    """Download the weights of a torchaudio bundle to torch.hub's cache. Raises as `fetch` does.

    Nobody publishes their hashes, so only their length and the checksums inside are verified.
    """
    return _complete(job, _run_parallel(job, [partial(_look_up_torchaudio, repository)]))


@dataclass(eq=False)
class _File:
    """A file to download, and its state."""

    name: str
    size: int
    digest: str
    """Identifies its content on the hub; empty if unknown."""
    path: Path
    part: Path
    """Holds its first bytes during the download."""
    get: Callable[[], object]
    """Downloads its missing bytes."""
    verified: bool = False
    """It is complete, and its content is right."""
    downloaded: int = 0
    """Bytes that came over the network."""
    mended: bool = False
    """A damaged copy of it was replaced."""

    @property
    def arrived(self) -> int:
        """Bytes that need not come over the network."""
        if self.path.exists() or self.part.with_suffix("").is_file():
            return self.size
        return min(self.size, hub_cache.size(self.part))

    def discard(self) -> None:
        """Delete the file and the blob that it links to."""
        if self.path.is_symlink():
            self.path.parent.joinpath(self.path.readlink()).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


@dataclass(eq=False)
class _Repository:
    """A repository to download at one commit."""

    name: str
    commit: str | None
    path: Path
    files: list[_File]
    revision: str | None = None
    """The branch or tag to point at the commit when all files are complete."""
    licence: str | None = None
    hub_unreachable: bool = False

    def ensure(self, file: _File) -> None:
        """Verify a file in the cache, and download it until it is right. Raises `RpcError`."""
        with hub_errors(self.name):
            for fetches in range(_FETCHES + 1):
                if file.path.exists():
                    if not hub_cache.damaged(file.path, file.digest, file.size):
                        file.verified = True
                        return
                    file.discard()
                    file.mended = True
                if fetches < _FETCHES:
                    file.downloaded += file.size - file.arrived
                    retrying(file.get, _ATTEMPTS, lambda: file.arrived)
        raise RpcError(
            "model_download_failed",
            f"{file.name} of {self.name} arrived damaged {_FETCHES} times.",
            model=self.name,
            damaged=[file.name],
        )

    def point_revision(self) -> None:
        """Point the branch or tag at the commit, which is now complete."""
        if self.hub_unreachable or not self.commit or not self.revision:
            return
        if self.revision == self.commit:
            return
        folder = self.path.parents[1]
        ref = folder / "refs" / self.revision
        with hub_errors(self.name):
            ref.parent.mkdir(parents=True, exist_ok=True)
            fresh = folder / f"ref.{os.getpid()}"
            fresh.write_text(self.commit)
            fresh.replace(ref)

    def fetched(self) -> Fetched:
        """The outcome, once all files are complete."""
        return Fetched(
            self.name,
            self.commit,
            str(self.path),
            len(self.files),
            sum(file.size for file in self.files),
            sum(file.downloaded for file in self.files),
            [file.name for file in self.files if file.mended],
            self.licence,
            self.hub_unreachable,
        )


def _look_up(repository: str, revision: str | None, choice: Choice) -> _Repository:
    """Ask the hub for a repository's files; if it is unreachable, use a complete cached copy."""
    try:
        with hub_errors(repository):
            api = HfApi()
            info = retrying(
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
            f"The repository {repository} lacks {', '.join(missing)}.",
            remedy="Name a repository with the model in the format that the engine needs.",
            model=repository,
            missing=missing,
        )
    # These strings come from the hub and become part of paths.
    if not _COMMIT.fullmatch(info.sha) or not all(map(_stays_inside, [revision, *names])):
        raise RpcError(
            "model_invalid",
            f"The repository {repository} names files outside its own folder.",
            remedy="Do not use it: name another repository.",
            model=repository,
        )
    folder = hub_cache.folder(repository)
    path = folder / "snapshots" / info.sha
    files = []
    for name in names:
        sibling = siblings[name]
        digest = sibling.lfs["sha256"] if sibling.lfs else sibling.blob_id
        digest = digest if hub_cache.is_digest(digest) else ""
        part = hub_cache.partial_file(folder / "blobs" / (digest or "unknown"))
        size = sibling.size or 0
        get = partial(_get, repository, info.sha, name, size, part)
        files.append(_File(name, size, digest, path / name, part, get))
    licence = info.card_data.get("license") if info.card_data else None
    licence = licence if isinstance(licence, str) else None
    return _Repository(repository, info.sha, path, files, revision, licence)


def _get(repository: str, commit: str, name: str, size: int, part: Path) -> None:
    if hub_cache.size(part) > size:
        part.unlink()  # it cannot be the beginning of the file
    # By commit, not by revision: the client would point the name at incomplete files.
    hf_hub_download(repository, name, revision=commit)


def _stays_inside(name: str) -> bool:
    return ":" not in name and not {"", ".", ".."}.intersection(re.split(r"[/\\]", name))


def _cached(repository: str, revision: str | None, choice: Choice) -> _Repository | None:
    """The cached copy, if it is complete. Raises `RpcError` if it is damaged."""
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
            f"The cached files {', '.join(damaged)} of {repository} are damaged, and the hub "
            "cannot be reached to fetch them again.",
            remedy="Download the model again when the hub can be reached.",
            model=repository,
            damaged=damaged,
        )
    files = [_cached_file(name, file) for name, file in present.items()]
    return _Repository(repository, path.name, path, files, hub_unreachable=True)


def _cached_file(name: str, path: Path) -> _File:
    """A file that is in the cache and verified."""
    part = hub_cache.partial_file(path)
    return _File(name, hub_cache.size(path), "", path, part, lambda: None, verified=True)


def _look_up_torchaudio(repository: str) -> _Repository:
    bundle = repository.removeprefix(hub_cache.TORCHAUDIO)
    name = torchaudio_file(bundle)
    if name is None:
        raise RpcError(
            "model_not_found", f"torchaudio has no alignment model {bundle}.", model=bundle
        )
    path = hub_cache.torchaudio_weights(bundle)
    part = hub_cache.partial_file(path)
    url = f"{(os.environ.get(TORCHAUDIO_VARIABLE) or TORCHAUDIO_URL).rstrip('/')}/{name}"
    plain = {"Accept-Encoding": "identity"}

    def look_up_size() -> int:
        reply = get_session().head(url, headers=plain, allow_redirects=True)
        reply.raise_for_status()
        return int(reply.headers["Content-Length"])

    try:
        with hub_errors(repository):
            size = retrying(look_up_size)
    except RpcError as error:
        if not error.data.get("unreachable") or not path.is_file() or hub_cache.damaged(path):
            raise
        files = [_cached_file(name, path)]
        return _Repository(repository, None, path, files, hub_unreachable=True)

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
    """Download and verify all files of the repositories; then point their revisions at them."""
    files = [file for each in wanted for file in each.files]
    place = wanted[0].path
    total = sum(file.size for file in files)
    reported = (0, 0)

    def watch() -> None:
        nonlocal reported
        arrived = sum(file.arrived for file in files)
        if arrived < total and hub_cache.free_disk(place) < RESERVE // 2:
            raise _disk_full(place, total - arrived)
        # A damaged file is fetched again, but reported progress never falls.
        reported = max(arrived, reported[0]), max(sum(f.verified for f in files), reported[1])
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
    _run_parallel(
        job,
        [partial(each.ensure, file) for each in wanted for file in each.files if not file.verified],
        watch,
    )
    watch()
    for each in wanted:
        each.point_revision()
    return [each.fetched() for each in wanted]


def _run_parallel(
    job: Job, tasks: Iterable[Callable[[], _Result]], watch: Callable[[], None] = lambda: None
) -> list[_Result]:
    """Run tasks in threads until all have ended or one has failed; call `watch` repeatedly.

    After a failure or a cancel, tasks that still run end with this process.
    """
    pool = ThreadPoolExecutor(_THREADS)
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
        f"The download needs {needed:,} more bytes, and {RESERVE:,} must stay free; the disk has "
        f"{free:,} free.",
        path=str(place),
        needed=needed,
        free=free,
    )
