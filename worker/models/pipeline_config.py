"""Which other models the `config.yaml` of a pyannote.audio pipeline names."""

from __future__ import annotations

from typing import Final

from worker.models import catalogue

ONNX_SUFFIX: Final = ".onnx"


def other_models(config: bytes) -> list[tuple[str, str | None]]:
    """(repository, revision) of each model that the pipeline loads from the hub.

    Pipelines of version 3 name several; later ones bring their parts along.
    """
    import yaml

    try:
        values = list(yaml.safe_load(config)["pipeline"]["params"].values())
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []  # loading the pipeline reports what is wrong
    named = [
        value.partition("@")
        for value in values
        if isinstance(value, str) and not value.endswith(ONNX_SUFFIX)
    ]
    models = {
        (repository, revision or None)
        for repository, _, revision in named
        if catalogue.is_hub_id(repository)
    }
    return sorted(models, key=str)
