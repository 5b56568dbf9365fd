"""Trains the tests' small Whisper model from scratch.

``python -m tests.training.train_whisper --out tests/models/whisper --work DIR`` needs espeak-ng and
about two hours of a CPU core. Every step stores its result in DIR, and is skipped if it exists;
training resumes from its last checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch

from tests.training import training
from tests.training.export_whisper import write_ctranslate2, write_hugging_face
from tests.training.speech import training_banks
from tests.training.tokenizer import read_vocabulary, write_tokenizer
from tests.training.whisper_decoder import train_decoder
from tests.training.whisper_encoder import train_encoder


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the CTranslate2 model")
    parser.add_argument("--work", type=Path, required=True, help="folder for results of steps")
    parser.add_argument("--encoder-steps", type=int, default=1900)
    parser.add_argument("--decoder-steps", type=int, default=13000)
    parser.add_argument("--threads", type=int, default=1, help="more are slower on shared cores")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    work: Path = args.work
    started = time.monotonic()

    def done(step: str) -> None:
        training.log.info("%s: done after %.1f min", step, (time.monotonic() - started) / 60)

    banks = training_banks(work)
    done("words")
    tokenizer = work / "tokenizer"
    if not (tokenizer / "tokenizer.json").exists():
        write_tokenizer(tokenizer)
    vocabulary = read_vocabulary(tokenizer)
    encoder, decoder = work / "encoder.pt", work / "decoder.pt"
    train_encoder(
        encoder, banks, vocabulary, training.Schedule(steps=args.encoder_steps, batch=8, seed=1)
    )
    done("encoder")
    train_decoder(
        decoder,
        encoder,
        banks,
        vocabulary,
        training.Schedule(steps=args.decoder_steps, batch=16, seed=2),
    )
    done("decoder")
    trained = training.load(decoder)
    assert trained is not None
    write_hugging_face(work / "hugging-face", tokenizer, vocabulary, trained["model"])
    write_ctranslate2(work / "hugging-face", args.out)
    done("export")


if __name__ == "__main__":
    main()
