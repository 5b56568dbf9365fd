"""Which language is spoken: Whisper asked about several windows of speech.

faster-whisper listens to the first 30 s alone, be they music or a greeting in another language.
Here windows are spread over all speech of the recording, and each counts by its seconds of speech.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.detection import DetectLanguageResult, LanguageProbability, LanguageWindow
from protocol.errors import RpcError
from protocol.progress import ProgressReport
from protocol.transcription import VadParameters
from worker.audio import SAMPLE_RATE
from worker.engines.common.recording import Recording, open_recording
from worker.engines.common.speech import Span, detect_speech, time_of, total_seconds
from worker.stage_clock import StageClock

if TYPE_CHECKING:
    from protocol.values import Notice
    from worker.engines.contract import EngineDetectLanguageParams
    from worker.session.job import Job

_SPEECH: Final = VadParameters(min_speech_duration=0.25, min_silence_duration=0.5, speech_pad=0.1)
_LIKELIEST: Final = 5
_LONGEST: Final = 30 * SAMPLE_RATE  # what Whisper's encoder takes


def detect_language(
    job: Job, params: EngineDetectLanguageParams, model: Any, warnings: list[Notice]
) -> DetectLanguageResult:
    """Answer `detectLanguage` with a `faster_whisper.WhisperModel`.

    Raises `RpcError` of kind language_unsupported for a model that knows English only.
    """
    if not model.model.is_multilingual:
        raise RpcError(
            "language_unsupported",
            "The model knows English only: it cannot tell languages apart.",
            remedy="Name a multilingual model, such as base.",
            known=["en"],
        )
    clock = StageClock(params.queue_seconds, params.load_seconds)
    with ExitStack() as stack:
        with clock.stage("decode"):
            recording = open_recording(stack, params.source, job.raise_if_cancelled)
        with clock.stage("speechDetection"):
            speech = detect_speech(job, recording, _SPEECH, share=0.5)
        windows = choose_windows(speech, params.windows)
        with clock.stage("recognition"):
            heard = list(listen(job, model, recording, windows))
        duration = recording.duration
        warnings = warnings + recording.notices
    languages = [LanguageProbability(language=name, probability=p) for name, p in combine(heard)]
    start = params.source.start
    return DetectLanguageResult(
        language=languages[0].language if languages else None,
        probability=languages[0].probability if languages else 0.0,
        languages=languages[:_LIKELIEST],
        windows=[
            LanguageWindow(
                start=time_of(window.start, start),
                end=time_of(window.end, start),
                language=name,
                probability=p,
            )
            for window, [(name, p), *_] in heard
        ],
        speech_duration=total_seconds(speech),
        duration=duration,
        model=params.model,
        device=model.model.device,
        compute_type=model.model.compute_type,
        warnings=warnings,
        timings=clock.timings({"decode": duration, "speechDetection": duration}),
    )


class Window(NamedTuple):
    """Samples to listen to, and how many of them are speech."""

    start: int
    end: int
    speech: int


class Heard(NamedTuple):
    """What was heard in a window: probabilities by language, the highest first."""

    window: Window
    languages: list[tuple[str, float]]


def choose_windows(speech: Sequence[Span], count: int) -> list[Window]:
    """At most `count` windows of at most 30 s, each beginning with speech, spread over it.

    A window with less than half the speech of the fullest is passed over where others suffice.
    """
    windows: list[Window] = []
    for span in speech:
        start = span.start
        while start < span.end:
            last = windows[-1] if windows else None
            if last and start < last.start + _LONGEST:
                end = min(span.end, last.start + _LONGEST)
                windows[-1] = Window(last.start, end, last.speech + end - start)
            else:
                end = min(span.end, start + _LONGEST)
                windows.append(Window(start, end, end - start))
            start = end
    fullest = max((window.speech for window in windows), default=0)
    full = [window for window in windows if 2 * window.speech >= fullest]
    if len(full) >= count:
        return [full[(2 * i + 1) * len(full) // (2 * count)] for i in range(count)]
    others = sorted(set(windows) - set(full), key=lambda window: -window.speech)
    return sorted(full + others[: count - len(full)])


def listen(
    job: Job, model: Any, recording: Recording, windows: Sequence[Window]
) -> Iterator[Heard]:
    """What the model hears in each window."""
    from faster_whisper.audio import pad_or_trim

    for number, window in enumerate(windows):
        job.yield_to_others()
        percentage = round(50 + 50 * number / len(windows), 2)
        job.report(ProgressReport(stage="recognition", percentage=percentage))
        features = model.feature_extractor(recording.read(window.start, window.end))
        encoded = model.encode(pad_or_trim(features))
        yield Heard(
            window, [(token[2:-2], p) for token, p in model.model.detect_language(encoded)[0]]
        )


def combine(heard: Sequence[Heard]) -> list[tuple[str, float]]:
    """The mean over the windows, each weighed by its speech: the likeliest language first."""
    total = sum(each.window.speech for each in heard)
    mean: dict[str, float] = defaultdict(float)
    for each in heard:
        for language, probability in each.languages:
            mean[language] += probability * each.window.speech / total
    return sorted(mean.items(), key=lambda pair: -pair[1])
