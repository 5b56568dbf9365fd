"""The contenders, and the virtual environment of the peers among them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.common import ROOT, clean_environment, say

PEER_PACKAGES: Final = ("jsonrpcserver", "python-lsp-jsonrpc", "pygls", "mcp")

_LOCK: Final = ROOT / "requirements" / "benchmark.txt"
_ENVIRONMENT: Final = ROOT / ".venv-benchmark"
_CONTENDERS: Final = Path(__file__).parent / "contenders"

PYTHON: Final = _ENVIRONMENT / "bin" / "python"
"""The interpreter of that environment, once `prepare` has been called."""


@dataclass(frozen=True)
class Contender:
    """A server that answers `ping`; it receives `requests` requests at a time, pipelined."""

    name: str
    command: tuple[str, ...]
    requests: int
    lsp_framing: bool = False

    @property
    def mark(self) -> bytes:
        """Text that occurs exactly once in each reply."""
        return b'"result"' if self.lsp_framing else b"\n"

    def ping(self, id_: int) -> bytes:
        """A request; it has params, because pygls requires them."""
        body = b'{"jsonrpc":"2.0","id":%d,"method":"ping","params":{}}' % id_
        if self.lsp_framing:
            return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        return body + b"\n"


def contenders() -> list[Contender]:
    """The floor, then our front, then the peers."""
    peer = str(PYTHON)

    def script(python: str, name: str) -> tuple[str, ...]:
        return (python, str(_CONTENDERS / f"{name}.py"))

    return [
        Contender("bare orjson loop", script(sys.executable, "bare_loop"), 60_000),
        Contender("this worker", (sys.executable, "-m", "worker"), 60_000),
        Contender(
            "python-lsp-jsonrpc", script(peer, "python_lsp_jsonrpc"), 10_000, lsp_framing=True
        ),
        Contender("jsonrpcserver, as in its README", script(peer, "jsonrpcserver_loop"), 2_000),
        Contender("pygls", script(peer, "pygls_server"), 1_000, lsp_framing=True),
        Contender("mcp", script(peer, "mcp_server"), 1_000),
    ]


def peer_versions(packages: tuple[str, ...] = PEER_PACKAGES) -> dict[str, str]:
    """The installed versions of the peers."""
    code = f"from importlib.metadata import version as v; print(*map(v, {packages!r}))"
    done = subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True)
    return dict(zip(packages, done.stdout.split(), strict=True))


def prepare() -> None:
    """Create the peers' environment from the lock file, unless it is up to date."""
    stamp = _ENVIRONMENT / ".lock-digest"
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    say(f"installing the peers into {_ENVIRONMENT.name} …")
    subprocess.run([sys.executable, "-m", "venv", "--clear", _ENVIRONMENT], check=True)
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet")
    subprocess.run(
        [*pip, "install", "--require-hashes", "--no-deps", "--requirement", _LOCK],
        check=True,
        env=clean_environment(),
        stdout=sys.stderr,
    )
    stamp.write_text(digest)
