"""Converts the weights that the other programs load into whisper.cpp's model files.

A CTranslate2 model is a container of named tensors in float16; whisper.cpp reads OpenAI's names and
order of dimensions. Tensors are stored as by `convert-pt-to-ggml.py` of whisper.cpp (matrices
in float16, the rest in float32), and for q8_0 its matrices as `quantize` does: blocks of 32 numbers
with one scale. Speech detection is Silero's model from faster-whisper's package, an ONNX file, from
which only the tensors are read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[Any]

_MAGIC: Final = 0x67676D6C  # "ggml"
_KINDS: Final = {"f32": 0, "f16": 1, "q8_0": 8}  # of tensors
_FILES: Final = {"f16": 1, "q8_0": 2007}  # of files: 7, and two thousand for the blocks' version
_BLOCK: Final = 32
_FILTERS: Final = 201
"""Frequencies in the spectrum of 400 samples."""
_CT2_TYPES: Final = {0: "f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}

_NORM: Final = {"gamma": "weight", "beta": "bias"}
_PARTS: Final = ("query", "key", "value")


def convert(model: Path, out: Path, kind: Literal["f16", "q8_0"]) -> Path:
    """Convert a CTranslate2 model directory for whisper.cpp, unless `out` is newer."""
    source = model / "model.bin"
    if out.exists() and out.stat().st_mtime > source.stat().st_mtime:
        return out
    stored = dict(_read_ctranslate2(source))
    tensors = dict(_openai_names(stored))
    tokens = _tokens(model / "tokenizer.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_suffix(".part")
    with unfinished.open("wb") as file:
        _integers(file, _MAGIC, *_dimensions(stored, tensors), _FILES[kind])
        filters = _mel_filters(tensors["encoder.conv1.weight"].shape[1])
        _integers(file, *filters.shape)
        file.write(filters.astype("<f4").tobytes())
        _integers(file, len(tokens))
        for token in tokens:
            _integers(file, len(token))
            file.write(token)
        for name, tensor in tensors.items():
            _write(file, name, tensor, _kind(name, tensor, kind))
    return unfinished.replace(out)


def convert_vad(out: Path) -> Path:
    """Convert faster-whisper's Silero model for whisper.cpp, unless `out` exists."""
    if out.exists():
        return out
    import faster_whisper

    (source,) = Path(faster_whisper.__file__).parent.glob("assets/silero_vad_v*.onnx")
    tensors = dict(_silero_names(dict(_read_onnx(source.read_bytes()))))
    convolutions = [tensors[f"_model.encoder.{layer}.reparam_conv.weight"] for layer in range(4)]
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_suffix(".part")
    with unfinished.open("wb") as file:
        name = b"silero-16k"
        _integers(file, _MAGIC, len(name))
        file.write(name)
        _integers(file, 6, 0, 0)  # version
        _integers(file, 512, 64, len(convolutions))  # samples of a window and before it
        for weights in convolutions:
            _integers(file, weights.shape[1], weights.shape[0], weights.shape[2])
        _integers(file, 128, 128)  # into the LSTM and within it
        _integers(file, 128, 1)  # into the last convolution and out of it
        for name_, tensor in tensors.items():
            halved = tensor.ndim == 3 or name_ == "_model.decoder.decoder.2.weight"
            _write(file, name_, tensor, "f16" if halved else "f32")
    return unfinished.replace(out)


