"""Serves bare pyannote.audio. Arguments: pipeline, threads.

It loads the pipeline as the worker does, because pyannote.audio itself refuses ONNX embeddings and
pipelines without a PLDA, and then calls it. Writes `ready` once it is loaded, and for each line
`{"audio": PATH}` the turns as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings


def main() -> None:
    """Answer until the end of input; libraries cannot write to the answers' stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    import torch

    from worker.audio import SAMPLE_RATE, decode
    from worker.engines.contract import LoadDiarizationParams
    from worker.engines.diarization import model

    name, threads = sys.argv[1:]
    pipeline = model.load(LoadDiarizationParams(model=name, device="cpu"))
    torch.set_num_threads(int(threads))
    print("ready", file=answers)
    for line in sys.stdin:
        samples = torch.from_numpy(decode(json.loads(line)["audio"]))[None]
        output = pipeline({"waveform": samples, "sample_rate": SAMPLE_RATE, "uri": "audio"})
        found = output.speaker_diarization.itertracks(yield_label=True)
        print(
            json.dumps([(turn.start, turn.end, speaker) for turn, _, speaker in found]),
            file=answers,
        )


main()
