"""Pickled weights: a pickle can run any code while it is read, so tensors alone are allowed."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from protocol.errors import RpcError

_FORCE: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_REFUSED: Final = re.compile(r"GLOBAL \S+ (was not an allowed global|whose module \S+ is blocked)")


@contextmanager
def tensors_alone(allow_pickle: bool, path: str) -> Iterator[None]:
    """Have torch read tensors and plain values alone, whatever the library that calls it says.

    pyannote's own descriptions of a model are harmless, too. With `allow_pickle`, all is as the
    library has it. Raises `RpcError` of kind model_needs_pickle, with `path`.
    """
    if allow_pickle:
        yield
        return
    import torch

    os.environ[_FORCE] = "1"
    try:
        with torch.serialization.safe_globals(_harmless()):
            yield
    except Exception as error:
        # torch's own text advises to load it nevertheless.
        if _refused(error):
            raise RpcError(
                "model_needs_pickle",
                f"The weights in {path} are stored in a form that can run code while it is read.",
                path=path,
            ) from None
        raise
    finally:
        del os.environ[_FORCE]


def _harmless() -> list[Any]:
    import torch

    task: Any = sys.modules.get("pyannote.audio.core.task")
    described = [task.Problem, task.Resolution, task.Specifications] if task else []
    return [torch.torch_version.TorchVersion, *described]


def _refused(error: BaseException | None) -> bool:
    """Whether torch has refused more than tensors; libraries wrap its error in theirs."""
    while error:
        if isinstance(error, pickle.UnpicklingError) and _REFUSED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
