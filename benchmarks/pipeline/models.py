"""Creates Whisper models of real shapes with random weights that write a fixed number of tokens.

Such a model costs as much as a trained one. It writes nonsense of a fixed length because of its
weights, so that every program does the same work whatever options it supports: the
positions before `LENGTH` point away from the end of the text, and those from it on point there.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

LENGTH: Final = 60
"""Tokens per window: as many as 30 s of fast speech."""


class Shape(NamedTuple):
    """The shape of one of OpenAI's models."""

    width: int
    layers: int
    heads: int
    mels: int = 80
    languages: int = 99


SHAPES: Final = {
    "base": Shape(512, 6, 8),
    "small": Shape(768, 12, 12),
    "large-v3": Shape(1280, 32, 20, mels=128, languages=100),
}
_TEXT: Final = 50_257
_TIMESTAMPS: Final = 1501
_PROMPT: Final = 4  # start, language, task, no timestamps


def make(shape: str, folder: Path, kept_as: str = "int8") -> Path:
    """Write a CTranslate2 model into a folder, unless it exists; return the folder."""
    if (folder / "model.bin").exists():
        return folder
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    width, layers, heads, mels, languages = SHAPES[shape]
    marks = _marks(languages)
    numbers = {mark: _TEXT + place for place, mark in enumerate(marks)}
    end, start = numbers["<|endoftext|>"], numbers["<|startoftranscript|>"]
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=_TEXT + len(marks) + _TIMESTAMPS,
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=1500,
        max_target_positions=448,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # where that is quicker
        model = WhisperForConditionalGeneration(config)
        _fix_length(model, end)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        max_length=448,
        suppress_tokens=[],
        begin_suppress_tokens=[],
        no_timestamps_token_id=numbers["<|notimestamps|>"],
        is_multilingual=True,
        lang_to_id={mark: numbers[mark] for mark in marks[2 : 2 + languages]},
        task_to_id={each: numbers[f"<|{each}|>"] for each in ("transcribe", "translate")},
        alignment_heads=[[layers - 1, 0]],
    )
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        half = kept_as == "float16"
        (model.half() if half else model).save_pretrained(source)
        WhisperFeatureExtractor(feature_size=mels).save_pretrained(source)
        _write_tokenizer(source, marks)
        converter = TransformersConverter(
            str(source),
            copy_files=["tokenizer.json", "preprocessor_config.json"],
            load_as_float16=half,
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(scratch, "made")
        converter.convert(str(made), quantization=kept_as)
        folder.mkdir(exist_ok=True)
        for file in sorted(made.iterdir(), key=lambda file: file.name == "model.bin"):
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _fix_length(model: Any, end: int) -> None:
    """Let only the position decide between text and its end."""
    import torch

    decoder = model.model.decoder
    width = decoder.embed_tokens.weight.shape[1]
    direction = torch.nn.functional.normalize(torch.randn(width), dim=0)
    with torch.no_grad():
        tokens = decoder.embed_tokens.weight
        tokens -= torch.outer(tokens @ direction, direction)
        tokens[end:] = 0.5 * direction
        tokens[end] = direction
        positions = decoder.embed_positions.weight
        positions[: _PROMPT + LENGTH - 1] -= 20 * direction
        positions[_PROMPT + LENGTH - 1 :] += 20 * direction


def _marks(count: int) -> list[str]:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    languages = [f"<|{code}|>" for code in list(_LANGUAGE_CODES)[:count]]
    others = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
    return ["<|endoftext|>", "<|startoftranscript|>", *languages, *(f"<|{o}|>" for o in others)]


def _write_tokenizer(folder: Path, marks: list[str]) -> None:
    """Bytes, then invented words of four letters, then Whisper's marks and timestamps."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {
        char: number for number, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    while len(vocabulary) < _TEXT - 1:
        vocabulary[f"Ġ{_word(len(vocabulary))}"] = len(vocabulary)
    vocabulary[""] = _TEXT - 1
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    described = json.loads(tokenizer.to_str())
    times = [f"<|{number * 0.02:.2f}|>" for number in range(_TIMESTAMPS)]
    described["added_tokens"] = [
        {
            "id": _TEXT + place,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": place < len(marks),
        }
        for place, token in enumerate([*marks, *times])
    ]
    (folder / "tokenizer.json").write_text(json.dumps(described, ensure_ascii=False), "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": marks[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def _word(number: int) -> str:
    """A word of four letters, unique for each number."""
    number = number * 7919 % 26**4
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters += chr(ord("a") + letter)
    return letters


def make_alignment(folder: Path) -> Path:
    """Write an aligner of wav2vec2-base's shape, unless it exists; return its folder."""
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    trained = Path(__file__).parents[2] / "tests" / "models" / "alignment"
    folder.mkdir(parents=True, exist_ok=True)
    for file in trained.iterdir():
        if file.suffix == ".json" and file.name != "config.json":
            (folder / file.name).write_bytes(file.read_bytes())
    labels = len(json.loads((trained / "vocab.json").read_text("utf-8")))
    torch.manual_seed(0)
    Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=labels)).save_pretrained(folder)
    return folder
