"""The models that the worker knows, has cached or has loaded, for `models/list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.models import ListModelsResult, ModelRow
from worker.managers.model import Model
from worker.managers.resolve import catalogued_model, weights
from worker.models import catalogue

if TYPE_CHECKING:
    from protocol.models import ListModelsParams
    from worker.engines.contract import CacheResult
    from worker.managers.pool import ModelPool


def inventory(params: ListModelsParams, cache: CacheResult, pool: ModelPool) -> ListModelsResult:
    """The result of `models/list`: the catalogue, then other models that are cached or loaded."""
    loaded = pool.loaded()
    cached = {each.repository: each for each in cache.models}

    def row(place: str, model: Model | None, entry: catalogue.Entry | None) -> ModelRow:
        found = cached.get(place)
        return ModelRow(
            task=model.task if model else None,
            name=model.name if model else place,
            repository=None if model and model.source is None else place,
            languages=list(entry.languages) if entry else [],
            size_on_disk=found.size if found else model and weights(model),
            size_in_memory=model and pool.expected_memory(model),
            licence=entry.licence if entry else None,
            gated=entry.gated if entry else None,
            cached=found is not None and found.complete,
            incomplete=found.incomplete if found else 0,
            revisions=found.revisions if found else [],
            loaded=[each for other, each in loaded if _place(other) == place],
        )

    rows = [row(entry.repository, catalogued_model(entry), entry) for entry in catalogue.ENTRIES]
    known = {entry.repository for entry in catalogue.ENTRIES}
    at_work = {_place(model): model for model, _ in loaded if not model.helper}
    others = dict.fromkeys([*cached, *at_work])
    rows += [row(place, at_work.get(place), None) for place in others if place not in known]
    return ListModelsResult(
        models=[
            each
            for each in rows
            if params.task in (None, each.task)
            and (each.cached or each.loaded or not params.cached_only)
        ],
        helpers=[each for model, each in loaded if model.helper],
        cache_directory=cache.directory,
        free_disk=cache.free_disk,
        memory=pool.memory_info(),
    )


def _place(model: Model) -> str:
    """What identifies a model here: its repository, or its directory as the client named it."""
    return model.source.repository if model.source else model.name
