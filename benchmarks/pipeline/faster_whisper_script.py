"""faster-whisper's batched pipeline, warm: a recording a line in, a line out.

Arguments: the model, threads. Writes a line with the first segment of each, and one at the end.
"""

from __future__ import annotations

import json
import sys

from faster_whisper import BatchedInferencePipeline, WhisperModel


def main() -> None:
    """Serve until the end of input."""
    model = WhisperModel(
        sys.argv[1], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[2])
    )
    pipeline = BatchedInferencePipeline(model)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        segments, _ = pipeline.transcribe(
            asked["audio"], language="en", batch_size=asked["batch"], temperature=0
        )
        count = 0
        for _ in segments:
            if not count:
                print("recognised", flush=True)
            count += 1
        if not count:
            print("recognised", flush=True)
        print(json.dumps({"segments": count}), flush=True)


if __name__ == "__main__":
    main()
