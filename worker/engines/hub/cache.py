"""The cache of the Hugging Face hub, and torchaudio's: what is in them, and whether it is whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from protocol.errors import RpcError
from worker.engines.contract import CachedModel
from worker.models.catalogue import ENTRIES, torchaudio_file

TORCHAUDIO: Final = "torchaudio/"
"""What the repository of a bundle of torchaudio's begins with."""

INCOMPLETE: Final = ".incomplete"
"""Suffix of a file that is being downloaded, or whose download was broken off."""
_DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""Git's SHA-1 of a blob, or SHA-256."""
_ZIP: Final = b"PK\3\4"
_BLOCK: Final = 1 << 20


def snapshot(
    repository: str,
    revision: str | None,
    missing: Callable[[str], list[str]] = lambda directory: [],
) -> str:
    """The directory of a cached repository.

    Raises `RpcError`: model_not_cached; model_invalid when `missing` names files that it lacks.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        directory = snapshot_download(repository, revision=revision, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
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


def torchaudio_weights(name: str) -> Path:
    """Where torchaudio keeps the weights of a bundle: in torch.hub's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or Path(cache, "torch")
    return Path(home, "hub", "checkpoints", torchaudio_file(name) or "").expanduser()


def part_of(file: Path) -> Path:
    """Where a file is while it arrives."""
    return file.with_name(file.name + INCOMPLETE)


def folder(repository: str) -> Path:
    """Where the cache keeps a repository. Raises the library's `HFValidationError`."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"))


def contents() -> Iterator[CachedModel]:
    """Every model in the caches of the hub and of torchaudio."""
    from huggingface_hub import constants

    for directory in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        blobs, parts = 0, 0
        for file in directory.glob("blobs/*"):
            if file.suffix == INCOMPLETE:
                parts += size(file)
            else:
                blobs += size(file)
        copies = sum(  # where the system has no symbolic links
            size(file) for file in directory.glob("snapshots/**/*") if not file.is_symlink()
        )
        revisions = sorted(path.name for path in directory.glob("snapshots/*"))
        if blobs or parts or copies:
            # A name is pointed at what is complete.
            named = any(file.is_file() for file in directory.glob("refs/**/*"))
            yield CachedModel(
                repository=directory.name.removeprefix("models--").replace("--", "/", 1),
                size=blobs + copies,
                complete=bool(revisions) and (named or not parts),
                incomplete=parts,
                revisions=revisions,
            )
    for repository in (entry.repository for entry in ENTRIES):
        if not repository.startswith(TORCHAUDIO):
            continue
        file = torchaudio_weights(repository.removeprefix(TORCHAUDIO))
        whole, part = size(file), size(part_of(file))
        if whole or part:
            yield CachedModel(
                repository=repository,
                size=whole,
                complete=whole > 0,
                incomplete=part,
                revisions=[],
            )


def remove(repository: str, revision: str | None) -> int:
    """Delete a repository from the cache, or one revision of it; return the bytes freed.

    Raises `RpcError` of kind model_not_cached.
    """
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import HFValidationError

    nothing = RpcError(
        "model_not_cached",
        f"There is nothing of {repository}{f' at {revision}' if revision else ''} in the cache.",
        remedy="models/list tells what is there.",
        model=repository,
        repository=repository,
    )
    if repository.startswith(TORCHAUDIO):
        file = torchaudio_weights(repository.removeprefix(TORCHAUDIO))
        parts = [file, part_of(file)]
        freed = sum(map(size, parts))
        if not freed:
            raise nothing
        for part in parts:
            part.unlink(missing_ok=True)
        return freed
    try:
        place = folder(repository)
    except HFValidationError:
        raise nothing from None
    before = _total(place)
    if not before:
        raise nothing
    if revision is None:
        # Also what a download that was broken off has left, which the library does not count.
        shutil.rmtree(place)
        return before
    found: Any = [repo for repo in scan_cache_dir().repos if Path(repo.repo_path) == place]
    commits = [
        each.commit_hash
        for repo in found
        for each in repo.revisions
        if revision in (each.commit_hash, *each.refs)
    ]
    if not commits:
        raise nothing
    scan_cache_dir().delete_revisions(*commits).execute()
    return before - _total(place)


def free_disk(place: Path) -> int:
    """Bytes that are free where `place` is, or will be."""
    return shutil.disk_usage(next(at for at in (place, *place.parents) if at.exists())).free


def damaged(file: Path, digest: str = "", expected: int | None = None) -> bool:
    """Whether a file of the cache is not what was published.

    The cache names its blobs by what identifies them on the hub, their `digest`: SHA-256 of large
    files, git's SHA-1 of a blob for the others. Without one there are the checksums inside of a
    zip archive, such as PyTorch writes.
    """
    real = file.resolve()
    digest = digest or real.name
    try:
        actual = real.stat().st_size
        if expected is not None and actual != expected:
            return True
        if _DIGEST.fullmatch(digest):
            return _digest(real, digest, actual) != digest
        with real.open("rb") as stream:
            if stream.read(len(_ZIP)) == _ZIP:
                return zipfile.ZipFile(stream).testzip() is not None
    except (OSError, zipfile.BadZipFile, zlib.error):
        return True
    return False


def is_digest(text: str | None) -> bool:
    """Whether this is what identifies a file on the hub."""
    return bool(text and _DIGEST.fullmatch(text))


def size(file: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def _digest(file: Path, like: str, length: int) -> str:
    hasher: Any = hashlib.sha256()
    if len(like) == 40:
        hasher = hashlib.sha1(b"blob %d\0" % length, usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    digest: str = hasher.hexdigest()
    return digest


def _total(place: Path) -> int:
    return sum(size(file) for file in place.glob("**/*") if not file.is_symlink())
