"""Tests that a package works: loads its native libraries, reads its data, does a little work.

Each function takes the imported package and returns facts, which the parent judges, or raises.
Packages are imported by name, so that a build without them does not collect them because of us.
"""

from __future__ import annotations

import hashlib
import io
import json
import wave
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from worker.models.trusted_pickles import WHISPERX_VAD_SHA256
from worker.system import cuda

Facts = dict[str, Any]

# Modules that torchaudio and its users import by name, besides sox_io_backend.
_TORCHAUDIO_BACKENDS: Final = (
    *("torchaudio._backend.ffmpeg", "torchaudio._backend.sox", "torchaudio._backend.soundfile"),
    *("torchaudio.backend.no_backend", "torchaudio.backend.soundfile_backend"),
    "torchaudio.backend.sox_io_backend",
)
_RATE: Final = 16_000


def use(name: str, module: Any) -> Facts:
    """Use a package; raises anything that goes wrong."""
    function = _USES.get(name)
    return function(module) if function else {}


def _av(av: Any) -> Facts:
    samples = 0
    for data in (_wav(), _flac(av)):
        with av.open(io.BytesIO(data)) as container:
            samples += sum(frame.samples for frame in container.decode(audio=0))
    if samples != 2 * _RATE:
        raise RuntimeError(f"FFmpeg decoded {samples} samples instead of {2 * _RATE}")
    return {"ffmpeg": getattr(av, "ffmpeg_version_info", None)}


