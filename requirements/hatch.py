"""Lets a build of the package end with the reason if its dependencies cannot be installed here."""

import sys
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from platforms import refusal


class PlatformHook(MetadataHookInterface):
    """Changes no metadata."""

    def update(self, metadata: dict[str, object]) -> None:
        reason = refusal("lite")
        if reason:
            raise SystemExit(reason)