def _read_ctranslate2(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a container, without aliases."""
    data = path.read_bytes()
    place = 0

    def number(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(form)
        return int(value)

    def text() -> str:
        nonlocal place
        length = number("H")
        place += length
        return data[place - length : place].rstrip(b"\0").decode()

    version, specification, _ = number("I"), text(), number("I")
    if version != 6 or specification != "WhisperSpec":
        raise ValueError(f"{path} is {specification} {version}, not WhisperSpec 6")
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, length = number("B"), number("I")
        if name.endswith("weight") and kind not in (0, 4):
            raise ValueError(f"{path} is quantised; it must be float16 or float32")
        yield name, np.frombuffer(data[place : place + length], _CT2_TYPES[kind]).reshape(shape)
        place += length


def _openai_names(stored: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors by OpenAI's names, with query, key and value separated."""
    for side, last in (("encoder", "ln_post"), ("decoder", "ln")):
        yield f"{side}.positional_embedding", stored[f"{side}/position_encodings/encodings"]
        if side == "encoder":
            for name in ("conv1", "conv2"):
                yield f"{side}.{name}.weight", stored[f"{side}/{name}/weight"]
                yield f"{side}.{name}.bias", stored[f"{side}/{name}/bias"][:, None]
        else:
            yield f"{side}.token_embedding.weight", stored[f"{side}/embeddings/weight"]
        for theirs, ours in _NORM.items():
            yield f"{side}.{last}.{ours}", stored[f"{side}/layer_norm/{theirs}"]
        for layer in range(_layers(stored, side)):
            ours, theirs = f"{side}.blocks.{layer}", f"{side}/layer_{layer}"
            yield from _attention(stored, f"{theirs}/self_attention", f"{ours}.attn")
            if side == "decoder":
                yield from _attention(stored, f"{theirs}/attention", f"{ours}.cross_attn")
            for part, their_part in (("0", "linear_0"), ("2", "linear_1")):
                for kind in ("weight", "bias"):
                    yield f"{ours}.mlp.{part}.{kind}", stored[f"{theirs}/ffn/{their_part}/{kind}"]
            for their_kind, kind in _NORM.items():
                yield f"{ours}.mlp_ln.{kind}", stored[f"{theirs}/ffn/layer_norm/{their_kind}"]


def _attention(stored: dict[str, Tensor], theirs: str, ours: str) -> Iterator[tuple[str, Tensor]]:
    """The input projections, which are stored as one or two tensors, and the output projection."""
    for their_kind, kind in _NORM.items():
        yield f"{ours}_ln.{kind}", stored[f"{theirs}/layer_norm/{their_kind}"]
    *inner, outer = sorted(n for n in stored if n.startswith(f"{theirs}/linear_") and "weight" in n)
    for kind in ("weight", "bias"):
        fused = [stored[name.replace("weight", kind)] for name in inner]
        for part, tensor in zip(_PARTS, np.split(np.concatenate(fused), 3), strict=True):
            if (part, kind) != ("key", "bias"):  # always zero: OpenAI has none
                yield f"{ours}.{part}.{kind}", tensor
        yield f"{ours}.out.{kind}", stored[outer.replace("weight", kind)]


def _dimensions(stored: dict[str, Tensor], tensors: dict[str, Tensor]) -> Iterator[int]:
    yield len(tensors["decoder.token_embedding.weight"])
    for side in ("encoder", "decoder"):
        yield from tensors[f"{side}.positional_embedding"].shape
        yield int(stored[f"{side}/num_heads"])
        yield _layers(stored, side)
    yield tensors["encoder.conv1.weight"].shape[1]


def _layers(stored: dict[str, Tensor], side: str) -> int:
    return sum(name.startswith(f"{side}/layer_") for name in stored if "ffn/linear_0/bias" in name)


def _mel_filters(bands: int) -> Tensor:
    from faster_whisper.feature_extractor import FeatureExtractor

    filters = np.asarray(FeatureExtractor(feature_size=bands).mel_filters)
    assert filters.shape == (bands, _FILTERS)
    return filters


def _tokens(path: Path) -> list[bytes]:
    """The bytes of each token before the end of the text; whisper.cpp defines the others."""
    described = json.loads(path.read_text(encoding="utf-8"))
    (end,) = (t["id"] for t in described["added_tokens"] if t["content"] == "<|endoftext|>")
    texts = {number: text for text, number in described["model"]["vocab"].items()}
    alphabet = _alphabet()
    return [bytes(alphabet[char] for char in texts[number]) for number in range(end)]


def _alphabet() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary (GPT-2's)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    plain += range(ord("®"), ord("ÿ") + 1)
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): b for n, b in enumerate(others)}


