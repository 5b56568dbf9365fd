"""Assembles the result of a job once its stages have ended, speakers included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from protocol.transcription import LanguageSeconds, TranscribeResult
from protocol.values import TimeSpan
from worker.pipeline import speakers

if TYPE_CHECKING:
    from protocol.progress import Stage
    from worker.pipeline.diarization import Diarization
    from worker.pipeline.stage import Shared
    from worker.pipeline.tracks import Recognised


_SILENCE: Final = 1.0
"""Seconds in which no track has speech, that are a silence."""


def assemble(shared: Shared, diarization: Diarization | None) -> TranscribeResult:
    """The result, without files. Its `warnings` is the job's list of notices, not a copy."""
    tracks, clock, draft = shared.tracks, shared.clock, shared.draft
    duration = tracks.duration
    assert duration
    diarized = diarization.result if diarization else None
    with clock.stage("assignment"):
        segments = draft.segments()
        whole_text = " ".join(segment.text for segment in segments)
        if diarization and diarized:
            shared.note(speakers.without_words(segments))
            speakers.assign(
                segments,
                diarized.turns,
                diarized.exclusive_turns,
                diarization.options.assignment,
            )
            draft.divide(speakers.parts)
            draft.send_all()
            segments = draft.segments()
    if diarized:
        shared.progress.finish("assignment")
    recognised = [track.recognised for track in tracks]
    main = max(recognised, key=lambda each: len(each.text))  # stands for all tracks
    for each in recognised:
        shared.note(each.warnings)
    result = TranscribeResult(
        text=main.text if len(tracks) == 1 else whole_text,
        language=main.language,
        language_probability=main.language_probability,
        duration=duration,
        duration_after_vad=max(each.duration_after_vad for each in recognised),
        segments=segments,
        model=main.model,
        engine=main.engine,
        device=main.device,
        compute_type=main.compute_type,
        warnings=shared.notices,
        timings=clock.timings(_audio_by_stage(shared, duration)),
        real_time_factor=clock.seconds(
            "decode", "speechDetection", "recognition", "alignment", "diarization", "assignment"
        )
        / duration,
    )
    _add_up(recognised, result)
    silences = [each.silences for each in recognised if each.silences is not UNSET]
    if len(silences) == len(recognised):
        result.silences = reduce(in_both, silences)
    if diarized:
        result.turns = diarized.turns
        result.speaker_embeddings = diarized.embeddings
        result.voices = diarized.voices
    if diarized or any(track.speaker for track in tracks):
        result.speakers = speakers.order_of_appearance(segments)
    return result


def _add_up(tracks: Sequence[Recognised], result: TranscribeResult) -> None:
    """What recognition tells of the speech in all tracks; the language is the most spoken."""
    seconds: dict[str, float] = defaultdict(float)
    for track in tracks:
        if track.languages is UNSET or track.speech_seconds is UNSET or track.lost_seconds is UNSET:
            return
        result.speech_seconds = round((result.speech_seconds or 0.0) + track.speech_seconds, 3)
        result.lost_seconds = round((result.lost_seconds or 0.0) + track.lost_seconds, 3)
        for each in track.languages:
            seconds[each.language] += each.seconds
    result.languages = [
        LanguageSeconds(language=language, seconds=round(total, 3))
        for language, total in sorted(seconds.items(), key=lambda pair: -pair[1])
    ]
    if result.languages:
        result.language = result.languages[0].language


def in_both(ones: Sequence[TimeSpan], others: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Where two tracks are silent at the same time, for a second or longer; all in order."""
    found: list[TimeSpan] = []
    i = k = 0
    while i < len(ones) and k < len(others):
        one, other = ones[i], others[k]
        start, end = max(one.start, other.start), min(one.end, other.end)
        if end - start >= _SILENCE:
            found.append(TimeSpan(start=start, end=end))
        if one.end < other.end:
            i += 1
        else:
            k += 1
    return found


def _audio_by_stage(shared: Shared, duration: float) -> dict[Stage, float]:
    """Seconds of audio that each stage worked on."""
    recognised = duration * len(shared.tracks)
    return {
        "decode": duration,
        "speechDetection": recognised,
        "recognition": recognised,
        "alignment": sum(each.end - each.start for each in shared.draft.segments()),
        "diarization": duration,
        "assignment": duration,
    }
