"""Exports a transcript in several formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.transcript import ExportedFile, ExportResult
from worker.formats.files import write_all
from worker.formats.registry import WRITERS, warnings
from worker.formats.timeline import build_timeline
from worker.system.paths import from_wire, to_wire

if TYPE_CHECKING:
    from protocol.transcript import ExportOptions, Format, Transcript
    from protocol.transcription import TranscribeResult
    from worker.session.job import Job


def export(
    job: Job,
    transcript: Transcript | TranscribeResult,
    formats: Iterable[Format],
    options: ExportOptions,
    *,
    name: str,
    output_dir: str | None,
    overwrite: bool,
) -> ExportResult:
    """Write the transcript in each format, to files in `output_dir` or else into the result.

    Raises `RpcError`, also when `job` is cancelled meanwhile.
    """
    timeline = build_timeline(transcript)
    contents: dict[Format, str] = {}
    for each in dict.fromkeys(formats):
        job.raise_if_cancelled()
        contents[each] = WRITERS[each].write(timeline, options, name)
    notices = warnings(timeline, contents, options)
    if output_dir is None:
        return ExportResult(
            contents={str(each): contents[each] for each in contents}, warnings=notices
        )
    folder = Path(from_wire(output_dir)).absolute()
    paths = {each: folder / (name + WRITERS[each].suffix) for each in contents}
    job.raise_if_cancelled()
    write_all([(paths[each], contents[each]) for each in contents], overwrite=overwrite)
    files = [ExportedFile(format=each, path=to_wire(path)) for each, path in paths.items()]
    return ExportResult(files=files, warnings=notices)