def _kind(name: str, tensor: Tensor, file_kind: str) -> str:
    """The type in which whisper.cpp expects this tensor in a file of that kind."""
    if tensor.ndim < 2 or name.endswith((".positional_embedding", "conv1.bias", "conv2.bias")):
        return "f32"
    return file_kind if tensor.ndim == 2 else "f16"


def _write(file: BinaryIO, name: str, tensor: Tensor, kind: str) -> None:
    """Write a header (dimensions from last to first), the name, and the numbers."""
    _integers(file, tensor.ndim, len(name), _KINDS[kind], *reversed(tensor.shape))
    file.write(name.encode())
    if kind == "q8_0":
        file.write(_quantised(tensor))
    else:
        file.write(np.ascontiguousarray(tensor, "<f2" if kind == "f16" else "<f4").tobytes())


def _quantised(tensor: Tensor) -> bytes:
    """Blocks of a float16 scale and 32 signed bytes, rounded away from zero at a half."""
    blocks = tensor.astype(np.float32).reshape(-1, _BLOCK)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse
    rounded = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    packed = np.empty(len(blocks), [("scale", "<f2"), ("numbers", "i1", _BLOCK)])
    packed["scale"], packed["numbers"] = scale[:, 0], rounded
    return packed.tobytes()


def _integers(file: BinaryIO, *numbers: int) -> None:
    file.write(struct.pack(f"<{len(numbers)}i", *numbers))


def _silero_names(stored: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Silero's tensors by the names of its PyTorch model."""
    for layer in range(4):
        for kind in ("weight", "bias"):
            name = f"_model.encoder.{layer}.reparam_conv.{kind}"
            yield name, stored[f"encoder.conv_layers.{layer}.{kind}"]
    # ONNX has the gates of the LSTM as input, output, forget, cell; PyTorch as i, f, c, o.
    lstm = [tensor[0] for name, tensor in stored.items() if name.startswith("onnx::LSTM")]
    weights, biases = [t for t in lstm if t.ndim == 2], [t for t in lstm if t.ndim == 1]
    both = np.split(biases[0], 2)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for name, tensor in zip(names, (*weights, *both), strict=True):
        gates = np.split(tensor, 4)
        yield f"_model.decoder.rnn.{name}", np.concatenate([gates[k] for k in (0, 2, 3, 1)])
    yield "_model.decoder.decoder.2.weight", stored["decoder.conv1d.weight"].reshape(-1)
    yield "_model.decoder.decoder.2.bias", stored["decoder.conv1d.bias"]
    basis = stored["encoder.feature_extractor.forward_basis_buffer"]
    yield "_model.stft.forward_basis_buffer", basis


def _read_onnx(data: bytes) -> Iterator[tuple[str, Tensor]]:
    """The float32 initializers of a model: field 5 of the graph, which is field 7."""
    for graph in _fields(data)[7]:
        for initializer in _fields(graph)[5]:
            fields = _fields(initializer)  # 1: dimensions, 2: data type, 8: name, 9: bytes
            if fields[2] == [1] and 9 in fields:
                shape = [d for d in fields.get(1, []) for d in (d if isinstance(d, bytes) else [d])]
                yield fields[8][0].decode(), np.frombuffer(fields[9][0], "<f4").reshape(shape)


def _fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol buffer's message by number: integers, or bytes."""
    fields: dict[int, list[Any]] = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = varint()
        wire = key & 7
        if wire == 0:
            fields.setdefault(key >> 3, []).append(varint())
            continue
        length = varint() if wire == 2 else {1: 8, 5: 4}[wire]
        fields.setdefault(key >> 3, []).append(message[place : place + length])
        place += length
    return fields
