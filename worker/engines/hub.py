"""The hub engine: downloads, what is cached, and whose token it is. It loads no model."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.errors import RpcError
from protocol.models import (
    DownloadModelResult,
    RemoveModelResult,
    WhoAmIResult,
)
from protocol.values import Notice
from worker.engines import hub_cache, hub_download
from worker.engines.contract import CacheResult, CachedModel, FetchParams, NoEngineParams

if TYPE_CHECKING:
    from worker.jobs import Job

_WHISPER_FILES: Final = (
    *("config.json", "preprocessor_config.json", "tokenizer.json", "model.bin"),
    *("vocabulary.json", "vocabulary.txt"),
)
_OTHER_FRAMEWORKS: Final = ("*.h5", "*.msgpack", "*.onnx", "*.tflite", "language_model/*")
_SAFE: Final = "model.safetensors"
_PICKLED: Final = "pytorch_model.bin"


class HubEngine:
    """Methods of the engine's process."""

    def download(self, job: Job, params: FetchParams) -> DownloadModelResult:
        """Have a model in the cache, verified; what is damaged is fetched again."""
        repository = params.repository
        if repository.startswith(hub_cache.TORCHAUDIO):
            fetched = hub_download.fetch_torchaudio(job, repository)
        else:
            choose = _CHOICES[params.task]
            fetched = hub_download.fetch(job, repository, params.revision, choose)
        parts = [fetched]
        if params.task == "diarization":
            from worker.engines import diarization_model

            for other, revision in diarization_model.other_models(fetched.path):
                parts.append(hub_download.fetch(job, other, revision, _all))
        return DownloadModelResult(
            model=params.name,
            repository=repository,
            revision=fetched.commit,
            path=fetched.path,
            files=sum(part.files for part in parts),
            bytes=sum(part.size for part in parts),
            downloaded=sum(part.downloaded for part in parts),
            mended=[name for part in parts for name in part.mended],
            licence=fetched.licence,
            warnings=[
                Notice(
                    kind="hub_unreachable",
                    message=f"{part.repository} is cached and whole; whether there is a newer "
                    "version could not be asked.",
                )
                for part in parts
                if part.unasked
            ],
        )

    def cached(self, job: Job, params: NoEngineParams) -> CacheResult:
        """Everything in the caches of the hub and of torchaudio."""
        from huggingface_hub import constants

        from worker.catalogue import ENTRIES

        models = [
            CachedModel(
                repository=each.repository,
                size=each.size,
                incomplete=each.incomplete,
                revisions=each.revisions,
            )
            for each in hub_cache.contents()
        ]
        for entry in ENTRIES:
            name = entry.repository.removeprefix(hub_cache.TORCHAUDIO)
            if name == entry.repository:
                continue
            file = hub_cache.torchaudio_weights(name)
            part = file.with_name(file.name + hub_cache.INCOMPLETE)
            sizes = [each.stat().st_size if each.is_file() else 0 for each in (file, part)]
            if any(sizes):
                models.append(
                    CachedModel(
                        repository=entry.repository,
                        size=sizes[0],
                        incomplete=sizes[1],
                        revisions=[],
                    )
                )
        directory = Path(constants.HF_HUB_CACHE)
        return CacheResult(
            models=models,
            directory=str(directory),
            free_disk=hub_cache.free_disk(directory),
        )

    def remove(self, job: Job, params: FetchParams) -> RemoveModelResult:
        """Delete a model from its cache."""
        freed = hub_cache.remove(params.repository, params.revision)
        return RemoveModelResult(repository=params.repository, freed=freed)

    def whoami(self, job: Job, params: NoEngineParams) -> WhoAmIResult:
        """Ask the hub whose token this is."""
        import requests
        from huggingface_hub import HfApi, constants, errors, get_token

        if not get_token():
            raise RpcError("token_missing")
        try:
            name = str(HfApi().whoami()["name"])
        except errors.OfflineModeIsEnabled:
            raise RpcError("hub_unreachable", "HF_HUB_OFFLINE forbids to ask the hub.") from None
        except requests.HTTPError as error:
            if getattr(error.response, "status_code", None) in (401, 403):
                raise RpcError("token_invalid") from None
            raise RpcError("hub_unreachable") from None
        except requests.RequestException:
            raise RpcError("hub_unreachable") from None
        given = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
        # The front says so when it was the client's.
        source = os.environ.get("TRANSCRIPTION_WORKER_TOKEN_SOURCE")
        return WhoAmIResult(
            name=name,
            source="initialize" if source else "environment" if given else "login",
            endpoint=constants.ENDPOINT,
        )


def _all(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".git")]


def _whisper(names: list[str]) -> list[str]:
    return [name for name in names if name in _WHISPER_FILES]


def _alignment(names: list[str]) -> list[str]:
    """What transformers reads; of the same weights in two forms the one that runs no code."""
    unwanted = [*_OTHER_FRAMEWORKS, *([_PICKLED] if _SAFE in names else [])]
    return [
        name
        for name in _all(names)
        if not any(fnmatch.fnmatch(name, pattern) for pattern in unwanted)
    ]


_CHOICES: Final[dict[str, Callable[[list[str]], list[str]]]] = {
    "recognition": _whisper,
    "alignment": _alignment,
    "diarization": _all,
}
