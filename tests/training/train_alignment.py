"""Trains the tests' small alignment model from scratch.

``python -m tests.training.train_alignment --out tests/models/alignment --work DIR`` needs espeak-ng
and about twenty minutes of a CPU core. Training resumes from its last checkpoint in DIR.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from tests.training import alignment_model, training
from tests.training.speech import training_banks


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--work", type=Path, required=True, help="folder for results of steps")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=1, help="more are slower on shared cores")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    banks = training_banks(args.work)
    schedule = training.Schedule(steps=args.steps, batch=16, warm_up=150, seed=4)
    weights = alignment_model.train(args.work / "alignment.pt", banks, schedule)
    alignment_model.write(args.out, weights)


if __name__ == "__main__":
    main()
