"""The whisperx package as its README shows it, warm: reads one recording per line, answers.

Arguments: device, compute type, the Whisper, alignment and diarization models, threads. Its
`load_audio` starts ffmpeg, which may not be installed: PyAV decodes instead. For each recording it
writes a line after recognition, which is when a user of the package sees the first text, and
one at the end.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"


def main() -> None:
    """Serve until the end of input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import logging

    import torch
    import whisperx
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from whisperx import alignment
    from whisperx.diarize import DiarizationPipeline

    from worker.audio import decode

    logging.disable(logging.WARNING)
    alignment.nltk_load = lambda _: PunktSentenceTokenizer()
    device, compute_type, whisper, aligner, diarizer, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = whisperx.load_model(
        whisper, device, compute_type=compute_type, language="en", threads=int(threads)
    )
    align_model, metadata = whisperx.load_align_model("en", device, model_name=aligner)
    diarize = DiarizationPipeline(model_name=diarizer, device=device)
    print("ready", file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        samples = decode(asked["audio"])
        found = model.transcribe(samples, batch_size=asked["batch"])
        print("recognised", file=answers)
        if asked["whole"]:
            found = whisperx.align(found["segments"], align_model, metadata, samples, device)
            found = whisperx.assign_word_speakers(diarize(samples), found)
        print(json.dumps({"segments": len(found["segments"])}), file=answers)


if __name__ == "__main__":
    main()
