"""The caches of the Hugging Face hub and of torchaudio: lists, verifies and removes models."""

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
"""Prefix of the repository name of a torchaudio bundle."""

INCOMPLETE: Final = ".incomplete"
"""Suffix of a file while it is downloaded, and of what an interrupted download leaves."""
_DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""Git's SHA-1 of a blob, or a SHA-256."""
_ZIP: Final = b"PK\3\4"
_BLOCK: Final = 1 << 20


def snapshot(
    repository: str,
    revision: str | None,
    missing: Callable[[str], list[str]] = lambda directory: [],
) -> str:
    """Find the directory of a cached repository.

    Raises `RpcError`: model_not_cached; model_invalid if `missing` returns files that it lacks.
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
    """The error for a model that would have to be downloaded."""
    return RpcError(
        "model_not_cached",
        f"The model {name} is not on this machine, and the request does not allow downloading it.",
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
    """The file in torch.hub's cache where torchaudio keeps the weights of a bundle."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or Path(cache, "torch")
    return Path(home, "hub", "checkpoints", torchaudio_file(name) or "").expanduser()


def partial_file(file: Path) -> Path:
    """The file that holds the downloaded part of `file`."""
    return file.with_name(file.name + INCOMPLETE)


def folder(repository: str) -> Path:
    """The cache's folder for a repository. Raises the library's `HFValidationError`."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"))


def contents() -> Iterator[CachedModel]:
    """List every model in the caches of the hub and of torchaudio."""
    from huggingface_hub import constants

    for directory in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        blobs, parts = 0, 0
        for file in directory.glob("blobs/*"):
            if file.suffix == INCOMPLETE:
                parts += size(file)
            else:
                blobs += size(file)
        copies = sum(  # on systems without symbolic links
            size(file) for file in directory.glob("snapshots/**/*") if not file.is_symlink()
        )
        revisions = sorted(path.name for path in directory.glob("snapshots/*"))
        if blobs or parts or copies:
            # A download writes a revision's name only when all of its files are complete.
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
        whole, part = size(file), size(partial_file(file))
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
        f"The cache does not contain {repository}{f' at {revision}' if revision else ''}.",
        remedy="models/list lists what it contains.",
        model=repository,
        repository=repository,
    )
    if repository.startswith(TORCHAUDIO):
        file = torchaudio_weights(repository.removeprefix(TORCHAUDIO))
        parts = [file, partial_file(file)]
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
        # Includes what an interrupted download left, which the library ignores.
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
    """Free bytes on the disk of `place`, which need not exist yet."""
    return shutil.disk_usage(next(at for at in (place, *place.parents) if at.exists())).free


def damaged(file: Path, digest: str = "", expected: int | None = None) -> bool:
    """Whether a cached file differs from the published one.

    Compares its `digest` with the one that identifies it on the hub, by which the cache names its
    blobs: the SHA-256 of a large file, else git's SHA-1 of a blob. Without a digest, verifies the
    checksums inside a zip archive, which is what PyTorch writes.
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
    """Whether `text` has the form of a file's digest on the hub."""
    return bool(text and _DIGEST.fullmatch(text))


def size(file: Path) -> int:
    """Size of a file in bytes; 0 if it does not exist."""
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
