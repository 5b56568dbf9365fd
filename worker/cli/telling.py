"""What the commands tell people on stderr: errors and warnings, each with what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from worker.system.paths import printable

if TYPE_CHECKING:
    from protocol.errors import RpcError


def tell(message: str) -> None:
    """Print a message on stderr, as one line."""
    sys.stderr.write(printable(message) + "\n")


def of_error(error: RpcError) -> str:
    """The message and the remedy of an error."""
    return f"{error.message} {error.data.get('remedy', '')}".rstrip()


def of_warning(warning: dict[str, Any]) -> str:
    """The message of a result's warning, with the remedy of the error that it reports, if any."""
    remedy = warning.get("error", {}).get("data", {}).get("remedy", "")
    return f"{warning['message']} {remedy}".rstrip()
