"""The hub engine: downloads, lists and removes models, and asks whose token it has."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests
from huggingface_hub import HfApi, constants, errors, get_token

from protocol.errors import RpcError
from protocol.models import DownloadModelResult, RemoveModelResult, WhoAmIResult
from protocol.values import Notice
from worker.engines.contract import CacheResult, EngineParams, FetchParams
from worker.engines.hub import cache as hub_cache
from worker.engines.hub import client as hub_client
from worker.engines.hub import download as hub_download
from worker.engines.hub.download import Choice
from worker.models.pipeline_config import other_models

if TYPE_CHECKING:
    from worker.session.job import Job

_WHISPER: Final = ("config.json", "model.bin", "tokenizer.json")
_VOCABULARIES: Final = ("vocabulary.json", "vocabulary.txt")
_PROCESSOR: Final = ("config.json", "preprocessor_config.json", "vocab.json")
_SAFE: Final = ("model.safetensors", "model-*.safetensors")
_PICKLED: Final = ("pytorch_model.bin", "pytorch_model-*.bin")
_PIPELINE: Final = "config.yaml"


class HubEngine:
    """The methods of the engine's process, which needs no `load`."""

    def __init__(self) -> None:
        hub_client.configure()

    def download(self, job: Job, params: FetchParams) -> DownloadModelResult:
        """Download and verify a model; fetch damaged files again."""
        if params.repository.startswith(hub_cache.TORCHAUDIO):
            parts = hub_download.fetch_torchaudio(job, params.repository)
        else:
            choice = _CHOICES[params.task]
            parts = hub_download.fetch(job, params.repository, params.revision, choice)
        main = parts[0]
        return DownloadModelResult(
            model=params.name,
            repository=main.repository,
            revision=main.commit,
            path=main.path,
            files=sum(part.files for part in parts),
            bytes=sum(part.size for part in parts),
            downloaded=sum(part.downloaded for part in parts),
            mended=[name for part in parts for name in part.mended],
            licence=main.licence,
            warnings=[
                Notice(
                    kind="hub_unreachable",
                    message=f"{part.repository} is cached and complete, but the hub could not be "
                    "asked for a newer version.",
                )
                for part in parts
                if part.hub_unreachable
            ],
        )

    def cached(self, job: Job, params: EngineParams) -> CacheResult:
        """List the models in the caches of the hub and of torchaudio."""
        directory = Path(constants.HF_HUB_CACHE)
        return CacheResult(
            models=list(hub_cache.contents()),
            directory=str(directory),
            free_disk=hub_cache.free_disk(directory),
        )

    def remove(self, job: Job, params: FetchParams) -> RemoveModelResult:
        """Delete a model, or one revision of it, from its cache."""
        freed = hub_cache.remove(params.repository, params.revision)
        return RemoveModelResult(repository=params.repository, freed=freed)

    def whoami(self, job: Job, params: EngineParams) -> WhoAmIResult:
        """Ask the hub whose token this is."""
        if not get_token():
            raise RpcError("token_missing")
        try:
            name = str(hub_client.retrying(HfApi().whoami)["name"])
        except errors.OfflineModeIsEnabled:
            raise RpcError("hub_unreachable", "HF_HUB_OFFLINE forbids asking the hub.") from None
        except (requests.exceptions.InvalidHeader, UnicodeError):
            raise RpcError("token_invalid") from None  # it does not fit into an HTTP header
        except requests.HTTPError as error:
            refused = error.response is not None and error.response.status_code in (401, 403)
            raise RpcError("token_invalid" if refused else "hub_unreachable") from None
        except (requests.RequestException, KeyError):
            raise RpcError("hub_unreachable") from None
        given = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or ""
        # The front sets this if the client gave the token.
        source = os.environ.get("TRANSCRIPTION_WORKER_TOKEN_SOURCE")
        return WhoAmIResult(
            name=name,
            source="initialize" if source else "environment" if given.strip() else "login",
            endpoint=constants.ENDPOINT,
        )


def _whisper_files(names: list[str]) -> list[str]:
    wanted = {*_WHISPER, *_VOCABULARIES, "preprocessor_config.json"}
    return [name for name in names if name in wanted]


def _lacks_for_whisper(names: set[str]) -> list[str]:
    return [*_needed(names, *_WHISPER), *_one_of(names, *_VOCABULARIES)]


def _alignment_files(names: list[str]) -> list[str]:
    """The files that transformers reads; of weights in both forms, the one that is no pickle."""
    top = [name for name in names if "/" not in name]
    weights = _SAFE if _matching(top, *_SAFE) else _PICKLED
    return _matching(top, "*.json", *weights)


def _lacks_for_alignment(names: set[str]) -> list[str]:
    return [*_needed(names, *_PROCESSOR), *_one_of(names, *_SAFE, *_PICKLED)]


def _diarization_files(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".git")]


def _lacks_for_diarization(names: set[str]) -> list[str]:
    return _needed(names, _PIPELINE)


def _matching(names: list[str], *patterns: str) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, each) for each in patterns)]


def _needed(names: set[str], *files: str) -> list[str]:
    return [file for file in files if file not in names]


def _one_of(names: set[str], *patterns: str) -> list[str]:
    return [] if _matching(list(names), *patterns) else [patterns[0]]


_CHOICES: Final = {
    "recognition": Choice(_whisper_files, _lacks_for_whisper),
    "alignment": Choice(_alignment_files, _lacks_for_alignment),
    "diarization": Choice(_diarization_files, _lacks_for_diarization, _PIPELINE, other_models),
}
