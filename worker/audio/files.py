"""Opens a recording for FFmpeg.

FFmpeg gets the bytes of one open file, never a path, so that no file can make it open another:
playlists, concatenations and session descriptions name other files and URLs.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Final

from protocol.errors import RpcError
from worker.audio.mending import MendedFile
from worker.system import limits, paths

_WITHOUT_HEADER: Final = ("mpegts", "mpeg")
"""Formats that tell of a track only where it begins. FFmpeg looks at the first seconds, and takes
audio that begins later for undecodable."""
_PATIENT: Final = {"probesize": "250000000", "analyzeduration": "600000000"}
"""Bytes, and microseconds, at which FFmpeg then looks at most. It keeps them in memory."""
_MENDED_AT_ONCE: Final = 1 << 18
"""Bytes; each read costs some time."""
_PLAYLISTS: Final = (b"#EXTM3U", b"ffconcat version", b"[playlist]")


def check_file(path: str) -> None:
    """Raise the errors that need no decoding: no such file, not readable, empty, too large."""
    os.close(_open(path))


def opened(path: str) -> io.FileIO:
    """Open the file for FFmpeg, with a name that has only its suffix, a hint at the format.

    Raises as `check_file`.
    """
    file = io.FileIO(_open(path))
    suffix = Path(path).suffix
    file.name = f"recording{suffix if suffix[1:].isalnum() and suffix.isascii() else ''}"
    return file


def demuxed(file: io.FileIO | MendedFile) -> Any:
    """Let FFmpeg demux the file's bytes: a container of PyAV, to close.

    No protocol is allowed that could open other files. Raises `av.error.FFmpegError`.
    """
    import av

    lenient: dict[str, Any] = {}
    if int(av.__version__.split(".")[0]) < 19:  # newer ones accept tags that are not UTF-8
        lenient["metadata_errors"] = "ignore"
    if isinstance(file, MendedFile):
        lenient["buffer_size"] = _MENDED_AT_ONCE
    options = {"protocol_whitelist": "none"}
    container: Any = av.open(file, mode="r", options=options, **lenient)
    if container.format.name in _WITHOUT_HEADER and _lacks_audio(container):
        container.close()
        file.seek(0)
        container = av.open(file, mode="r", options=options | _PATIENT, **lenient)
    return container


def _lacks_audio(container: Any) -> bool:
    """Whether FFmpeg has not come to the audio yet."""
    streams = container.streams.audio
    known = [each.codec_context.sample_rate for each in streams if each.codec_context]
    return not all(known) if streams else container.format.name == "mpeg"


def refuse_playlist(file: io.FileIO, path: str) -> None:
    """Raise audio_invalid for a file that only names recordings."""
    head = file.read(32).removeprefix(b"\xef\xbb\xbf")
    file.seek(0)
    if head.startswith(_PLAYLISTS):
        raise RpcError(
            "audio_invalid",
            f"{path} is a playlist: it names recordings but contains none.",
            remedy="Give the recordings that it names.",
            path=path,
        )


def _open(path: str) -> int:
    """Open the file and return a descriptor; raises as `check_file`."""
    try:
        fd = paths.open_regular(paths.from_wire(path))
    except (FileNotFoundError, NotADirectoryError):
        raise RpcError("audio_not_found", f"There is no file {path}.", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        why = getattr(error, "strerror", None) or str(error)
        raise RpcError(
            "audio_not_readable", f"{path} cannot be opened: {why}.", path=path
        ) from None
    try:
        size, limit = os.fstat(fd).st_size, limits.max_audio_size()
        if size == 0:
            raise RpcError("audio_empty", f"{path} is empty.", path=path)
        if size > limit:
            raise RpcError(
                "audio_too_large",
                f"{path} has {size} bytes, more than the limit of {limit}.",
                path=path,
                size=size,
                limit=limit,
            )
    except RpcError:
        os.close(fd)
        raise
    return fd
