"""The `config.yaml` of a pyannote.audio pipeline: which other models it names."""

from __future__ import annotations

from typing import Final

from worker.models import catalogue

ONNX_SUFFIX: Final = ".onnx"


def other_models(config: bytes) -> list[tuple[str, str | None]]:
    """The models that a pipeline of version 3 is made of; later ones bring their parts along."""
    import yaml

    try:
        values = list(yaml.safe_load(config)["pipeline"]["params"].values())
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []  # loading it will tell
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
