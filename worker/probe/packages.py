"""The packages that the worker depends on: which modules to import, which features need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from protocol.environment import Severity


class Package(NamedTuple):
    """A package, by its pip name. All `modules` are imported; the first is the package itself."""

    name: str
    modules: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Packages that its import needs: a failure of one of them explains its own failure."""
    assets: tuple[str, ...] = ()
    """Patterns of data files beside its code."""
    optional: Severity | None = None
    """Set if it may be absent: the severity when it is installed but broken."""


# Slow imports come first, so that none is left for the end. torch comes before them, so that if it
# hangs, the probe need not try the packages that need it.
PACKAGES: Final = (
    Package("torch", ("torch",)),
    Package(
        "whisperx",
        # It imports its own modules lazily, by name.
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
    Package("regex", ("regex",)),
    Package("tqdm", ("tqdm",)),
)

UNDERLYING: Final = (
    Package("lightning", ("lightning", "lightning.pytorch"), ("torch",), ("version.info",)),
    Package("asteroid-filterbanks", ("asteroid_filterbanks",), ("torch",)),
    Package("nltk", ("nltk", "nltk.tokenize.punkt")),
    Package("pandas", ("pandas",), ("numpy",)),
)
"""Examined only if a package that needs them fails, to find which of them is the cause."""

CRITICAL: Final = (
    *("faster-whisper", "ctranslate2", "whisperx", "pyannote.audio", "torch", "torchaudio"),
)
"""The packages that applications ask about, and that a bundle is most likely to lack."""

TRACES: Final = ("whisperx", "pyannote.audio")
TRACES_IN_BUNDLE: Final = (*TRACES, "torch", "torchaudio")
"""If any of these is installed, the flavour is `full`. Another program in the same Python may have
installed torch, so torch counts only in a bundle."""

BASE: Final = {
    "worker": ("msgspec", "orjson", "jsonrpcserver", "psutil", "pysubs2", "regex", "tqdm"),
    "fasterWhisper": (
        *("faster-whisper", "ctranslate2", "onnxruntime", "tokenizers", "av", "numpy"),
        *("huggingface-hub", "hf-xet", "certifi"),
    ),
}
"""Environments of both flavours, and the packages of each."""

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
"""Environments that only the flavour `full` has."""

_BY_NAME: Final = {
    name.lower().replace("-", "_"): package
    for package in PACKAGES + UNDERLYING
    for name in (package.name, package.name.replace(".", "-"), package.modules[0])
}


def find(name: str) -> Package:
    """The package with this pip or module name; an unknown name becomes a package of one module."""
    known = _BY_NAME.get(name.lower().replace("-", "_"))
    return known or Package(name, (name.replace("-", "_"),))


def is_known(package: Package) -> bool:
    """Whether a table contains it."""
    return package in PACKAGES + UNDERLYING


def is_only_in_full(name: str) -> bool:
    """Whether only the flavour `full` needs it."""
    return not any(name in names for names in BASE.values())
