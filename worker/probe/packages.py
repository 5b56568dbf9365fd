"""The packages that the worker rests on: what to import of each, and what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from protocol.environment import Severity


class Package(NamedTuple):
    """A package as pip names it. All of `modules` are imported; the first is the package."""

    name: str
    modules: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Packages without which its import fails: a failure of theirs explains one of its own."""
    assets: tuple[str, ...] = ()
    """Data files beside its code, as patterns."""
    optional: Severity | None = None
    """May be absent; and how bad it is when it is there and broken."""


# What takes long comes first, so that nothing long is left for the end; before it what much of it
# needs, so that it is known when that hangs.
PACKAGES: Final = (
    Package("torch", ("torch",)),
    Package(
        "whisperx",
        # It imports its own parts by name, when they are first used.
        ("whisperx", "whisperx.asr", "whisperx.alignment", "whisperx.diarize", "whisperx.vads"),
        (
            *("torch", "torchaudio", "pyannote.audio", "transformers", "faster-whisper"),
            *("ctranslate2", "pandas", "nltk", "numpy"),
        ),
        ("assets/mel_filters.npz", "assets/pytorch_model.bin"),
    ),
    Package(
        "pyannote.audio",
        (
            "pyannote.audio",
            "pyannote.audio.pipelines",
            "pyannote.audio.models.segmentation",
            "pyannote.audio.models.embedding",
        ),
        (
            *("torch", "torchaudio", "lightning", "asteroid-filterbanks", "scipy"),
            *("scikit-learn", "numpy", "pyyaml"),
        ),
        ("telemetry/config.yaml",),
    ),
    Package(
        "transformers",
        ("transformers", "transformers.models.wav2vec2.modeling_wav2vec2"),
        ("torch", "tokenizers", "safetensors", "huggingface-hub", "numpy", "pyyaml"),
    ),
    Package(
        "torchaudio",
        (
            *("torchaudio", "torchaudio.functional", "torchaudio.pipelines"),
            *("torchaudio.backend", "torchaudio.compliance.kaldi"),
        ),
        ("torch",),
    ),
    Package("torchcodec", ("torchcodec",), ("torch",), optional="info"),
    Package("scikit-learn", ("sklearn", "sklearn.cluster"), ("scipy", "numpy")),
    Package("scipy", ("scipy", "scipy.cluster.hierarchy", "scipy.optimize"), ("numpy",)),
    Package(
        "faster-whisper",
        ("faster_whisper", "faster_whisper.vad"),
        ("ctranslate2", "onnxruntime", "tokenizers", "av", "numpy", "huggingface-hub", "tqdm"),
        ("assets/silero_vad*.onnx",),
    ),
    Package("ctranslate2", ("ctranslate2", "ctranslate2._ext"), ("numpy",)),
    Package("onnxruntime", ("onnxruntime",), ("numpy",)),
    Package("tokenizers", ("tokenizers",)),
    Package("av", ("av", "av.audio")),
    Package("numpy", ("numpy",)),
    Package("safetensors", ("safetensors", "safetensors.numpy"), ("numpy",)),
    Package("soundfile", ("soundfile",), ("numpy",), optional="info"),
    Package("pyyaml", ("yaml",)),
    Package("hf-xet", ("hf_xet",), optional="warning"),
    Package("huggingface-hub", ("huggingface_hub", "huggingface_hub.file_download")),
    Package("certifi", ("certifi",), assets=("cacert.pem",)),
    Package("jsonrpcserver", ("jsonrpcserver",), assets=("request-schema.json",)),
    Package("msgspec", ("msgspec",)),
    Package("orjson", ("orjson",)),
    Package("psutil", ("psutil",)),
    Package("pysubs2", ("pysubs2",)),
    Package("tqdm", ("tqdm",)),
)

BENEATH: Final = (
    Package("lightning", ("lightning", "lightning.pytorch"), ("torch",), ("version.info",)),
    Package("asteroid-filterbanks", ("asteroid_filterbanks",), ("torch",)),
    Package("nltk", ("nltk", "nltk.tokenize.punkt")),
    Package("pandas", ("pandas",), ("numpy",)),
)
"""Only examined when a package that needs them fails, to say which of them is the cause."""

CRITICAL: Final = (
    *("faster-whisper", "ctranslate2", "whisperx", "pyannote.audio", "torch", "torchaudio"),
)
"""What applications ask about, and what a bundle loses first."""

TRACES: Final = ("whisperx", "pyannote.audio")
TRACES_IN_BUNDLE: Final = (*TRACES, "torch", "torchaudio")
"""A trace of any of these says that the flavour is meant to be `full`. Other programs that share a
Python may have brought torch there; nobody else brings anything into a bundle."""

BASE: Final = {
    "worker": ("msgspec", "orjson", "jsonrpcserver", "psutil", "pysubs2", "tqdm"),
    "fasterWhisper": (
        *("faster-whisper", "ctranslate2", "onnxruntime", "tokenizers", "av", "numpy"),
        *("huggingface-hub", "hf-xet", "certifi"),
    ),
}
"""Environments of every flavour, and the packages of each."""

FULL: Final = {
    "whisperx": (
        *("whisperx", "torch", "torchaudio", "pyannote.audio", "transformers", "faster-whisper"),
        *("ctranslate2", "numpy", "torchcodec"),
    ),
    "alignment": (
        *("torch", "torchaudio", "transformers", "safetensors", "whisperx", "av", "numpy"),
    ),
    "pyannote": (
        *("pyannote.audio", "torch", "torchaudio", "scipy", "scikit-learn", "pyyaml", "av"),
        *("numpy", "torchcodec", "soundfile"),
    ),
}
"""Environments of the flavour `full` alone."""

_BY_NAME: Final = {
    name.lower().replace("-", "_"): package
    for package in PACKAGES + BENEATH
    for name in (package.name, package.name.replace(".", "-"), package.modules[0])
}


def find(name: str) -> Package:
    """The package of a name, as pip or an import spells it; an unknown one is a module's."""
    known = _BY_NAME.get(name.lower().replace("-", "_"))
    return known or Package(name, (name.replace("-", "_"),))


def is_known(package: Package) -> bool:
    """Whether it is one of the tables'."""
    return package in PACKAGES + BENEATH


def of_full_alone(name: str) -> bool:
    """Whether only the flavour `full` needs it."""
    return not any(name in names for names in BASE.values())
