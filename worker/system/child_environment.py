"""Environment variables for child processes: nothing that they import talks to anybody."""

from __future__ import annotations

from typing import Final

QUIET: Final = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYANNOTE_METRICS_ENABLED": "0",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
}
"""No telemetry, and nothing drawn on stderr."""

OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": ""}
"""For those that have no business with the hub: they neither ask it nor hold the token."""
