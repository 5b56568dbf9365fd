"""Writes checkpoints that pyannote.audio 4 can read."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import torch


def write_checkpoint(path: Path, model: Any, specifications: Any) -> None:
    """Write a model of one of pyannote's own classes, in half precision.

    Only pyannote's own classes can be loaded wherever pyannote is installed.
    """
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "state_dict": state,
            "hyper_parameters": dict(model.hparams),
            "hparams_name": "kwargs",
            "pytorch-lightning_version": importlib.metadata.version("pytorch-lightning"),
            "epoch": 0,
            "global_step": 0,
            "pyannote.audio": {
                "versions": {
                    "torch": torch.__version__.partition("+")[0],
                    "pyannote.audio": importlib.metadata.version("pyannote.audio"),
                },
                "architecture": {
                    "module": type(model).__module__,
                    "class": type(model).__name__,
                },
                "specifications": specifications,
            },
        },
        path,
    )
