"""Pickled weights: a pickle can run any code when loaded, so torch may only read tensors."""

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
def only_tensors(allow_pickle: bool, path: str) -> Iterator[None]:
    """Make torch load only tensors and plain values, whatever the library that calls it asks for.

    pyannote's own, harmless, descriptions of a model are allowed too. With `allow_pickle`, do
    nothing. Raises `RpcError` of kind model_needs_pickle, with `path`.
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
        # torch's own message advises to load the file regardless.
        if _refused(error):
            raise RpcError(
                "model_needs_pickle",
                f"The weights in {path} are a pickle, which can run code when loaded.",
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
    """Whether torch refused to load something; libraries wrap its error in theirs."""
    while error:
        if isinstance(error, pickle.UnpicklingError) and _REFUSED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
