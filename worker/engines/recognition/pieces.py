"""What of a request applies to one stretch of a recording that is recognised in several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from protocol.errors import RpcError
from protocol.transcription import TranscribeParams
from worker.audio import SAMPLE_RATE
from worker.engines.common.recording import Recording, Stretch

if TYPE_CHECKING:
    from worker.audio import Samples


class Piece(NamedTuple):
    """A stretch, and the request as it applies to it."""

    request: TranscribeParams
    samples: Samples
    offset: float
    """Where it begins, in seconds from the first sample of the recording."""


def piece_of(request: TranscribeParams, recording: Recording, stretch: Stretch) -> Piece | None:
    """What is to be recognised of a stretch; None where no clip lies in it."""
    offset = stretch.first / SAMPLE_RATE
    own = replace(request, start=request.start + offset)
    if request.clip_timestamps and not (stretch.last and not stretch.first):
        end = own.start + len(stretch.samples) / SAMPLE_RATE
        own.clip_timestamps = [
            time
            for begin, finish in clips(request, recording.duration)
            for time in (max(own.start, begin), min(end, finish))
            if begin < end and finish > own.start
        ]
        if not own.clip_timestamps:
            return None
    return Piece(own, stretch.samples, offset)


def go_on(request: TranscribeParams, before: Iterable[tuple[str, float | None]]) -> None:
    """Have a later stretch begin as if the decoder had not stopped at the cut.

    `before` are text and temperature of the segments so far. Windows that follow each other have
    that text for a prompt, back to where a window of high temperature ended it; faster-whisper's
    own prompts hold timestamps besides. The windows of a batch are independent anyway.
    """
    if request.batch_size is not None:
        return
    request.prefix = None
    if not request.condition_on_previous_text:
        request.initial_prompt = None
        return
    texts: list[str] = []
    for text, temperature in before:
        texts.append(text)
        if (temperature or 0.0) > request.prompt_reset_on_temperature:
            texts.clear()
    request.initial_prompt = "".join(texts) or None


def clips(request: TranscribeParams, duration: float) -> list[tuple[float, float]]:
    """`clipTimestamps` as pairs, in seconds of the recording of which `duration` is decoded."""
    times = list(request.clip_timestamps or [])
    if len(times) % 2:
        times.append(request.start + duration)
    pairs = list(zip(times[::2], times[1::2], strict=True))
    for begin, finish in pairs:
        # Half a frame of tolerance for times rounded up.
        if begin < request.start or begin >= finish or finish > request.start + duration + 0.01:
            raise RpcError(
                "clip_out_of_range",
                f"The clip from {begin} to {finish} s does not lie within the audio, which ends at "
                f"{request.start + duration:.3f} s.",
                duration=duration,
            )
    return pairs
