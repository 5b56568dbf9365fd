"""The whisperx engine: runs the package's own batched pipeline, for results equal to its own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import RpcError
from protocol.transcription import Segment
from protocol.values import Notice, option_ignored
from worker import audio
from worker.engines.common import torch_device
from worker.engines.common.recording import Piece, Recording
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.base import Recognition, Recognizer, Transcription
from worker.models.trusted_pickles import WHISPERX_VAD_SHA256

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.engines.contract import LoadParams

_VAD_DEFAULTS: Final = {"vad_onset": 0.500, "vad_offset": 0.363}
_RATE: Final = audio.SAMPLE_RATE

# The options that whisperx's pipeline reads; they have the same names in `TranscribeParams`.
_OPTIONS: Final = (
    "beam_size",
    "patience",
    "length_penalty",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "suppress_blank",
    "suppress_tokens",
    "initial_prompt",
    "prefix",
    "hotwords",
)
_ONCE: Final = "whisperx decodes once"
_INDEPENDENT: Final = "its windows are independent"
_DETECTS_ONCE: Final = "whisperx listens to the first 30 s"
_ALIGNS: Final = "whisperx takes word times from alignment: set align"
# Options that whisperx accepts but does not read, or does not have.
_IGNORED: Final = {
    "bestOf": _ONCE,
    "temperature": _ONCE,
    "compressionRatioThreshold": _ONCE,
    "logProbThreshold": _ONCE,
    "noSpeechThreshold": "whisperx skips silence by VAD only",
    "conditionOnPreviousText": _INDEPENDENT,
    "promptResetOnTemperature": _INDEPENDENT,
    "maxInitialTimestamp": "whisperx decodes without timestamps",
    "wordTimestamps": _ALIGNS,
    "prependPunctuations": _ALIGNS,
    "appendPunctuations": _ALIGNS,
    "hallucinationSilenceThreshold": _ALIGNS,
    "multilingual": "whisperx takes one language for all",
    "clipTimestamps": "whisperx decodes what its VAD finds",
    "maxNewTokens": "whisperx does not read it",
    "withoutTimestamps": "whisperx never decodes timestamps",
    "languageDetectionThreshold": _DETECTS_ONCE,
    "languageDetectionSegments": _DETECTS_ONCE,
}
_VAD_IGNORED: Final = {
    "minSpeechDuration": "min_speech_duration",
    "maxSpeechDuration": "max_speech_duration",
    "minSilenceDuration": "min_silence_duration",
    "speechPad": "speech_pad",
}


class WhisperxEngine(Recognizer):
    """The methods of the engine's process."""

    default_batch_size = 8
    """As on whisperx's command line."""

    def __init__(self) -> None:
        super().__init__()
        self._vad: Any = None

    def _load(self, params: LoadParams) -> tuple[Any, list[Notice]]:
        from whisperx.asr import WhisperModel

        def make(path: str, *, device: str, compute_type: str, **options: Any) -> Any:
            if compute_type == "default":  # whisperx's default, whatever the model is stored as
                compute_type = "float16" if device == "cuda" else "float32"
            return WhisperModel(path, device=device, compute_type=compute_type, **options)

        torch_device.use_threads(params.threads)
        model, notices = whisper_model.load(params, make)
        on_device = model.model.device == "cuda"
        self._vad = _load_vad(f"cuda:{params.device_index}" if on_device else "cpu")
        return model, notices

    def _pieces(self, recording: Recording) -> Iterable[Piece]:
        # The package runs its VAD over the whole recording before it decodes any of it.
        return [Piece(0, recording.whole(), last=True)]

    def _recognise(
        self, work: Transcription, request: TranscribeParams, piece: Piece
    ) -> Recognition:
        # As whisperx.asr.FasterWhisperPipeline.transcribe, but segments come batch by batch.
        from faster_whisper.tokenizer import Tokenizer
        from whisperx.asr import load_model

        samples = piece.samples
        language = work.transcript.language_to_decode
        work.report(piece, 0.0)
        pipeline: Any = load_model(
            request.model,
            work.model.model.device,
            model=work.model,
            vad_model=self._vad,
            asr_options=_asr_options(request),
            vad_options=_vad_options(request),
            task=request.task,
        )
        with work.clock.stage("speechDetection"):
            chunks = _speech(pipeline, samples, request.chunk_length or 30)
        work.report(piece, 0.0)
        probability = 1.0
        if language is None:
            language, probability = _detect_language(work.model, samples)
        pipeline.tokenizer = Tokenizer(
            work.model.hf_tokenizer,
            work.model.model.is_multilingual,
            task=request.task,
            language=language,
        )

        def segments() -> Iterator[Segment]:
            clips = (
                {"inputs": samples[int(start * _RATE) : int(end * _RATE)]} for start, end in chunks
            )
            size = request.batch_size or self.default_batch_size
            texts = pipeline(clips, batch_size=size, num_workers=0) if chunks else ()
            for (start, end), out in zip(chunks, texts, strict=True):
                yield _segment(start, end, out)
                work.report(piece, min(1.0, end / piece.duration))

        return Recognition(
            language=language,
            language_probability=probability,
            duration_after_vad=sum(end - start for start, end in chunks),
            segments=segments(),
        )

    def _ignored_options(
        self, request: TranscribeParams, given: Collection[str], language: str | None
    ) -> Iterator[Notice]:
        for name in sorted(given):
            if name in _IGNORED:
                yield option_ignored(name, _IGNORED[name])
        if request.vad_filter is False:
            yield option_ignored("vadFilter", "whisperx always skips silence")
        if request.prefix is not None and request.hotwords is not None:
            yield option_ignored("hotwords", "prefix takes its place")
        if isinstance(request.initial_prompt, list):
            yield option_ignored("initialPrompt", "whisperx takes text, not tokens")
        for name, attribute in _VAD_IGNORED.items():
            if getattr(request.vad_parameters, attribute, None) is not None:
                yield option_ignored(f"vadParameters.{name}", "whisperx's VAD has no such option")


