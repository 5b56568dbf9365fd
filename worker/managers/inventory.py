"""What models there are: known, cached, loaded, or several of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.models import ListModelsResult, ModelRow
from worker.managers.model import TASKS, Model
from worker.managers.resolve import catalogued_model, weights
from worker.models import catalogue

if TYPE_CHECKING:
    from protocol.models import ListModelsParams
    from worker.engines.contract import CacheResult
    from worker.managers.pool import ModelPool


def inventory(
    params: ListModelsParams, cache: CacheResult, managers: ModelPool
) -> ListModelsResult:
    """The answer to `models/list`: the catalogue, then what else is cached or loaded."""
    loaded = managers.loaded()
    cached = {each.repository: each for each in cache.models}

    def row(place: str, model: Model | None, entry: catalogue.Entry | None) -> ModelRow:
        found = cached.get(place)
        return ModelRow(
            task=model.task if model else None,
            name=model.name if model else place,
            repository=None if model and model.source is None else place,
            languages=list(entry.languages) if entry else [],
            size_on_disk=found.size if found else model and weights(model),
            size_in_memory=model and managers.expected_memory(model),
            licence=entry.licence if entry else None,
            gated=entry.gated if entry else None,
            cached=found is not None and found.complete,
            incomplete=found.incomplete if found else 0,
            revisions=found.revisions if found else [],
            loaded=[each for other, each in loaded if _place(other) == place],
        )

    rows = [row(entry.repository, catalogued_model(entry), entry) for entry in catalogue.ENTRIES]
    known = {entry.repository for entry in catalogue.ENTRIES}
    at_work = {_place(model): model for model, _ in loaded if model.kind in TASKS}
    others = dict.fromkeys([*cached, *at_work])
    rows += [row(place, at_work.get(place), None) for place in others if place not in known]
    return ListModelsResult(
        models=[
            each
            for each in rows
            if params.task in (None, each.task)
            and (each.cached or each.loaded or not params.cached_only)
        ],
        helpers=[each for model, each in loaded if model.kind not in TASKS],
        cache_directory=cache.directory,
        free_disk=cache.free_disk,
        memory=managers.memory_info(),
    )


def _place(model: Model) -> str:
    """What tells models apart here: the repository, or the directory as it was named."""
    return model.source.repository if model.source else model.name
