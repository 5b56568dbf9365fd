"""The methods on models themselves: `models/…` and `hub/whoami`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from protocol.errors import RpcError
from worker.managers.pool import ModelPool
from worker.methods.recordings import work_methods
from worker.models.families import TASKS
from worker.session.job import Job, Json, Later
from worker.session.lane import Method, answer_aside, as_json

if TYPE_CHECKING:
    from protocol.models import (
        DownloadModelParams,
        ListModelsParams,
        LoadModelParams,
        RemoveModelParams,
        UnloadModelParams,
        WhoAmIParams,
    )
    from worker.engines.contract import EngineParams, FetchParams
    from worker.system.log import Log


class ModelMethods:
    """Serves requests about models. Each leaves its lane for a thread that may wait."""

    def __init__(self, pool: ModelPool, log: Log) -> None:
        self._pool = pool
        self._log = log

    def methods(self) -> dict[str, Method]:
        """For a lane that they leave at once."""
        return work_methods(
            {
                "models/list": self.list,
                "models/download": self.download,
                "models/load": self.load,
                "models/unload": self.unload,
                "models/remove": self.remove,
                "hub/whoami": self.who_am_i,
            }
        )

    def list(self, job: Job, params: ListModelsParams) -> Later:
        """Serve `models/list`."""
        from worker.engines.contract import CacheResult
        from worker.managers.inventory import inventory

        def answer(chunks: Json) -> Json:
            cache = msgspec.json.decode(b"".join(chunks), type=CacheResult)
            return as_json(inventory(params, cache, self._pool))

        return self._ask_hub(job, "Listing models", "cached", answer=answer)

    def download(self, job: Job, params: DownloadModelParams) -> Later:
        """Serve `models/download`."""
        from worker.managers.resolve import hub_model

        source = hub_model(params)
        return answer_aside(
            job,
            f"Downloading {source.name}",
            lambda: self._pool.downloads.fetch(job, source),
            self._log,
        )

    def load(self, job: Job, params: LoadModelParams) -> Later:
        """Serve `models/load`."""
        from protocol.models import LoadModelResult
        from worker.managers.resolve import model_to_load

        model = model_to_load(params)
        lease = self._pool.lease(model, keep_alive=params.keep_alive)

        def work() -> Json:
            job.begin(f"Loading {model.name}")
            seconds = lease.load(job)
            lease.give_back()  # so that the description says when the model expires
            return as_json(
                LoadModelResult(
                    model=lease.describe(),
                    load_seconds=seconds,
                    warnings=lease.warnings,
                )
            )

        return lease.answer(job, work)

    def unload(self, job: Job, params: UnloadModelParams) -> Later:
        """Serve `models/unload`."""
        from protocol.models import UnloadModelResult
        from worker.managers.resolve import goes_by

        def work() -> Json:
            unloaded = self._pool.unload(
                job,
                lambda model: goes_by(model, params.task, params.model),
                params.when_busy,
            )
            models = [each for each in unloaded if each.task in TASKS]
            freed = sum(each.memory or 0 for each in unloaded)
            return as_json(UnloadModelResult(unloaded=models, freed_memory=freed))

        return answer_aside(job, "Unloading models", work, self._log)

    def remove(self, job: Job, params: RemoveModelParams) -> Later:
        """Serve `models/remove`."""
        from worker.managers.resolve import hub_model

        source = hub_model(params)
        self._refuse_in_use(source)
        return self._ask_hub(job, f"Removing {source.name}", "remove", source)

    def who_am_i(self, job: Job, params: WhoAmIParams) -> Later:
        """Serve `hub/whoami`."""
        return self._ask_hub(job, "Asking the hub", "whoami")

    def _refuse_in_use(self, source: FetchParams) -> None:
        """Raise model_busy for a model that is loaded or being downloaded."""
        repository = source.repository
        for model, _ in self._pool.loaded():
            if model.source and model.source.repository == repository:
                raise RpcError(
                    "model_busy",
                    f"The model {model.name} is loaded.",
                    remedy="Unload it first, with models/unload.",
                    model=model.name,
                )
        if self._pool.downloads.fetching(repository):
            raise RpcError(
                "model_busy",
                f"The model {source.name} is being downloaded.",
                remedy="Cancel the download first, or wait for it.",
                model=source.name,
            )

    def _ask_hub(
        self,
        job: Job,
        title: str,
        method: str,
        request: EngineParams | None = None,
        answer: Callable[[Json], Json] = lambda chunks: chunks,
    ) -> Later:
        """Let the hub's engine answer the job, by way of `answer`."""
        from worker.engines.contract import EngineParams
        from worker.managers.model import HUB

        lease = self._pool.lease(HUB)

        def work() -> Json:
            job.begin(title)
            return answer(lease.perform(job, method, request or EngineParams()))

        return lease.answer(job, work)
