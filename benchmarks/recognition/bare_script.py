"""The script that one would write without the worker: a model, a call, the segments.

Takes `MODEL THREADS`, prints `loaded`, then for each line `AUDIO OPTIONS-AS-JSON` on stdin prints
`first` with the first segment and the segments, as JSON, with the last.
"""

import json
import sys

from faster_whisper import WhisperModel

model = WhisperModel(sys.argv[1], device="cpu", cpu_threads=int(sys.argv[2]))
print("loaded", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    segments, info = model.transcribe(request["audio"], **request["options"])
    found: list[tuple[float, float, str]] = []
    for segment in segments:
        if not found:
            print("first", flush=True)
        found.append((segment.start, segment.end, segment.text.strip()))
    print(json.dumps(found), flush=True)
