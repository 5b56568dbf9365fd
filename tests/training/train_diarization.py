"""Trains the tests' small diarization pipeline from scratch.

``python -m tests.training.train_diarization --out tests/models/diarization --work DIR`` needs
espeak-ng and about half an hour of a CPU core. Every step stores its result in DIR, and is skipped
if it exists.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # before importing pyannote, which would call home

import numpy as np
import torch

from tests.training import diarization_embedding as embedding
from tests.training import diarization_segmentation as segmentation
from tests.training import training
from tests.training.pyannote_checkpoint import write_checkpoint
from tests.training.speech import WordBank, training_banks

CONFIGURATION = """\
dependencies:
  pyannote.audio: 4.0.0
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 8
    segmentation_step: 0.25
    embedding: $model/embedding
    embedding_batch_size: 8
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    method: centroid
    min_cluster_size: {min_cluster_size}
    threshold: {threshold}
  segmentation:
    min_duration_off: 0.0
"""


def write_pipeline(
    out: Path,
    bank: WordBank,
    segmenter: segmentation.PyanNet,
    embedder: embedding.XVectorMFCC,
    *,
    threshold: float,
    min_cluster_size: int,
) -> None:
    """Write a directory for `pyannote.audio.Pipeline.from_pretrained`."""
    write_checkpoint(
        out / "segmentation" / "pytorch_model.bin", segmenter, segmentation.SPECIFICATIONS
    )
    write_checkpoint(
        out / "embedding" / "pytorch_model.bin",
        embedding.widened(embedder),
        embedding.specifications(bank),
    )
    (out / "plda").mkdir(exist_ok=True)
    for name, arrays in embedding.fit_plda(embedder, bank, seed=3).items():
        np.savez(out / "plda" / name, **arrays)
    text = CONFIGURATION.format(threshold=threshold, min_cluster_size=min_cluster_size)
    (out / "config.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pipeline")
    parser.add_argument("--work", type=Path, required=True, help="folder for results of steps")
    parser.add_argument("--whole-steps", type=int, default=300)
    parser.add_argument("--frozen-steps", type=int, default=1500)
    parser.add_argument("--embedding-steps", type=int, default=8000)
    parser.add_argument("--threshold", type=float, default=0.85)
    parser.add_argument("--min-cluster-size", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="more are slower on shared cores")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    bank = training_banks(args.work)["en"]
    embedder = embedding.train(
        args.work / "embedding.pt",
        bank,
        training.Schedule(steps=args.embedding_steps, batch=48, learning_rate=3e-3, seed=5),
    )
    segmenter = segmentation.train(
        args.work / "segmentation.pt",
        bank,
        training.Schedule(steps=args.whole_steps, batch=8, learning_rate=3e-3, seed=6),
        training.Schedule(steps=args.frozen_steps, batch=16, learning_rate=3e-3, seed=7),
    )
    write_pipeline(
        args.out,
        bank,
        segmenter,
        embedder,
        threshold=args.threshold,
        min_cluster_size=args.min_cluster_size,
    )


if __name__ == "__main__":
    main()
