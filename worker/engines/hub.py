"""Models of the Hugging Face hub: found in its cache, or fetched where that was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import RpcError

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """Whether `name` looks like `owner/name`."""
    return bool(_HUB_ID.fullmatch(name)) and not name.startswith(".")


def snapshot(
    repository: str,
    revision: str | None,
    *,
    download: bool,
    missing: Callable[[str], list[str]] = lambda directory: [],
    ignore: list[str] | None = None,
) -> str:
    """The directory of a repository's files; fetched only with `download`.

    So is the rest of one that was cut off: `missing` tells which files a directory lacks. Patterns
    of files to `ignore` are not fetched. Raises `RpcError` of the kinds model_*.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        directory = snapshot_download(repository, revision=revision, local_files_only=True)
        if not (download and missing(directory)):
            return directory
    except LocalEntryNotFoundError:
        if not download:
            raise not_cached(repository, repository) from None
    with hub_errors(repository, repository):
        return snapshot_download(repository, revision=revision, ignore_patterns=ignore)


def not_cached(name: str, repository: str) -> RpcError:
    """The error for a model that would have to be fetched."""
    return RpcError(
        "model_not_cached",
        f"The model {name} is not on this machine, and downloading was not asked for.",
        model=name,
        repository=repository,
    )


@contextmanager
def hub_errors(name: str, repository: str) -> Iterator[None]:
    """Turn what the hub's client raises into errors that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        page = f"https://huggingface.co/{repository}"
        raise RpcError(
            "model_gated",
            f"The makers of {name} want their terms accepted on {page} before it can be fetched.",
            model=name,
            repository=repository,
            page=page,
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise RpcError(
            "model_not_found", f"The hub has no model {repository} at that revision.", model=name
        ) from None
    except Exception as error:  # whatever the HTTP stack raises
        raise RpcError(
            "model_download_failed",
            f"The model {name} could not be downloaded ({type(error).__name__}).",
            model=name,
        ) from None


@contextmanager
def offline() -> Iterator[None]:
    """Keep libraries that load a model from asking the hub for it."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
