"""A small wav2vec2 model for alignment, trained on when each letter is spoken.

Each frame has one label: the first letter on the word's first frame, the last on its last, those
between evenly spread, ``|`` on the frame after it, blank elsewhere. With so few frames of letters,
whisperx's trellis (which pays for staying with the blank's probability alone) and CTC forced
alignment find the same path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from tests.training import training
from tests.training.scenes import decibels, noise
from tests.training.speech import SAMPLE_RATE, WordBank

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß'"
VOCABULARY = {
    token: index for index, token in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS))
}
BLANK, BAR = VOCABULARY["<pad>"], VOCABULARY["|"]

SECONDS = 5.0
RECEPTIVE_FIELD, HOP = 400, 320
"""Samples per frame, and samples between frames."""

GERMAN_ODDS = 0.2
BLANK_WEIGHT = 0.35


def new_model() -> Wav2Vec2ForCTC:
    """Seven convolutions and two transformer layers: 0.3 million parameters."""
    config = Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=288,
        conv_dim=(32, 32, 48, 64, 64, 64, 64),
        conv_kernel=(10, 3, 3, 3, 3, 2, 2),
        conv_stride=(5, 2, 2, 2, 2, 2, 2),
        num_feat_extract_layers=7,
        feat_extract_norm="group",
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=4,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        pad_token_id=BLANK,
        bos_token_id=1,
        eos_token_id=2,
        num_codevectors_per_group=2,
        num_codevector_groups=1,
        codevector_dim=8,
        proj_codevector_dim=8,
    )
    model = Wav2Vec2ForCTC(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return model


def example(
    rng: np.random.Generator, bank: WordBank
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Words of one voice with their frame labels: (samples,) and (frames,)."""
    length = int(SECONDS * SAMPLE_RATE)
    samples = np.zeros(length, np.float32)
    frames = (length - RECEPTIVE_FIELD) // HOP + 1
    labels = np.full(frames, BLANK, np.int64)
    seconds_a_frame = SECONDS / frames
    time = rng.uniform(0, 0.6)
    voice = int(rng.integers(len(bank.voices)))
    gap = float(rng.choice((0.05, 0.15, 0.3, 0.8)))
    while True:
        index = int(rng.integers(len(bank.words)))
        clip = bank.clip(voice, index)
        end = time + len(clip) / SAMPLE_RATE
        if end > SECONDS - 0.02:
            break
        begin = int(time * SAMPLE_RATE)
        samples[begin : begin + len(clip)] += clip
        first, last = round(time / seconds_a_frame), round(end / seconds_a_frame)
        places = np.linspace(first, last - 1, len(bank.words[index])).round().astype(int)
        for place, letter in zip(places, bank.words[index], strict=True):
            labels[min(frames - 1, place)] = VOCABULARY[letter]
        if last < frames:
            labels[last] = BAR
        time = end + rng.uniform(0.03, 2 * gap)
    samples *= decibels(rng.uniform(-15, 0))
    if rng.random() < 0.7:
        samples += noise(rng, length) * decibels(rng.uniform(-75, -36))
    return samples.astype(np.float32), labels


def train(
    path: Path, banks: dict[str, WordBank], schedule: training.Schedule
) -> dict[str, torch.Tensor]:
    """Train, continuing from the checkpoint at ``path``; return the weights."""
    torch.manual_seed(schedule.seed)
    model = new_model().train()
    parameters = list(model.parameters())
    optimizer = training.new_optimizer(parameters, schedule)
    weights = torch.ones(len(VOCABULARY))
    weights[BLANK] = BLANK_WEIGHT
    step = 0
    if state := training.load(path):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    figures = training.Figures()
    while step < schedule.steps:
        rng = np.random.default_rng((schedule.seed, step))
        drawn = [
            example(rng, banks["de" if rng.random() < GERMAN_ODDS else "en"])
            for _ in range(schedule.batch)
        ]
        samples = torch.from_numpy(np.stack([each[0] for each in drawn]))
        labels = torch.from_numpy(np.stack([each[1] for each in drawn]))
        logits = model(samples).logits.float()
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), labels, weight=weights)
        training.update(optimizer, parameters, loss, schedule.rate(step))
        step += 1
        right = logits.argmax(-1) == labels
        figures.add(
            loss=loss.item(),
            letters=right[labels != BLANK].float().mean().item(),
            ends=right[labels == BAR].float().mean().item(),
        )
        if step % schedule.report_every == 0:
            training.log.info("alignment %d: %s", step, figures)
        if step % schedule.save_every == 0 or step == schedule.steps:
            training.save(
                path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step
            )
    return dict(model.state_dict())


def write(directory: Path, weights: dict[str, Any]) -> None:
    """Write the model for Hugging Face's `from_pretrained` and for whisperx."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = directory / "vocab.json"
    vocabulary.write_text(json.dumps(VOCABULARY, ensure_ascii=False), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(
        str(vocabulary),
        unk_token="<unk>",
        pad_token="<pad>",
        word_delimiter_token="|",
        do_lower_case=True,
    )
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE,
        padding_value=0.0,
        do_normalize=False,
        return_attention_mask=False,
    )
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(directory)
    model = new_model()
    model.load_state_dict(weights)
    model.save_pretrained(directory, safe_serialization=True)
