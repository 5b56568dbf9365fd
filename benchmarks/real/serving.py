"""The loop of the contenders' scripts: reads one recording per line, answers with lines.

A script writes `ready` once its model is loaded; for each `{"audio": PATH}` it writes `first` as
soon as a segment is available, if it streams, and then the whole result as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Segment = tuple[float, float, str]
Transcribe = Callable[[str, Callable[[], None]], tuple[str | None, list[Segment]]]
"""Takes a file and a callback for the first segment; returns the language and the segments."""


def serve(load: Callable[[], Transcribe]) -> None:
    """Load, then answer until the end of input; libraries cannot write to the answers' stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    transcribe = load()
    print("ready", file=answers)
    for line in sys.stdin:
        found: dict[str, Any] = {"language": None, "segments": []}
        try:
            language, segments = transcribe(
                json.loads(line)["audio"], lambda: print("first", file=answers)
            )
            found["language"] = language
            found["segments"] = [
                {"start": round(start, 3), "end": round(end, 3), "text": text.strip()}
                for start, end, text in segments
            ]
        except Exception as error:
            found["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(found, ensure_ascii=False), file=answers)
