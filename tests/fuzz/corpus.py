"""The corpus: each input reaches code that no other does, or once broke something."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent / "corpus"


def read(target: str) -> list[bytes]:
    """The inputs of a target: one JSON string per line, in which each character is a byte."""
    path = _HERE / f"{target}.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line).encode("latin-1") for line in lines]


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Replace the inputs of a target."""
    lines = [json.dumps(each.decode("latin-1")) + "\n" for each in sorted(set(inputs))]
    _HERE.mkdir(exist_ok=True)
    (_HERE / f"{target}.jsonl").write_text("".join(lines), "utf-8")
