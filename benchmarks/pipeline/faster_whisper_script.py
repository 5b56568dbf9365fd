"""faster-whisper's batched pipeline, warm: reads one recording per line, answers with lines.

Arguments: device, compute type, model, threads. For each recording it writes a line with the first
segment, and one at the end.
"""

from __future__ import annotations

import json
import sys

from faster_whisper import BatchedInferencePipeline, WhisperModel


def main() -> None:
    """Serve until the end of input."""
    device, compute_type, path, threads = sys.argv[1:]
    model = WhisperModel(path, device=device, compute_type=compute_type, cpu_threads=int(threads))
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
