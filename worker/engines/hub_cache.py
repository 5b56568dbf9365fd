"""The cache of the Hugging Face hub, and torchaudio's: what is in them, and whether it is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from protocol.errors import RpcError
from worker.catalogue import torchaudio_file

TORCHAUDIO: Final = "torchaudio/"
"""What the repository of a bundle of torchaudio's begins with."""

INCOMPLETE: Final = ".incomplete"
"""Suffix of a file that is being downloaded, or whose download was broken off."""
_BLOCK: Final = 1 << 20


class Cached(NamedTuple):
    """What the cache holds of a repository. Sizes in bytes."""

    repository: str
    size: int
    incomplete: int
    revisions: list[str]


def snapshot(
    repository: str,
    revision: str | None,
    missing: Callable[[str], list[str]] = lambda directory: [],
) -> str:
    """The directory of a cached repository.

    Raises `RpcError`: model_not_cached; model_invalid when `missing` names files that it lacks.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        directory = snapshot_download(repository, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        raise not_cached(repository, repository) from None
    if lacking := missing(directory):
        raise incomplete(directory, lacking)
    return directory


def not_cached(name: str, repository: str) -> RpcError:
    """The error for a model that would have to be fetched."""
    return RpcError(
        "model_not_cached",
        f"The model {name} is not on this machine, and downloading was not asked for.",
        model=name,
        repository=repository,
    )


def incomplete(directory: str, missing: list[str]) -> RpcError:
    """The error for a model directory that lacks files."""
    return RpcError(
        "model_invalid",
        f"The model directory {directory} lacks {', '.join(missing)}.",
        path=directory,
        missing=missing,
    )


def needs_pickle(path: str) -> RpcError:
    """The error for weights that hold more than tensors."""
    return RpcError(
        "model_needs_pickle",
        f"The weights in {path} are stored in a form that can run code while it is read, or are "
        "damaged.",
        path=path,
    )


def torchaudio_weights(name: str) -> Path:
    """Where torchaudio keeps the weights of a bundle: in torch.hub's cache."""
    home = os.environ.get("TORCH_HOME")
    if not home:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = os.path.join(cache, "torch")
    return Path(home, "hub", "checkpoints", torchaudio_file(name) or "").expanduser()


def contents() -> Iterator[Cached]:
    """Every model in the cache of the hub."""
    from huggingface_hub import constants

    for directory in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        blobs, parts = 0, 0
        for file in directory.glob("blobs/*"):
            if file.suffix == INCOMPLETE:
                parts += _size(file)
            else:
                blobs += _size(file)
        copies = sum(  # where the system has no symbolic links
            _size(file) for file in directory.glob("snapshots/**/*") if not file.is_symlink()
        )
        revisions = sorted(path.name for path in directory.glob("snapshots/*"))
        repository = directory.name.removeprefix("models--").replace("--", "/", 1)
        if blobs or parts or copies:
            yield Cached(repository, blobs + copies, parts, revisions)


def remove(repository: str, revision: str | None) -> int:
    """Delete a repository from the cache, or one revision of it; return the bytes freed.

    Raises `RpcError` of kind model_not_cached.
    """
    if repository.startswith(TORCHAUDIO):
        file = torchaudio_weights(repository.removeprefix(TORCHAUDIO))
        parts = [file, file.with_name(file.name + INCOMPLETE)]
        freed = sum(_size(part) for part in parts)
        if not freed:
            raise not_cached(repository, repository)
        for part in parts:
            part.unlink(missing_ok=True)
        return freed
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(
        constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model")
    )
    before = _total(folder)
    if not before:
        raise not_cached(repository, repository)
    if revision is None:
        # Also what a download that was broken off has left, which the library does not count.
        shutil.rmtree(folder)
        return before
    found: Any = [repo for repo in scan_cache_dir().repos if Path(repo.repo_path) == folder]
    commits = [
        each.commit_hash
        for repo in found
        for each in repo.revisions
        if revision in (each.commit_hash, *each.refs)
    ]
    if not commits:
        raise not_cached(f"{repository} at {revision}", repository)
    scan_cache_dir().delete_revisions(*commits).execute()
    return before - _total(folder)


def free_disk(folder: Path) -> int:
    """Bytes that are free where `folder` is, or will be."""
    return shutil.disk_usage(next(at for at in (folder, *folder.parents) if at.exists())).free


def damaged(blob: Path, digest: str | None = None, size: int | None = None) -> bool:
    """Whether a file of the cache is not what the hub has.

    The cache names its blobs by what identifies them there: SHA-256 for large files, git's SHA-1
    of a blob for the others. `digest` says so where the system has no links to blobs.
    """
    real = blob.resolve()
    digest = digest or real.name
    try:
        actual = real.stat().st_size
        if size is not None and actual != size:
            return True
        if len(digest) == 64:
            return _digest(real, hashlib.sha256()) != digest
        if len(digest) == 40:
            header = b"blob %d\0" % actual
            return _digest(real, hashlib.sha1(header, usedforsecurity=False)) != digest
    except OSError:
        return True
    return False


def _digest(file: Path, hasher: Any) -> str:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    digest: str = hasher.hexdigest()
    return digest


def _total(folder: Path) -> int:
    return sum(_size(file) for file in folder.glob("**/*") if not file.is_symlink())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0
