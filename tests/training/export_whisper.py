"""Exports a trained model as a Hugging Face folder, and converts that to CTranslate2 (int8)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from tests.training.tokenizer import Vocabulary
from tests.training.whisper_model import (
    DECODER_LAYERS,
    configuration,
)

ALIGNMENT_HEADS = [[DECODER_LAYERS - 1, 0], [DECODER_LAYERS - 1, 1]]
"""The heads that attend to the word being written, from which word times are read."""


def write_hugging_face(
    folder: Path, tokenizer: Path, vocabulary: Vocabulary, weights: dict[str, torch.Tensor]
) -> None:
    """Write the model in the format of transformers."""
    model = WhisperForConditionalGeneration(configuration(vocabulary))
    model.load_state_dict(weights)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=vocabulary.start,
        eos_token_id=vocabulary.end,
        bos_token_id=vocabulary.end,
        pad_token_id=vocabulary.end,
        max_length=448,
        suppress_tokens=[],
        begin_suppress_tokens=[vocabulary.space, vocabulary.end],
        no_timestamps_token_id=vocabulary.no_timestamps,
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": number for name, number in vocabulary.languages.items()},
        task_to_id={"transcribe": vocabulary.transcribe, "translate": vocabulary.translate},
        alignment_heads=ALIGNMENT_HEADS,
        return_timestamps=False,
        prev_sot_token_id=vocabulary.previous,
    )
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)


def write_ctranslate2(hugging_face: Path, folder: Path) -> None:
    """Convert a Hugging Face folder to CTranslate2 with 8-bit weights."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "model"
        converter = TransformersConverter(
            str(hugging_face), copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(str(made), quantization="int8")
        folder.mkdir(parents=True, exist_ok=True)
        for file in made.iterdir():
            shutil.copyfile(file, folder / file.name)
