"""What a model is to the managers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from protocol.models import Task
    from worker.engines.contract import FetchParams

TASKS: Final[dict[str, Task]] = {
    "whisper": "recognition",
    "whisperx": "recognition",
    "alignment": "alignment",
    "diarization": "diarization",
}
"""What each kind of engine that holds a model does with it."""


ENGINES: Final = {"whisper": "faster-whisper"}


class Model(NamedTuple):
    """A model to load into an engine of `kind`; or no model, for an engine that needs none."""

    kind: str
    name: str
    key: bytes = b""
    """What tells it from others: two requests with the same key share the loaded model."""
    params: bytes = b""
    """Params of the engine's `load`, as JSON; empty where there is nothing to load."""
    source: FetchParams | None = None
    """Where on the hub it comes from; None for a directory."""
    download: bool = False
    """It may be fetched when it is not cached, or damaged."""
    device: str = "cpu"
    device_index: int = 0
    compute_type: str = ""

    @property
    def engine(self) -> str:
        """What the protocol calls the kind of its engine."""
        return ENGINES.get(self.kind, self.kind)

    @property
    def task(self) -> str:
        """What it is for; the engine's kind for one without a model."""
        return TASKS.get(self.kind, self.kind)


AUDIO: Final = Model("audio", "audio")
HUB: Final = Model("hub", "hub")
