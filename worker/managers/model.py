"""A model, as the managers identify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from worker.models.families import FAMILIES

if TYPE_CHECKING:
    from worker.engines.contract import FetchParams


class Model(NamedTuple):
    """A model to load into an engine of `kind`; a helper's engine loads none."""

    kind: str
    """A key of `FAMILIES`."""
    name: str
    key: bytes = b""
    """Identifies the model: requests with the same key share the loaded model."""
    params: bytes = b""
    """Params of the engine's `load`, as JSON; empty for a helper."""
    source: FetchParams | None = None
    """Where on the hub it comes from; None for a directory."""
    download: bool = False
    """The worker may fetch the model when it is not cached, or is damaged."""
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = ""

    @property
    def task(self) -> str:
        """What the model is for; for a helper, its kind."""
        return FAMILIES[self.kind].task or self.kind

    @property
    def helper(self) -> bool:
        """Whether the engine holds no model."""
        return FAMILIES[self.kind].task is None


AUDIO: Final = Model("audio", "audio", b"audio")
HUB: Final = Model("hub", "hub", b"hub")
