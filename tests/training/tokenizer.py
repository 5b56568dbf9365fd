"""A reduced Whisper tokenizer: bytes, one token per word, Whisper's marks and timestamps.

The order of the tokens is Whisper's: text, the empty token, end of text, start of transcript,
languages, tasks, the other marks, timestamps. The empty token matters: without it, CTranslate2
treats the model as English-only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.training.speech import WORDS

END = "<|endoftext|>"
START = "<|startoftranscript|>"
TRANSLATE = "<|translate|>"
TRANSCRIBE = "<|transcribe|>"
PREVIOUS = "<|startofprev|>"
NO_SPEECH = "<|nospeech|>"
NO_TIMESTAMPS = "<|notimestamps|>"
TIMESTAMPS = 1501
"""From 0.00 to 30.00 s, every 0.02 s."""

MARKS = (
    *(END, START),
    *(f"<|{language}|>" for language in WORDS),
    *(TRANSLATE, TRANSCRIBE, "<|startoflm|>", PREVIOUS, NO_SPEECH, NO_TIMESTAMPS),
)


@dataclass(frozen=True)
class Vocabulary:
    """The token numbers that training needs."""

    size: int
    space: int
    end: int
    start: int
    translate: int
    transcribe: int
    previous: int
    no_speech: int
    no_timestamps: int
    languages: dict[str, int]
    words: dict[str, tuple[int, ...]]

    @property
    def first_timestamp(self) -> int:
        """The token of 0.00 s; the other timestamps follow."""
        return self.no_timestamps + 1


def _added(token: str, number: int, special: bool) -> dict[str, object]:
    return {
        "id": number,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def write_tokenizer(folder: Path) -> None:
    """Write ``tokenizer.json`` and the other files that transformers needs."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=5000,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = [f" {word}" for words in WORDS.values() for word in words for _ in range(10)]
    tokenizer.train_from_iterator(corpus, trainer)
    description = json.loads(tokenizer.to_str())
    empty = tokenizer.get_vocab_size()
    description["model"]["vocab"][""] = empty
    times = [f"<|{i * 0.02:.2f}|>" for i in range(TIMESTAMPS)]
    description["added_tokens"] = [
        _added(token, empty + 1 + i, special=i < len(MARKS))
        for i, token in enumerate([*MARKS, *times])
    ]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END),
        "additional_special_tokens": list(MARKS[1:]),
        "clean_up_tokenization_spaces": False,
        "model_max_length": 448,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(description, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def read_vocabulary(folder: Path) -> Vocabulary:
    """The token numbers of a tokenizer that :func:`write_tokenizer` wrote."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def single(text: str) -> int:
        (number,) = tokenizer.encode(text, add_special_tokens=False).ids
        return int(number)

    return Vocabulary(
        size=tokenizer.get_vocab_size(),
        space=single(" "),
        end=single(END),
        start=single(START),
        translate=single(TRANSLATE),
        transcribe=single(TRANSCRIBE),
        previous=single(PREVIOUS),
        no_speech=single(NO_SPEECH),
        no_timestamps=single(NO_TIMESTAMPS),
        languages={language: single(f"<|{language}|>") for language in WORDS},
        words={name: tuple(single(f" {word}") for word in words) for name, words in WORDS.items()},
    )
