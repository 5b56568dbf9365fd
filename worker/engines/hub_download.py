"""Downloads from the Hugging Face hub, by its own client: watched, verified, and mended.

huggingface_hub fetches files into its cache, goes on where a download was broken off, and keeps
two processes from writing the same file. Here it is told which files, asked again after a
transient failure, and not believed: what arrived is hashed. A revision's name (`main`) is pointed
at the new files when all of them are there, so that a broken download leaves an older copy usable.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from protocol.errors import RpcError
from protocol.progress import ProgressReport
from worker.engines import hub_cache
from worker.jobs import Job

_SIDE_BY_SIDE: Final = 4
_ATTEMPTS: Final = 5
"""How often a file is asked for without a byte of progress."""
_PAUSE_SECONDS: Final = 0.5
"""Before the second attempt; twice that before the third, and so on."""
_POLL_SECONDS: Final = 0.1
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of disk that a download leaves to others."""


class _File(NamedTuple):
    """A file of a repository."""

    name: str
    size: int
    digest: str
    """SHA-256 of a large file, git's SHA-1 of another: the name of its blob in the cache."""


class Fetched(NamedTuple):
    """A repository that is complete in the cache."""

    repository: str
    commit: str | None
    path: str
    files: int
    size: int
    downloaded: int
    mended: list[str]
    licence: str | None = None
    unasked: bool = False
    """The hub could not be reached: what was cached is whole, but may not be the newest."""


def fetch(
    job: Job, repository: str, revision: str | None, choose: Callable[[list[str]], list[str]]
) -> Fetched:
    """Have the files of a repository that `choose` picks in the cache, verified.

    Raises `RpcError` of the kinds model_not_found, model_gated, model_not_cached (offline),
    model_download_failed, disk_full, cancelled.
    """
    from huggingface_hub import HfApi, constants

    try:
        with hub_errors(repository):
            info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    except RpcError as error:
        found = _unasked(repository, revision) if error.data.get("unreachable") else None
        if found is None:
            raise
        return found
    assert info.sha is not None
    named = {file.rfilename: file for file in info.siblings or ()}
    files = [_file(named[name]) for name in choose(list(named))]
    folder = _folder(repository)
    paths = {file.name: folder / "snapshots" / info.sha / file.name for file in files}
    mended = [file.name for file in files if _discard_damaged(paths[file.name], file)]
    before = sum(file.size for file in files if paths[file.name].exists())
    _check_disk(folder, sum(file.size for file in files) - before - _partial(folder, files))
    watch = _Watch(job, repository, folder, files, paths)
    for attempt in range(_ATTEMPTS):
        missing = [file for file in files if not paths[file.name].exists()]
        watch.over(_fetch_all(repository, info.sha, missing))
        wrong = [file.name for file in missing if _discard_damaged(paths[file.name], file)]
        if not wrong:
            break
        mended += [name for name in wrong if name not in mended]
        if attempt == _ATTEMPTS - 1:
            raise RpcError(
                "model_download_failed",
                f"{', '.join(wrong)} of {repository} arrives damaged again and again.",
                model=repository,
                damaged=wrong,
            )
    _point(folder, revision or constants.DEFAULT_REVISION, info.sha)
    card: Any = info.card_data
    size = sum(file.size for file in files)
    return Fetched(
        repository,
        info.sha,
        str(folder / "snapshots" / info.sha),
        len(files),
        size,
        max(0, size - before),
        mended,
        card.get("license") if card else None,
    )


def fetch_torchaudio(job: Job, repository: str) -> Fetched:
    """Have the weights of a torchaudio bundle in its cache.

    Nobody publishes their hashes: that they are as long as the server says is all that is known.
    """
    import requests
    from huggingface_hub.file_download import http_get

    name = repository.removeprefix(hub_cache.TORCHAUDIO)
    file = hub_cache.torchaudio_weights(name)
    part = file.with_name(file.name + hub_cache.INCOMPLETE)
    url = f"{TORCHAUDIO_URL}/{file.name}"
    with hub_errors(repository):
        reply = requests.head(url, allow_redirects=True, timeout=10)
        reply.raise_for_status()
        size = int(reply.headers["Content-Length"])
    whole = file.is_file() and file.stat().st_size == size
    mended = [file.name] if file.is_file() and not whole else []
    started = part.stat().st_size if part.is_file() else 0
    if not whole:
        file.parent.mkdir(parents=True, exist_ok=True)
        _check_disk(file.parent, size - started)

        def get() -> None:
            with part.open("ab") as stream:
                http_get(url, stream, resume_size=stream.tell(), expected_size=size)
            part.replace(file)

        target = [_File(file.name, size, "")]
        watch = _Watch(job, repository, file.parent, target, {file.name: file}, {file.name: part})
        watch.over([lambda: _insist(get, lambda: _size(part))])
    downloaded = 0 if whole else size - started
    return Fetched(repository, None, str(file), 1, size, downloaded, mended)