def _wav() -> bytes:
    """A second of silence."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(bytes(2 * _RATE))
    return data.getvalue()


def _flac(av: Any) -> bytes:
    data = io.BytesIO()
    with av.open(io.BytesIO(_wav())) as source, av.open(data, "w", format="flac") as target:
        stream = target.add_stream("flac", rate=_RATE)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return data.getvalue()


def _ctranslate2(ctranslate2: Any) -> Facts:
    facts: Facts = {
        "cudaDevices": 0,
        "computeTypes": {"cpu": sorted(ctranslate2.get_supported_compute_types("cpu"))},
        "missingLibraries": [],
    }
    try:
        facts["cudaDevices"] = ctranslate2.get_cuda_device_count()
        for index in range(facts["cudaDevices"]):
            types = ctranslate2.get_supported_compute_types("cuda", index)
            facts["computeTypes"][f"cuda:{index}"] = sorted(types)
    except RuntimeError as error:  # a driver without a device, or too old
        facts["cudaError"] = str(error)
    if facts["cudaDevices"]:
        cuda.preload()
        facts["missingLibraries"] = cuda.missing()
    return facts


def _onnxruntime(onnxruntime: Any) -> Facts:
    facts: Facts = {"providers": onnxruntime.get_available_providers()}
    spec = find_spec("faster_whisper")
    if spec and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)), "assets")
        for model in sorted(folder.glob("silero_vad*.onnx")):
            session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
            facts["inputs"] = [each.name for each in session.get_inputs()]
    return facts


def _faster_whisper(_: Any) -> Facts:
    numpy = import_module("numpy")
    silence = numpy.zeros(_RATE, numpy.float32)
    speech = import_module("faster_whisper.vad").get_speech_timestamps(silence)
    features = import_module("faster_whisper.feature_extractor").FeatureExtractor()(silence)
    if speech or len(features) != 80:
        raise RuntimeError("it finds speech in silence, or its features have the wrong shape")
    return {}


def _tokenizers(tokenizers: Any) -> Facts:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if words.encode("a b").ids != [0, 1]:
        raise RuntimeError("it tokenized a text wrongly")
    return {}


def _numpy(numpy: Any) -> Facts:
    ones = numpy.ones((64, 64), numpy.float32)
    if (ones @ ones).sum() != 64**3:
        raise RuntimeError("a matrix product is wrong")
    try:
        umath = import_module("numpy._core._multiarray_umath")
        features = [name for name, there in umath.__cpu_features__.items() if there]
    except (ImportError, AttributeError):  # private in numpy: it may move
        features = []
    return {"cpuFeatures": features}


def _psutil(psutil: Any) -> Facts:
    memory = psutil.virtual_memory()
    return {
        "total": int(memory.total),
        "available": int(memory.available),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
    }


def _torch(torch: Any) -> Facts:
    _multiply(torch, "cpu")
    facts: Facts = {
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "mps": False,
        "devices": [],
        "error": None,
    }
    try:
        if torch.backends.mps.is_available():
            _multiply(torch, "mps")
            facts["mps"] = True
        if not (torch.version.cuda or torch.version.hip):
            return facts
        torch.cuda.init()
        for index in range(torch.cuda.device_count()):
            _multiply(torch, f"cuda:{index}")
            properties = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            facts["devices"].append(
                {
                    "name": properties.name,
                    "total": total,
                    "free": free,
                    "capability": f"{properties.major}.{properties.minor}",
                }
            )
    except (RuntimeError, AssertionError) as error:
        facts["error"] = str(error)
    return facts


def _multiply(torch: Any, device: str) -> None:
    """Compute a matrix product and a convolution, which need cuBLAS and cuDNN or the like."""
    ones = torch.ones(8, 8, device=device)
    convolved = torch.nn.functional.conv1d(ones[None], torch.ones(1, 8, 3, device=device))
    if float((ones @ ones).sum()) != 8**3 or float(convolved.sum()) != 24 * 6:
        raise RuntimeError(f"a product on {device} is wrong")


def _torchaudio(torchaudio: Any) -> Facts:
    for name in _TORCHAUDIO_BACKENDS:
        import_module(name)
    torch = import_module("torch")
    scores = torch.zeros(1, 4, 3).log_softmax(-1)
    aligned, _ = torchaudio.functional.forced_align(scores, torch.tensor([[1, 2]]))
    features = torchaudio.compliance.kaldi.fbank(torch.zeros(1, _RATE), num_mel_bins=80)
    if aligned.shape != (1, 4) or features.shape[1] != 80:
        raise RuntimeError("forced alignment or filter banks have the wrong shape")
    return {}


def _transformers(transformers: Any) -> Facts:
    torch = import_module("torch")
    config = transformers.Wav2Vec2Config(
        vocab_size=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    _ = transformers.Wav2Vec2Processor
    model = transformers.Wav2Vec2ForCTC(config).eval()
    with torch.inference_mode():
        model(torch.zeros(1, 800))
    return {}


def _safetensors(_: Any) -> Facts:
    numpy, tensors = import_module("numpy"), import_module("safetensors.numpy")
    if tensors.load(tensors.save({"a": numpy.ones(2)}))["a"].sum() != 2:
        raise RuntimeError("it does not read a tensor as it wrote it")
    return {}


def _pyannote(_: Any) -> Facts:
    torch = import_module("torch")
    import_module("pyannote.audio.pipelines.speaker_diarization")
    model = import_module("pyannote.audio.models.embedding").WeSpeakerResNet34().eval()
    with torch.inference_mode():
        model(torch.zeros(1, 1, _RATE))
    return {}


def _whisperx(whisperx: Any) -> Facts:
    numpy, torch = import_module("numpy"), import_module("torch")
    audio = import_module("whisperx.audio")
    audio.log_mel_spectrogram(numpy.zeros(_RATE, numpy.float32), 80)
    checkpoint = Path(whisperx.__file__).parent / "assets" / "pytorch_model.bin"
    if hashlib.sha256(checkpoint.read_bytes()).hexdigest() != WHISPERX_VAD_SHA256:
        raise RuntimeError(f"{checkpoint} is not the speech detection model that whisperx ships")
    vad = import_module("whisperx.vads").Pyannote(
        torch.device("cpu"), token=None, vad_onset=0.5, vad_offset=0.363
    )
    vad({"waveform": torch.zeros(1, 2 * _RATE), "sample_rate": _RATE})
    return {}


def _jsonrpcserver(jsonrpcserver: Any) -> Facts:
    reply = jsonrpcserver.dispatch(
        '{"jsonrpc": "2.0", "id": 1, "method": "ping"}', methods={"ping": jsonrpcserver.Success}
    )
    if json.loads(reply).get("id") != 1:
        raise RuntimeError(f"it answered a request with {reply}")
    return {}


def _msgspec(msgspec: Any) -> Facts:
    if msgspec.json.decode(msgspec.json.encode({"a": [1]})) != {"a": [1]}:
        raise RuntimeError("it does not read JSON as it wrote it")
    return {}


def _orjson(orjson: Any) -> Facts:
    if orjson.loads(orjson.dumps({"a": [1]})) != {"a": [1]}:
        raise RuntimeError("it does not read JSON as it wrote it")
    return {}


def _soundfile(soundfile: Any) -> Facts:
    samples, _ = soundfile.read(io.BytesIO(_wav()))
    return {"samples": len(samples), "libsndfile": soundfile.__libsndfile_version__}


_USES: Final[dict[str, Callable[[Any], Facts]]] = {
    "av": _av,
    "ctranslate2": _ctranslate2,
    "faster-whisper": _faster_whisper,
    "jsonrpcserver": _jsonrpcserver,
    "msgspec": _msgspec,
    "numpy": _numpy,
    "onnxruntime": _onnxruntime,
    "orjson": _orjson,
    "psutil": _psutil,
    "pyannote.audio": _pyannote,
    "safetensors": _safetensors,
    "soundfile": _soundfile,
    "tokenizers": _tokenizers,
    "torch": _torch,
    "torchaudio": _torchaudio,
    "transformers": _transformers,
    "whisperx": _whisperx,
}
