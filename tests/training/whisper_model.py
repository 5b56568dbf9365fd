"""The small Whisper model: its shape, and an initialisation with which it learns in minutes."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn import functional
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tests.training.speech import WORDS
from tests.training.tokenizer import Vocabulary

WIDTH = 128
HEADS = 4
ENCODER_LAYERS = 2
DECODER_LAYERS = 3
POSITIONS = 1500
"""Encoder frames in Whisper's window of 30 s."""

HEAD_OFFSETS: tuple[tuple[int, ...], ...] = ((-8, -3, 3, 8), (-12, 12))
"""For each encoder layer, the initial offset in frames to which its first heads attend."""

LABELS = 1 + sum(len(words) for words in WORDS.values())
"""Frame labels: silence, then the words of every language."""

FIRST_LABEL = {
    language: 1 + sum(len(WORDS[earlier]) for earlier in list(WORDS)[:place])
    for place, language in enumerate(WORDS)
}
"""The frame label of each language's first word."""


def configuration(vocabulary: Vocabulary) -> WhisperConfig:
    """The model's shape as a configuration of transformers."""
    return WhisperConfig(
        vocab_size=vocabulary.size,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=ENCODER_LAYERS,
        decoder_layers=DECODER_LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        max_source_positions=POSITIONS,
        max_target_positions=448,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        pad_token_id=vocabulary.end,
        bos_token_id=vocabulary.end,
        eos_token_id=vocabulary.end,
        decoder_start_token_id=vocabulary.start,
        suppress_tokens=[],
        begin_suppress_tokens=[vocabulary.space, vocabulary.end],
        is_encoder_decoder=True,
        tie_word_embeddings=False,
    )


def new_model(vocabulary: Vocabulary) -> WhisperForConditionalGeneration:
    """An untrained model; the caller seeds torch first."""
    config = configuration(vocabulary)
    config._attn_implementation = "eager"  # guidance needs the decoder's attention weights
    model = WhisperForConditionalGeneration(config)
    fast = copy.deepcopy(config)
    fast._attn_implementation = "sdpa"
    for layer in model.model.encoder.layers:
        layer.self_attn.config = fast
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.proj_out:
            nn.init.xavier_uniform_(module.weight, 0.7)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    decoder = model.model.decoder
    nn.init.normal_(decoder.embed_tokens.weight, 0, 0.05)
    nn.init.normal_(decoder.embed_positions.weight, 0, 0.05)
    with torch.no_grad():
        _look_at_offsets(model.model.encoder)
        _start_timestamps_as_sinusoids(model, vocabulary.first_timestamp)
    return model


def _look_at_offsets(encoder: WhisperEncoder) -> None:
    """Initialise heads so that each frame attends to the frame at some offset.

    Positions are sinusoids, and rotating those by a fixed angle per frequency moves them by a fixed
    number of frames: the keys read them off, the queries read them off rotated.
    """
    size = WIDTH // HEADS
    half = WIDTH // 2
    speeds = torch.exp(-math.log(10000) / (half - 1) * torch.arange(half).float())
    for layer, offsets in zip(encoder.layers, HEAD_OFFSETS, strict=True):
        for head, offset in enumerate(offsets):
            query = torch.zeros(size, WIDTH)
            key = torch.zeros(size, WIDTH)
            for i in range(size // 2):
                cosine, sine = math.cos(speeds[i] * offset), math.sin(speeds[i] * offset)
                key[2 * i, i] = 1
                key[2 * i + 1, half + i] = 1
                query[2 * i, i], query[2 * i, half + i] = cosine, sine
                query[2 * i + 1, half + i], query[2 * i + 1, i] = cosine, -sine
            rows = slice(head * size, (head + 1) * size)
            layer.self_attn.q_proj.weight[rows] = query * 1.3
            layer.self_attn.k_proj.weight[rows] = key * 1.3


def _start_timestamps_as_sinusoids(model: WhisperForConditionalGeneration, first: int) -> None:
    """Initialise timestamp tokens, in input and output, with the position of their frame."""
    positions = model.model.encoder.embed_positions.weight
    tokens = model.model.decoder.embed_tokens.weight
    tokens[first : first + POSITIONS] = positions * 0.05 * math.sqrt(2)
    tokens[first + POSITIONS] = tokens[first + POSITIONS - 1]
    sharpness = torch.full((WIDTH // 2,), 0.12)
    sharpness[:24] = 0.4  # the fast sinusoids distinguish neighbours
    out = model.proj_out.weight
    out[first : first + POSITIONS] = positions * torch.cat([sharpness, sharpness])
    out[first + POSITIONS] = out[first + POSITIONS - 1]


def encode(encoder: WhisperEncoder, mel: torch.Tensor, first_frame: torch.Tensor) -> torch.Tensor:
    """Encoder outputs of windows shorter than 30 s, each placed at its own first frame."""
    hidden = functional.gelu(encoder.conv1(mel))
    hidden = functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
    places = first_frame[:, None] + torch.arange(hidden.shape[1], device=mel.device)
    hidden = hidden + encoder.embed_positions.weight[places]
    for layer in encoder.layers:
        hidden = layer(hidden, None, None)[0]
    return encoder.layer_norm(hidden)
