"""A transcript as `export` accepts it, and the params and result of `export`. Times are seconds.

The result of `transcribe` is a transcript, and so is whisperX's JSON: members not named here
(`id`, `avgLogprob`, `word_segments` …) are ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from protocol.control import Params, Result
from protocol.values import Count, JobParams, NonEmptyStr, Notice, Seconds, TimeSpan

Format = Literal[
    "srt", "vtt", "ass", "txt", "tsv", "json", "csv", "lrc", "rttm", "textgrid", "html"
]

FileName = Annotated[str, Meta(min_length=1, pattern=r"^[^/\\\x00]+$")]
"""A file name without a folder."""

Time = Annotated[float, Meta(le=359_999)]
"""Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected."""


class TranscriptWord(msgspec.Struct, kw_only=True):
    """A word; without times if alignment found none. `score` is whisperX's `probability`."""

    word: str
    start: Time | None = None
    end: Time | None = None
    probability: float | None = None
    score: float | None = None
    speaker: str | None = None


class TranscriptSegment(msgspec.Struct, kw_only=True):
    """A segment of the text, in the order of the recording."""

    text: str
    start: Time | None = None
    end: Time | None = None
    words: list[TranscriptWord] | None = None
    speaker: str | None = None
    language: str | None = None
    """Code such as `en`, where segments differ in it."""


class TranscriptTurn(msgspec.Struct, kw_only=True):
    """One stretch of speech by one speaker; turns of different speakers may overlap."""

    start: Time
    end: Time
    speaker: str


class Transcript(msgspec.Struct, kw_only=True):
    """What was said, and by whom if it has `speaker` or `turns`."""

    segments: list[TranscriptSegment]
    language: str | None = None
    turns: list[TranscriptTurn] | None = None
    silences: list[TimeSpan] | None = None
    """Where nobody speaks: captions of segments without words do not stand there."""


class ExportOptions(Params, kw_only=True):
    """How captions look. `warnings` lists the options that none of the formats uses."""

    max_line_length: Annotated[int, Meta(ge=2)] | None = None
    """Columns per line; an ideograph or emoji takes two. Without it, lines are not broken."""
    max_lines: Count | None = None
    """Lines per cue; longer text becomes several cues. Needs `maxLineLength`."""
    max_duration: Annotated[float, Meta(ge=0.1)] | None = None
    """Longest time in seconds that a cue is shown."""
    max_pause: Seconds = 2.0
    """Longest pause in seconds that a cue, or a turn in rttm, may last through; 0 allows any."""
    speaker_labels: bool = True
    """Write the names of the speakers, if any."""
    highlight_words: bool = False
    """Mark each word while it is spoken: underlined in srt and vtt, karaoke in ass and lrc."""
    audio: NonEmptyStr | None = None
    """Path of the recording, with `/`, relative to the html page's folder: the page plays that
    file. Without it, the page asks its reader for the recording."""
    embed_audio: NonEmptyStr | None = None
    """Path of a recording of at most 32 MiB to embed in the html page."""


class ExportParams(JobParams, kw_only=True):
    """Params of `export`. Without `outputDir`, no file is written and the result has the texts."""

    transcript: Transcript
    """The result of `transcribe`, or whisperX's JSON."""
    formats: Annotated[list[Format], Meta(min_length=1)]
    """One file or text per format."""
    output_dir: NonEmptyStr | None = None
    """Path of the folder for the files, `name.format`; created if it does not exist."""
    name: FileName = "transcript"
    """Name of the files, without suffix, and of the recording in rttm."""
    overwrite: bool = True
    """Replace existing files; if false, an existing file is an error."""
    options: ExportOptions = field(default_factory=ExportOptions)
    """How captions look."""


class ExportedFile(Result, kw_only=True):
    """A written file; the path is absolute."""

    format: Format
    path: str


class ExportResult(Result, kw_only=True):
    """Result of `export`: `files` if `outputDir` was set, else `contents` by format."""

    files: list[ExportedFile] | UnsetType = UNSET
    contents: dict[str, str] | UnsetType = UNSET
    warnings: list[Notice] = field(default_factory=list)
