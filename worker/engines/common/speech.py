"""Where somebody speaks: Silero VAD over a recording of any length.

The model's state is carried from block to block, so that memory is bounded and the outcome is that
of the whole recording at once. The spans are faster-whisper's `get_speech_timestamps`, step by
step, with its options and defaults; that function holds all samples several times over and keeps
the probabilities to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from protocol.progress import ProgressReport
from worker.audio import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from protocol.transcription import VadParameters
    from worker.audio import Samples
    from worker.engines.common.recording import Recording
    from worker.session.job import Job

    Probabilities = npt.NDArray[np.float32]

WINDOW: Final = 512
"""Samples per probability."""

_CONTEXT: Final = 64  # samples of the window before, which the model sees again
_STATE: Final = (1, 1, 128)
_BLOCK: Final = 2000 * WINDOW  # samples
_SHORT_SILENCE: Final = SAMPLE_RATE * 98 // 1000
"""Samples of silence at which speech longer than the maximum may be cut."""


class Span(NamedTuple):
    """Speech between two samples; `probability` is the mean over its windows, before padding."""

    start: int
    end: int
    probability: float


def detect_speech(
    job: Job, recording: Recording, parameters: VadParameters, share: float = 1.0
) -> list[Span]:
    """Spans of speech in `recording`, in their order.

    Reports progress to `job`, of whose work this is the first `share`.
    """

    def report(seconds: float) -> None:
        job.yield_to_others()
        total = recording.expected_duration
        job.report(
            ProgressReport(
                stage="speechDetection",
                percentage=round(share * min(100.0, 100 * seconds / total), 2) if total else None,
                audio_done=round(seconds, 3),
                audio_total=total,
            )
        )

    return speech_spans(speech_probabilities(recording, report), len(recording), parameters)


def speech_probabilities(
    recording: Recording, on_progress: Callable[[float], None]
) -> Probabilities:
    """The probability of speech in each window of `recording`; the last is filled with silence.

    `on_progress` is told how many seconds are done, and may raise.
    """
    import numpy as np

    detector = Detector()
    found = []
    first = 0
    while True:
        stop = recording.wait(first + _BLOCK)
        samples = recording.read(first, stop)
        last = len(samples) < _BLOCK
        if last:
            samples = np.pad(samples, (0, WINDOW - len(samples) % WINDOW))
        found.append(detector.hear(samples))
        on_progress(stop / SAMPLE_RATE)
        if last:
            return np.concatenate(found)
        first = stop


class Detector:
    """The model, with the state that it carries from one block of samples to the next."""

    def __init__(self) -> None:
        import numpy as np

        self._session = _silero()
        self._state = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def hear(self, samples: Samples) -> Probabilities:
        """The probability of speech in each of the windows that follow those heard before."""
        import numpy as np

        windows = samples.reshape(-1, WINDOW)
        contexts = np.concatenate([self._context[None], windows[:-1, -_CONTEXT:]])
        self._context = windows[-1, -_CONTEXT:].copy()
        h, c = self._state
        inputs = {"input": np.concatenate([contexts, windows], 1), "h": h, "c": c}
        probabilities, h, c = self._session.run(None, inputs)
        self._state = h, c
        found: Probabilities = probabilities.reshape(-1)
        return found


@cache
def _silero() -> Any:
    """The model that faster-whisper brings along, without CTranslate2, which the package loads."""
    import onnxruntime

    spec = find_spec("faster_whisper")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name="faster_whisper")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        Path(spec.origin).parent / "assets" / "silero_vad_v6.onnx",
        options,
        providers=["CPUExecutionProvider"],
    )


def speech_spans(
    probabilities: Probabilities, samples: int, parameters: VadParameters
) -> list[Span]:
    """Spans of speech in a recording of `samples` samples, in their order, padded."""
    bare = _bare_spans(probabilities.tolist(), samples, parameters)
    starts, ends = [start for start, _ in bare], [end for _, end in bare]
    pad = _samples(parameters.speech_pad, 0.4)
    if bare:
        starts[0] = max(0, starts[0] - pad)
        ends[-1] = min(samples, ends[-1] + pad)
    for i in range(1, len(bare)):
        silence = starts[i] - ends[i - 1]
        each = silence // 2 if silence < 2 * pad else pad
        ends[i - 1] += each
        starts[i] -= each
    return [
        Span(start, end, float(probabilities[a // WINDOW : -(-b // WINDOW)].mean()))
        for start, end, (a, b) in zip(starts, ends, bare, strict=True)
    ]


def total_seconds(speech: Sequence[Span]) -> float:
    """Seconds that the spans last together."""
    return round(sum(span.end - span.start for span in speech) / SAMPLE_RATE, 3)


def time_of(sample: int, start: float) -> float:
    """When `sample` is, in seconds of a recording whose part begins at `start`."""
    return round(start + sample / SAMPLE_RATE, 3)


def _bare_spans(
    probabilities: Sequence[float], samples: int, parameters: VadParameters
) -> list[tuple[int, int]]:
    """First and last sample of each span: it begins above one threshold and ends below another."""
    threshold = 0.5 if parameters.threshold is None else parameters.threshold
    release = parameters.neg_threshold
    release = max(threshold - 0.15, 0.01) if release is None else release
    shortest = _samples(parameters.min_speech_duration, 0.0)
    silent = _samples(parameters.min_silence_duration, 2.0)
    longest = float("inf")
    if parameters.max_speech_duration is not None:
        pad = _samples(parameters.speech_pad, 0.4)
        longest = SAMPLE_RATE * parameters.max_speech_duration - WINDOW - 2 * pad

    spans: list[tuple[int, int]] = []
    start: int | None = None
    silence = 0  # where the silence began that may end the span
    cut = resume = 0  # the last short silence, at which a span that becomes too long is cut
    for number, probability in enumerate(probabilities):
        here = number * WINDOW
        if probability >= threshold:
            if silence:
                silence = 0
                if resume < cut:
                    resume = here
            if start is None:
                start = here
                continue
        if start is None:
            continue
        if here - start > longest:
            if not cut:
                spans.append((start, here))
                start, silence, resume = None, 0, 0
                continue
            spans.append((start, cut))
            start = None if resume < cut else resume
            silence = cut = resume = 0
        if start is not None and probability < release:
            silence = silence or here
            if here - silence > _SHORT_SILENCE:
                cut = silence
            if here - silence < silent:
                continue
            if silence - start > shortest:
                spans.append((start, silence))
            start, silence, cut, resume = None, 0, 0, 0
    if start is not None and samples - start > shortest:
        spans.append((start, samples))
    return spans


def _samples(seconds: float | None, default: float) -> int:
    """A duration in samples, by way of the milliseconds that faster-whisper takes."""
    return round((default if seconds is None else seconds) * 1000) * SAMPLE_RATE // 1000
