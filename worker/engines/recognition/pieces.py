"""The request as it applies to one piece of a recording: its start, clips and prompt."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from protocol.errors import RpcError
from protocol.transcription import TranscribeParams
from worker.engines.common.recording import Piece, Recording


def request_for(
    piece: Piece, request: TranscribeParams, recording: Recording
) -> TranscribeParams | None:
    """The request narrowed to a piece; None if it gives clips and none overlaps the piece."""
    own = replace(request, start=request.start + piece.offset)
    if request.clip_timestamps and not piece.is_whole:
        end = own.start + piece.duration
        own.clip_timestamps = [
            time
            for begin, finish in clips(request, recording.duration)
            for time in (max(own.start, begin), min(end, finish))
            if begin < end and finish > own.start
        ]
        if not own.clip_timestamps:
            return None
    return own


def continue_prompt(request: TranscribeParams, before: Iterable[tuple[str, float | None]]) -> None:
    """Set the prompt of a later piece as if the decoder had not stopped at the cut.

    `before` holds text and temperature of the segments so far. As in faster-whisper's sequential
    mode, that text is the prompt, except what precedes the last window of high temperature; its
    own prompts also hold timestamps. The windows of a batch are independent anyway.
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
    """`clipTimestamps` as (start, end), in seconds of the file of which `duration` is decoded."""
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
