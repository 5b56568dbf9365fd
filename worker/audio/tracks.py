"""Chooses the audio track of a recording that has several."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocol.errors import RpcError
from protocol.values import AudioTrack, Notice
from worker.audio.languages import same_language

_NOT_MAIN: Final = ("comment", "visual_impaired", "hearing_impaired", "dub", "karaoke")


def choose(container: Any, wanted: int | str | None, path: str) -> tuple[Any, list[Notice]]:
    """The stream to decode, and a warning where there were others to choose from.

    `wanted` is an index, from 0, or a language tag. Without it, the choice is FFmpeg's: the default
    track, then the one with the most channels, then the first. Raises `RpcError` of the kinds
    audio_no_stream, audio_no_track and audio_invalid.
    """
    streams = list(container.streams.audio)
    if not streams:
        raise RpcError("audio_no_stream", f"{path} has no audio stream.", path=path)
    tracks = [_describe(index, stream) for index, stream in enumerate(streams)]
    if wanted is None:
        index = max(range(len(streams)), key=lambda i: (*_merit(streams[i]), -i))
    else:
        index = _find(tracks, wanted, path)
    if streams[index].codec_context is None:
        raise RpcError(
            "audio_invalid",
            f"{path} cannot be decoded: FFmpeg does not know its codec.",
            path=path,
        )
    return streams[index], _several(tracks, index) if wanted is None else []


def _merit(stream: Any) -> tuple[bool, bool, bool, int]:
    from av.stream import Disposition

    if stream.codec_context is None:
        return False, False, False, 0
    is_main = not any(Disposition[name] in stream.disposition for name in _NOT_MAIN)
    is_default = Disposition.default in stream.disposition
    return True, is_default, is_main, stream.codec_context.channels


def _describe(index: int, stream: Any) -> AudioTrack:
    language = stream.metadata.get("language", "und")
    return AudioTrack(
        index=index,
        language=None if language == "und" else language,
        title=stream.metadata.get("title"),
        channels=stream.codec_context.channels if stream.codec_context else 0,
    )


def _find(tracks: list[AudioTrack], wanted: int | str, path: str) -> int:
    if isinstance(wanted, int):
        found = [each.index for each in tracks if each.index == wanted]
    else:
        tag = wanted.strip().lower()
        found = [each.index for each in tracks if (each.language or "").lower() == tag and tag]
        found += [t.index for t in tracks if t.language and same_language(wanted, t.language)]
    if found:
        return found[0]
    asked = f"track {wanted}" if isinstance(wanted, int) else f'track of the language "{wanted}"'
    raise RpcError(
        "audio_no_track",
        f"{path} has no audio {asked}. It has {_listed(tracks)}.",
        path=path,
        tracks=msgspec.to_builtins(tracks),
    )


def _several(tracks: list[AudioTrack], index: int) -> list[Notice]:
    if len(tracks) == 1:
        return []
    message = f"The recording has {_listed(tracks)}. This is track {index}; track chooses another."
    return [Notice(kind="several_tracks", option="track", message=message, tracks=tracks)]


def _listed(tracks: list[AudioTrack]) -> str:
    each = ", ".join(
        f"{track.index} ({', '.join(filter(None, [track.language, track.title]))}"
        f"{', ' if track.language or track.title else ''}{_channels(track.channels)})"
        for track in tracks
    )
    return f"{len(tracks)} audio track{'s' if len(tracks) > 1 else ''}: {each}"


def _channels(count: int) -> str:
    return f"{count} channel{'' if count == 1 else 's'}"