def _load_vad(device: str) -> Any:
    """Load whisperx's VAD from the checkpoint in its package, once its hash is verified."""
    import torch
    import whisperx
    from whisperx.vads import Pyannote

    path = Path(whisperx.__file__).parent / "assets" / "pytorch_model.bin"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        found = ""
    if found != WHISPERX_VAD_SHA256:
        raise RpcError(
            "model_invalid",
            "The VAD model in the whisperx package is missing or has been changed.",
            remedy="Reinstall whisperx.",
            path=str(path),
        )
    return Pyannote(torch.device(device), token=None, **_VAD_DEFAULTS)


def _asr_options(request: TranscribeParams) -> dict[str, Any]:
    """The options for whisperx; those that the client does not give keep whisperx's defaults."""
    defaults = type(request)(audio=request.audio)
    options = {}
    for name in _OPTIONS:
        value = getattr(request, name)
        if value != getattr(defaults, name):
            options[name] = value
    if isinstance(options.get("initial_prompt"), list):
        del options["initial_prompt"]
    if options.get("suppress_tokens", ...) is None:
        options["suppress_tokens"] = []
    return options


def _vad_options(request: TranscribeParams) -> dict[str, float]:
    given = request.vad_parameters
    options = dict(_VAD_DEFAULTS)
    if given and given.threshold is not None:
        options["vad_onset"] = given.threshold
    if given and given.neg_threshold is not None:
        options["vad_offset"] = given.neg_threshold
    return options


def _speech(pipeline: Any, samples: audio.Samples, longest: int) -> list[tuple[float, float]]:
    """Chunks of speech, (start, end) in seconds, each at most `longest` seconds long."""
    vad = pipeline.vad_model
    scores = vad({"waveform": vad.preprocess_audio(samples), "sample_rate": _RATE})
    options = pipeline._vad_params
    merged = vad.merge_chunks(
        scores, longest, onset=options["vad_onset"], offset=options["vad_offset"]
    )
    return [(chunk["start"], chunk["end"]) for chunk in merged]


def _detect_language(model: Any, samples: audio.Samples) -> tuple[str, float]:
    """Detect the language in the first 30 s, as whisperx does; with its probability."""
    from whisperx.asr import N_SAMPLES, log_mel_spectrogram

    features = log_mel_spectrogram(
        samples[:N_SAMPLES],
        n_mels=model.feat_kwargs.get("feature_size") or 80,
        padding=max(0, N_SAMPLES - len(samples)),
    )
    token, probability = model.model.detect_language(model.encode(features))[0][0]
    return token[2:-2], float(probability)


def _segment(start: float, end: float, out: dict[str, Any]) -> Segment:
    """Convert a result of whisperx, which wraps those of a batch of one in lists."""
    text, logprob = out["text"], out["avg_logprob"]
    if isinstance(text, list):
        text, logprob = text[0], logprob[0]
    return Segment(
        id=0,
        start=round(start, 3),
        end=round(end, 3),
        text=text,
        avg_logprob=float(logprob),
        compression_ratio=None,
        no_speech_prob=None,
        temperature=None,
    )
