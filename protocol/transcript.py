"""A transcript as `export` takes it, and the params and result of `export`. Times are seconds.

What `transcribe` returns is a transcript, and so is whisperX's JSON: members that are not named
here (`id`, `avgLogprob`, `word_segments` …) are passed over.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from protocol.control import Params, Result
from protocol.values import Count, JobParams, NonEmptyStr, Notice

Format = Literal[
    "srt", "vtt", "ass", "txt", "tsv", "json", "csv", "lrc", "rttm", "textgrid", "html"
]

FileName = Annotated[str, Meta(min_length=1, pattern=r"^[^/\\\x00]+$")]
"""A name without a path."""

Time = Annotated[float, Meta(le=359_999)]
"""Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused."""


class Word(msgspec.Struct, kw_only=True):
    """A word; without times where alignment found none. `score` is whisperX's `probability`."""

    word: str
    start: Time | None = None
    end: Time | None = None
    probability: float | None = None
    score: float | None = None
    speaker: str | None = None


class Segment(msgspec.Struct, kw_only=True):
    """A stretch of text, in the order of the recording."""

    text: str
    start: Time | None = None
    end: Time | None = None
    words: list[Word] | None = None
    speaker: str | None = None


class Turn(msgspec.Struct, kw_only=True):
    """When a speaker spoke; turns of different speakers may overlap."""

    start: Time
    end: Time
    speaker: str


class Transcript(msgspec.Struct, kw_only=True):
    """What was said, and by whom when `speaker` or `turns` are there."""

    segments: list[Segment]
    language: str | None = None
    turns: list[Turn] | None = None


class ExportOptions(Params, kw_only=True):
    """How captions look. One that none of the formats uses is listed in `warnings`."""

    max_line_length: Annotated[int, Meta(ge=2)] | None = None
    """Columns of a line; an ideograph or an emoji takes two. Lines are not broken without it."""
    max_lines: Count | None = None
    """Lines of a cue; what is longer becomes several cues. Needs `maxLineLength`."""
    max_duration: Annotated[float, Meta(ge=0.1)] | None = None
    """Seconds that a cue is shown at most."""
    speaker_labels: bool = True
    """Name the speakers where there are any."""
    highlight_words: bool = False
    """Mark each word while it is said: underlined in srt and vtt, karaoke in ass and lrc."""
    audio: NonEmptyStr | None = None
    """Path of the recording from the html page's folder, with `/`: the page plays it from there.
    Without it the page asks its reader for the recording."""
    embed_audio: NonEmptyStr | None = None
    """Path of a recording of at most 32 MiB to put into the html page itself."""


class ExportParams(JobParams, kw_only=True):
    """Params of `export`. Without `outputDir` the texts are in the result, and no file is made."""

    transcript: Transcript
    """What `transcribe` returned, or whisperX's JSON."""
    formats: Annotated[list[Format], Meta(min_length=1)]
    """Each gives a file or a text."""
    output_dir: NonEmptyStr | None = None
    """Path of a directory, which is made when it is not there. Files are `name.format`."""
    name: FileName = "transcript"
    """Of the files, without suffix, and of the recording in rttm."""
    overwrite: bool = True
    """Replace files that are there; they are an error otherwise."""
    options: ExportOptions = field(default_factory=ExportOptions)
    """How captions look."""


class ExportedFile(Result, kw_only=True):
    """A file that was written; the path is absolute."""

    format: Format
    path: str


class ExportResult(Result, kw_only=True):
    """Result of `export`: `files` with `outputDir`, else `contents` by format."""

    files: list[ExportedFile] | UnsetType = UNSET
    contents: dict[str, str] | UnsetType = UNSET
    warnings: list[Notice] = field(default_factory=list)
