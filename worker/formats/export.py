"""A transcript in every format that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protocol.transcript import ExportedFile, ExportResult
from worker.formats.files import write_all
from worker.formats.registry import WRITERS, warnings
from worker.formats.timeline import build_timeline
from worker.system.paths import local, told

if TYPE_CHECKING:
    from protocol.transcript import ExportParams, Format
    from worker.session.job import Job


def export(job: Job, params: ExportParams) -> ExportResult:
    """The transcript in each format, as texts or as files; `job` may be cancelled meanwhile."""
    timeline = build_timeline(params.transcript)
    contents: dict[Format, str] = {}
    for each in dict.fromkeys(params.formats):
        job.raise_if_cancelled()
        contents[each] = WRITERS[each].write(timeline, params.options, params.name)
    notices = warnings(timeline, contents, params.options)
    if params.output_dir is None:
        return ExportResult(
            contents={str(each): contents[each] for each in contents}, warnings=notices
        )
    folder = Path(local(params.output_dir)).absolute()
    paths = {each: folder / (params.name + WRITERS[each].suffix) for each in contents}
    job.raise_if_cancelled()
    write_all([(paths[each], contents[each]) for each in contents], overwrite=params.overwrite)
    files = [ExportedFile(format=each, path=told(path)) for each, path in paths.items()]
    return ExportResult(files=files, warnings=notices)