TORCHAUDIO_URL: Final = "https://download.pytorch.org/torchaudio/models"


class _Watch:
    """Reports how far a download is, while others fetch; ends it when the disk runs full."""

    def __init__(
        self,
        job: Job,
        repository: str,
        folder: Path,
        files: list[_File],
        paths: dict[str, Path],
        parts: dict[str, Path] | None = None,
    ) -> None:
        self._job = job
        self._repository = repository
        self._folder = folder
        self._files = files
        self._paths = paths
        self._parts = parts or {file.name: _part(folder, file) for file in files}
        self._total = sum(file.size for file in files)
        self._highest = 0

    def over(self, fetches: Iterable[Callable[[], None]]) -> None:
        """Run the `fetches` side by side until the last has ended or one has failed.

        Those that run on after a failure or a cancel end with this process.
        """
        failed: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
            try:
                for each in [pool.submit(fetch) for fetch in fetches]:
                    each.result()
            except BaseException as error:
                failed.append(error)
            pool.shutdown(wait=False, cancel_futures=True)
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(_POLL_SECONDS):
            self._job.raise_if_cancelled()
            self._report()
            if not _has_room(self._folder, 0, RESERVE // 2):
                raise _disk_full(self._folder, None)
        if failed:
            with hub_errors(self._repository):
                raise failed[0]
        self._report()

    def _report(self) -> None:
        complete = [file for file in self._files if self._paths[file.name].exists()]
        done = sum(file.size for file in complete)
        done += sum(_size(self._parts[file.name]) for file in self._files if file not in complete)
        self._highest = max(self._highest, min(done, self._total))
        self._job.report(
            ProgressReport(
                stage="download",
                message=self._repository,
                percentage=round(100 * self._highest / self._total, 2) if self._total else 100.0,
                bytes_done=self._highest,
                bytes_total=self._total,
                files_done=len(complete),
                files_total=len(self._files),
            )
        )


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn what the hub's client raises into errors that say what to do.

    Nothing of its text is kept: it may hold addresses with a signature in them.
    """
    import requests
    from huggingface_hub import errors

    def failed(why: str, **details: Any) -> RpcError:
        message = f"The model {repository} could not be downloaded: {why}."
        return RpcError("model_download_failed", message, model=repository, **details)

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise RpcError(
            "model_not_cached",
            f"The model {repository} is not on this machine, and HF_HUB_OFFLINE forbids to fetch "
            "it.",
            remedy="Unset HF_HUB_OFFLINE, or give the path of a local model directory.",
            model=repository,
            repository=repository,
            unreachable=True,
        ) from None
    except errors.GatedRepoError:
        page = f"https://huggingface.co/{repository}"
        raise RpcError(
            "model_gated",
            f"The makers of {repository} want their terms accepted on {page} before it can be "
            "fetched.",
            model=repository,
            repository=repository,
            page=page,
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise RpcError(
            "model_not_found",
            f"The hub has no model {repository} at that revision, or shows it to nobody without a "
            "token.",
            model=repository,
        ) from None
    except errors.HFValidationError:
        raise RpcError(
            "model_not_found", f"{repository} is not a name that the hub allows.", model=repository
        ) from None
    except (requests.ConnectionError, requests.Timeout, errors.LocalEntryNotFoundError) as error:
        raise failed(
            f"the hub cannot be reached ({type(error).__name__})", unreachable=True
        ) from None
    except requests.HTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status == 401:
            raise RpcError("token_invalid", model=repository) from None
        raise failed(
            f"the hub answers with status {status}", status=status, unreachable=_transient(error)
        ) from None
    except RpcError:
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _disk_full(None, None) from None
        raise failed(f"{type(error).__name__}: {error.strerror or 'it arrived damaged'}") from None
    except Exception as error:  # whatever else the HTTP stack raises
        raise failed(type(error).__name__) from None


def _fetch_all(repository: str, commit: str, files: list[_File]) -> list[Callable[[], None]]:
    from huggingface_hub import hf_hub_download

    folder = _folder(repository)

    def fetcher(file: _File) -> Callable[[], None]:
        part = _part(folder, file)

        def get() -> None:
            if _size(part) > file.size:
                part.unlink()  # nothing can follow
            # By its commit: no name is pointed at what is not complete.
            hf_hub_download(repository, file.name, revision=commit)

        return lambda: _insist(get, lambda: _size(part))

    return [fetcher(file) for file in files]


def _insist(get: Callable[[], None], arrived: Callable[[], int]) -> None:
    """Ask again after a transient failure; as long as bytes keep coming, or a few times."""
    attempts, before = 0, arrived()
    while True:
        try:
            return get()
        except Exception as error:
            if not _transient(error):
                raise
            attempts = 1 if arrived() > before else attempts + 1
            before = arrived()
            if attempts >= _ATTEMPTS:
                raise
            time.sleep(_PAUSE_SECONDS * 2 ** (attempts - 1))


def _transient(error: BaseException) -> bool:
    import requests
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    if isinstance(error, requests.HTTPError):
        status = getattr(error.response, "status_code", None) or 500
        return status in (408, 416, 429) or status >= 500
    if isinstance(error, errors.LocalEntryNotFoundError | requests.RequestException):
        return True
    # What the client raises when a file is shorter than it was said to be.
    return isinstance(error, OSError) and error.errno is None


def _unasked(repository: str, revision: str | None) -> Fetched | None:
    """What is cached, if all that is there is whole: for when the hub cannot be reached."""
    try:
        directory = Path(hub_cache.snapshot(repository, revision))
    except RpcError:
        return None
    files = [file for file in directory.glob("**/*") if file.is_file() or file.is_symlink()]
    if not files or any(hub_cache.damaged(file) for file in files):
        return None
    size = sum(_size(file) for file in files)
    return Fetched(
        repository, directory.name, str(directory), len(files), size, 0, [], unasked=True
    )


def _file(sibling: Any) -> _File:
    lfs = sibling.lfs
    digest = lfs["sha256"] if lfs else sibling.blob_id
    return _File(sibling.rfilename, sibling.size or 0, digest or "")


def _folder(repository: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE, name)


def _part(folder: Path, file: _File) -> Path:
    return folder / "blobs" / (file.digest + hub_cache.INCOMPLETE)


def _partial(folder: Path, files: list[_File]) -> int:
    return sum(_size(_part(folder, file)) for file in files)


def _discard_damaged(path: Path, file: _File) -> bool:
    """Delete a cached file that is not what the hub has; return whether it was so."""
    blob = path.resolve()
    if not blob.is_file() or not hub_cache.damaged(path, file.digest, file.size):
        return False
    blob.unlink()
    path.unlink(missing_ok=True)
    return True


def _point(folder: Path, revision: str, commit: str) -> None:
    """Let a branch or tag stand for the commit that is now complete."""
    if revision == commit:
        return
    ref = folder / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    fresh = ref.with_name(f"{ref.name}.new")
    fresh.write_text(commit)
    fresh.replace(ref)


def _check_disk(folder: Path, needed: int) -> None:
    if needed > 0 and not _has_room(folder, needed, RESERVE):
        raise _disk_full(folder, needed)


def _has_room(folder: Path, needed: int, reserve: int) -> bool:
    return hub_cache.free_disk(folder) >= needed + reserve


def _disk_full(folder: Path | None, needed: int | None) -> RpcError:
    details: dict[str, Any] = {}
    message = None
    if folder:
        free = hub_cache.free_disk(folder)
        details = {"path": str(folder), "free": free}
        if needed:
            details["needed"] = needed
            message = f"The download needs {needed:,} bytes; {free:,} are free on its disk."
    return RpcError("disk_full", message, **details)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _no_space() -> tuple[int, ...]:
    import errno

    return tuple(
        number
        for name in ("ENOSPC", "EDQUOT")
        if (number := getattr(errno, name, None)) is not None
    )


_NO_SPACE: Final = _no_space()
